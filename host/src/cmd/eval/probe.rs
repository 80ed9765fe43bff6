//! `tendon eval probe`: a linear classifier on an encoder that does not change.

use super::common::{Common, bar, found};
use std::path::PathBuf;
use tendon_host::evaluate::outcome::Curve;
use tendon_host::evaluate::probe::{Probe, ProbeConfig};

/// Train a linear classifier on the encoder's features.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// The encoder.
    #[arg(long)]
    encoder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    let config = match common.settings()? {
        Some(text) => toml::from_str(&text)?,
        None => ProbeConfig::default(),
    };
    let material = common.open()?;
    let mut notes = Vec::new();
    let loaded = common.load(&args.encoder, &material, &mut notes)?;
    let windows = material.windows(&loaded.description.normalize)?;
    let [train, validation, test] = windows.embed(
        &loaded.encoder,
        &loaded.description.config,
        &material.device,
    )?;
    let bar = bar(config.epochs as u64, "epochs");
    let (mut loss, mut accuracy) = (Vec::new(), Vec::new());
    let probe = Probe::fit(
        &train,
        Some(&validation),
        &config,
        common.seed,
        &material.device,
        |_, epoch| {
            loss.push(Some(epoch.loss));
            accuracy.push(epoch.validation);
            bar.inc(1);
        },
    );
    bar.finish_and_clear();
    let mut outcome = common.outcome("linear probe", &material, serde_json::to_value(&config)?);
    outcome.encoder = Some(args.encoder.display().to_string());
    outcome.notes = notes;
    outcome.curves = vec![
        Curve {
            figure: "loss".into(),
            name: "training".into(),
            values: loss,
        },
        Curve {
            figure: "top-1".into(),
            name: "held-out persons".into(),
            values: accuracy,
        },
    ];
    let predict = |features| probe.predict(features, &material.device);
    outcome.results = found(
        "last epoch",
        &predict(&validation),
        &predict(&test),
        &outcome.classes,
    )
    .into();
    common.close(outcome, &material)
}
