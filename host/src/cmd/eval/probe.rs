//! `tendon eval probe`: a linear classifier on an encoder that does not change.

use super::common::{Common, NOTE, found};
use crate::cmd::output::bar;
use std::path::PathBuf;
use tendon_host::evaluate::outcome::Curve;
use tendon_host::evaluate::probe::{Probe, ProbeConfig, ProbeEpoch};

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
        config.pooling,
        &material.device,
    )?;
    let all = train.join(&validation);
    let bar = bar(2 * config.epochs as u64, "epochs");
    let (mut loss, mut accuracy) = (Vec::new(), Vec::new());
    let fit = |features, validation, watch: &mut dyn FnMut(usize, ProbeEpoch)| {
        Probe::fit(
            features,
            validation,
            &config,
            common.seed,
            &material.device,
            watch,
        )
    };
    let without = fit(&train, Some(&validation), &mut |_, epoch| {
        loss.push(Some(epoch.loss));
        accuracy.push(epoch.validation);
        bar.inc(1);
    });
    let with = fit(&all, None, &mut |_, _| bar.inc(1));
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
    let held = without.predict(&validation, &material.device);
    let predictions = with.predict(&test, &material.device);
    outcome.results = found("last epoch", &held, &predictions, &outcome.classes).into();
    outcome.notes.push(NOTE.to_owned());
    common.close(outcome, &material)
}
