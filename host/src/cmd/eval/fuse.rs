//! `tendon eval fuse`: several streams, one answer.

use super::common::{Common, found};
use crate::cmd::output::bar;
use anyhow::ensure;
use std::path::PathBuf;
use tendon_host::evaluate::fusion::{Voice, choose, fuse};
use tendon_host::evaluate::outcome::Found;
use tendon_host::evaluate::probe::{Probe, ProbeConfig};

/// Fuse linear classifiers on several encoders, such as those of joint, bone and motion streams.
///
/// Each encoder is evaluated by itself, then all together: with equal weights, and with weights that held-out training persons choose.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// An encoder; name two to four.
    #[arg(long, required = true)]
    encoder: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    ensure!(
        (2..=4).contains(&args.encoder.len()),
        "name two to four encoders, each with --encoder"
    );
    let config: ProbeConfig = match common.settings()? {
        Some(text) => toml::from_str(&text)?,
        None => ProbeConfig::logistic(),
    };
    let material = common.open()?;
    let mut outcome = common.outcome("fusion", &material, serde_json::to_value(&config)?);
    let names: Vec<String> = args
        .encoder
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    outcome.encoder = Some(names.join(", "));
    let bar = bar(2 * (config.epochs * names.len()) as u64, "epochs");
    let (mut held, mut test) = (Vec::new(), Vec::new());
    let device = &material.device;
    let mut notes = Vec::new();
    for (path, name) in args.encoder.iter().zip(&names) {
        let loaded = common.load(path, &material, &mut notes)?;
        let description = &loaded.description;
        let windows = material.windows(&description.normalize)?;
        let [train, validation, side] =
            windows.embed(&loaded.encoder, &description.config, config.pooling, device)?;
        let fit = |bank| Probe::fit(bank, None, &config, common.seed, device, |_, _| bar.inc(1));
        let held_out = fit(&train).predict(&validation, device);
        let tested = fit(&train.join(&validation)).predict(&side, device);
        outcome
            .results
            .extend(found(name, &held_out, &tested, &outcome.classes));
        let [own_held, own_test] = Voice::pair(&held_out, &tested, outcome.classes.len());
        held.push(own_held);
        test.push(own_test);
    }
    bar.finish_and_clear();
    let equal = vec![1.0 / names.len() as f64; names.len()];
    let chosen = choose(&held);
    let add = |name: &str, weights: &[f64]| -> [Found; 2] {
        found(
            name,
            &fuse(&held, weights),
            &fuse(&test, weights),
            &outcome.classes,
        )
    };
    let text: Vec<String> = chosen.iter().map(|weight| format!("{weight:.1}")).collect();
    let fused = [
        add("equal weights", &equal),
        add(&format!("weights {}", text.join(" / ")), &chosen),
    ];
    outcome.results.extend(fused.into_iter().flatten());
    outcome.notes = notes;
    outcome
        .notes
        .push("The weights were chosen on held-out training persons.".to_owned());
    common.close(outcome, &material)
}
