//! `tendon eval baselines`: what recognises actions without a trained encoder, to see whether learning pays.

use super::common::{Common, Material, NOTE, Windows, found};
use crate::cmd::output::bar;
use serde::{Deserialize, Serialize};
use tendon_host::evaluate::baselines::Plain;
use tendon_host::evaluate::knn::{KnnConfig, knn};
use tendon_host::evaluate::matrix::{Features, Standard};
use tendon_host::evaluate::outcome::Found;
use tendon_host::evaluate::pooling::Pooling;
use tendon_host::evaluate::probe::{Probe, ProbeConfig};
use tendon_model::encoder::EncoderConfig;
use tendon_shared::normalize::{Mode, NormalizeSpec};

/// Classify by coordinates, by statistics and by an untrained encoder.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

/// Settings of the baselines.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Frames of a window.
    frames: u16,
    /// Bodies of a window.
    bodies: u8,
    /// The normalisation.
    mode: Mode,
    /// The logistic regression.
    regression: ProbeConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frames: 32,
            bodies: 1,
            mode: Mode::Paper,
            regression: ProbeConfig::logistic(),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    let settings: Settings = match common.settings()? {
        Some(text) => toml::from_str(&text)?,
        None => Settings::default(),
    };
    let material = common.open()?;
    let spec = NormalizeSpec {
        mode: settings.mode,
        frames: settings.frames,
        bodies: settings.bodies,
    };
    let windows = material.windows(&spec)?;
    let mut outcome = common.outcome("baselines", &material, serde_json::to_value(&settings)?);
    for plain in Plain::ALL {
        let features = [
            plain.features(&windows.train)?,
            plain.features(&windows.validation)?,
            plain.features(&windows.test)?,
        ];
        outcome.results.extend(both(
            plain.name(),
            &features,
            &settings,
            common.seed,
            &material,
        ));
    }
    let random = random_encoder(&settings, common.seed, &material, &windows)?;
    outcome.results.extend(both(
        "random encoder",
        &random,
        &settings,
        common.seed,
        &material,
    ));
    outcome.notes.push(NOTE.to_owned());
    common.close(outcome, &material)
}

/// Logistic regression and the nearest neighbour on the same features.
fn both(
    name: &str,
    features: &[Features; 3],
    settings: &Settings,
    seed: u64,
    material: &Material,
) -> Vec<Found> {
    let [train, validation, test] = features;
    let all = train.join(validation);
    let device = &material.device;
    let classes = material.dataset.classes();
    let bar = bar(2 * settings.regression.epochs as u64, name);
    let regress = |bank: &Features, features: &Features| {
        let probe = Probe::fit(bank, None, &settings.regression, seed, device, |_, _| {
            bar.inc(1)
        });
        probe.predict(features, device)
    };
    let regression = found(
        &format!("{name}, logistic regression"),
        &regress(train, validation),
        &regress(&all, test),
        classes,
    );
    bar.finish_and_clear();
    let nearest = |bank: &Features, features: &Features| {
        let config = KnnConfig {
            k: 1,
            ..KnnConfig::default()
        };
        // Coordinates are metres throughout; other features must be brought to one scale first.
        if name == Plain::Coordinates.name() {
            return knn(bank, features, config, device);
        }
        let standard = Standard::measure(bank);
        knn(
            &standard.apply(bank),
            &standard.apply(features),
            config,
            device,
        )
    };
    let nearest = found(
        &format!("{name}, nearest neighbour"),
        &nearest(train, validation),
        &nearest(&all, test),
        classes,
    );
    regression.into_iter().chain(nearest).collect()
}

fn random_encoder(
    settings: &Settings,
    seed: u64,
    material: &Material,
    windows: &Windows,
) -> anyhow::Result<[Features; 3]> {
    let (frames, bodies) = (usize::from(settings.frames), usize::from(settings.bodies));
    let config = EncoderConfig::small(material.dataset.topology(), frames, bodies);
    let encoder = config.init(seed, &material.device)?;
    windows.embed(&encoder, &config, Pooling::Mean, &material.device)
}
