//! `tendon eval knn`: nearest neighbours in an encoder's features.

use super::common::{Common, found};
use std::path::PathBuf;
use tendon_host::evaluate::knn::{KnnConfig, knn};

/// Classify by the nearest training windows in the encoder's features.
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
    let config: KnnConfig = match common.settings()? {
        Some(text) => toml::from_str(&text)?,
        None => KnnConfig::default(),
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
    let mut outcome = common.outcome(
        "nearest neighbours",
        &material,
        serde_json::to_value(config)?,
    );
    outcome.encoder = Some(args.encoder.display().to_string());
    outcome.notes = notes;
    for k in [1, config.k] {
        let config = KnnConfig { k, ..config };
        let vote = |features| knn(&train, features, config, &material.device);
        let name = format!("{k}-NN");
        outcome.results.extend(found(
            &name,
            &vote(&validation),
            &vote(&test),
            &outcome.classes,
        ));
    }
    common.close(outcome, &material)
}
