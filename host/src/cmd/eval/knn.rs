//! `tendon eval knn`: nearest neighbours in an encoder's features.

use super::common::{Common, NOTE, found};
use std::path::PathBuf;
use tendon_host::evaluate::knn::{KnnConfig, knn};
use tendon_host::evaluate::retrieval::retrieve;

/// Classify by the nearest training windows in the encoder's features, and see how well it orders them (retrieval).
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
        config.pooling,
        &material.device,
    )?;
    let all = train.join(&validation);
    let mut outcome = common.outcome(
        "nearest neighbours",
        &material,
        serde_json::to_value(config)?,
    );
    outcome.encoder = Some(args.encoder.display().to_string());
    outcome.notes = notes;
    outcome.notes.push(NOTE.to_owned());
    for k in [1, config.k] {
        let config = KnnConfig { k, ..config };
        let vote = |bank, features| knn(bank, features, config, &material.device);
        let name = format!("{k}-NN");
        let results = found(
            &name,
            &vote(&train, &validation),
            &vote(&all, &test),
            &outcome.classes,
        );
        outcome.results.extend(results);
    }
    outcome.retrieval = Some([
        retrieve(&train, &validation, &material.device),
        retrieve(&all, &test, &material.device),
    ]);
    common.close(outcome, &material)
}
