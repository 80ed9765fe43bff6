//! `tendon eval classifier`: a finished classifier on the test side of a split.

use super::common::Common;
use anyhow::bail;
use std::path::PathBuf;
use tendon_data::windows::WindowSet;
use tendon_host::evaluate::features::predict;
use tendon_host::evaluate::metrics::Metrics;
use tendon_host::evaluate::outcome::Found;
use tendon_model::classifier::Classifier;

/// Evaluate a classifier that `tendon eval finetune` has written, on another split or set.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// The classifier.
    #[arg(long)]
    classifier: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    let material = common.open()?;
    let mut notes = Vec::new();
    let loaded = common.load(&args.classifier, &material, &mut notes)?;
    let description = loaded.description;
    let Some(classifier) = loaded.classifier else {
        bail!(
            "{} is an encoder without a classifier; make one with `tendon eval finetune`",
            args.classifier.display()
        );
    };
    if description.classes != material.dataset.classes() {
        bail!(
            "the classifier tells {:?} apart, the set has {:?}; they must be the same classes in the same order",
            description.classes,
            material.dataset.classes()
        );
    }
    let windows = WindowSet::prepare(
        &material.dataset,
        &material.sides.test,
        &description.normalize,
    )?;
    let model = Classifier {
        encoder: loaded.encoder,
        classifier,
    };
    let predictions = predict(&model, &description.config, &windows, &material.device)?;
    let temperature = description.temperature.unwrap_or(1.0);
    let mut outcome = common.outcome(
        "classifier",
        &material,
        serde_json::to_value(&description.config)?,
    );
    outcome.encoder = Some(args.classifier.display().to_string());
    outcome.held_out.clear();
    outcome.notes = notes;
    outcome.results.push(Found {
        name: "test".to_owned(),
        test: true,
        metrics: Metrics::compute(&predictions, &outcome.classes, temperature),
    });
    common.close(outcome, &material)
}
