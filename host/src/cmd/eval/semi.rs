//! `tendon eval semi`: few labels, drawn several times.

use super::common::{Common, Material, Windows};
use super::finetune;
use super::start::Start;
use crate::cmd::output::bar;
use anyhow::Context as _;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tendon_data::windows::WindowSet;
use tendon_host::evaluate::baselines::Plain;
use tendon_host::evaluate::features::predict;
use tendon_host::evaluate::finetune::{FinetuneConfig, Run, train};
use tendon_host::evaluate::labels::{Amount, choose};
use tendon_host::evaluate::matrix::Features;
use tendon_host::evaluate::metrics::Predictions;
use tendon_host::evaluate::outcome::Draws;
use tendon_host::evaluate::probe::{Probe, ProbeConfig};
use tendon_host::evaluate::spread::{SpreadConfig, spread};

const DEFAULT: &str = include_str!("../../../../configs/eval/semi.toml");

/// Learn from few labels: a linear classifier on frozen features, labels that spread to windows without, or finetuning; several draws.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// The encoder. Without one, only features that need no learning are evaluated, and --finetune starts from scratch.
    #[arg(long)]
    encoder: Option<PathBuf>,
    /// Finetune the whole encoder on each draw with these settings (see configs/eval/finetune-small.toml).
    #[arg(long)]
    finetune: Option<PathBuf>,
}

/// Settings of the protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Draws an amount.
    draws: u64,
    /// Amounts of labels.
    amounts: Vec<Amount>,
    /// The linear classifier on the frozen encoder's features.
    regression: ProbeConfig,
    /// Label spreading over the training windows' features, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spreading: Option<SpreadConfig>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    let text = common.settings()?;
    let settings: Settings = toml::from_str(text.as_deref().unwrap_or(DEFAULT))?;
    let finetuning = args
        .finetune
        .as_ref()
        .map(|path| -> anyhow::Result<FinetuneConfig> {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok(FinetuneConfig::parse(&text)?)
        })
        .transpose()?;
    let material = common.open()?;
    let mut notes = Vec::new();
    // Without a configuration of its own, training from scratch takes the default one's window.
    let shape = match &finetuning {
        Some(config) => config.clone(),
        None => FinetuneConfig::parse(finetune::DEFAULT)?,
    };
    let start = Start::new(
        common,
        args.encoder.as_deref(),
        &shape,
        &material,
        &mut notes,
    )?;
    let windows = material.windows(&start.normalize)?;
    let labelled = material.all_training(&start.normalize)?;
    let mut outcome = common.outcome(
        "few labels",
        &material,
        serde_json::to_value((&settings, &finetuning))?,
    );
    outcome.encoder = args.encoder.as_ref().map(|path| path.display().to_string());

    let plain = |set: &WindowSet| Plain::Statistics.features(set);
    let statistics = Frozen {
        name: "statistics",
        bank: plain(&labelled)?,
        test: plain(&windows.test)?,
        // Its own settings: the file's may be made for another number of features.
        regression: &ProbeConfig::logistic(),
        settings: &settings,
        seed: common.seed,
        device: &material.device,
    };
    outcome.draws.extend(statistics.draws());
    if let Some(path) = &args.encoder {
        let loaded = common.load(path, &material, &mut Vec::new())?;
        let sets = Windows {
            train: labelled.clone(),
            validation: windows.validation.clone(),
            test: windows.test.clone(),
        };
        let [bank, _, test] = sets.embed(
            &loaded.encoder,
            &loaded.description.config,
            settings.regression.pooling,
            &material.device,
        )?;
        let encoder = Frozen {
            name: "encoder",
            bank,
            test,
            regression: &settings.regression,
            ..statistics
        };
        outcome.draws.extend(encoder.draws());
    }
    if let Some(config) = &finetuning {
        let task = Task {
            args,
            config,
            start: &start,
            labelled: &labelled,
            test: &windows.test,
            material: &material,
        };
        outcome.draws.extend(task.draws(&settings)?);
    }
    outcome.notes = notes;
    outcome.notes.push(
        "Labels are drawn from all training persons; nothing was chosen by the test side."
            .to_owned(),
    );
    common.close(outcome, &material)
}

/// Features that do not change, and what is made of them.
struct Frozen<'a> {
    name: &'static str,
    bank: Features,
    test: Features,
    regression: &'a ProbeConfig,
    settings: &'a Settings,
    seed: u64,
    device: &'a Device,
}

impl Frozen<'_> {
    /// A logistic regression for each amount and draw; label spreading too, if it was asked for.
    fn draws(&self) -> Vec<Draws> {
        let (bank, test, seed, device) = (&self.bank, &self.test, self.seed, self.device);
        let regress = |labelled: &[usize]| {
            let labelled = bank.select(labelled);
            Probe::fit(&labelled, None, self.regression, seed, device, |_, _| {})
                .predict(test, device)
        };
        let mut draws = self.each("logistic regression", regress);
        if let Some(config) = self.settings.spreading {
            let spread = |labelled: &[usize]| spread(bank, labelled, test, config, device);
            draws.extend(self.each("label spreading", spread));
        }
        draws
    }

    /// One way to learn from labelled windows, for each amount and draw.
    fn each(&self, way: &str, learn: impl Fn(&[usize]) -> Predictions) -> Vec<Draws> {
        let name = format!("{}, {way}", self.name);
        let settings = self.settings;
        let bar = bar(settings.draws * settings.amounts.len() as u64, &name);
        let draws = settings.amounts.iter().map(|amount| {
            let said = (0..settings.draws).map(|draw| {
                bar.inc(1);
                learn(&choose(&self.bank.labels, *amount, self.seed, draw))
            });
            Draws::of(&name, &amount.to_string(), &said.collect::<Vec<_>>())
        });
        let draws = draws.collect();
        bar.finish_and_clear();
        draws
    }
}

/// Finetuning on each draw.
struct Task<'a> {
    args: &'a Args,
    config: &'a FinetuneConfig,
    start: &'a Start,
    labelled: &'a WindowSet,
    test: &'a WindowSet,
    material: &'a Material,
}

impl Task<'_> {
    fn draws(&self, settings: &Settings) -> anyhow::Result<Vec<Draws>> {
        let (common, device) = (&self.args.common, &self.material.device);
        let bar = bar(
            settings.draws * settings.amounts.len() as u64,
            "finetunings",
        );
        let name = match self.args.encoder {
            Some(_) => "encoder, finetuned",
            None => "from scratch",
        };
        let mut draws = Vec::new();
        for amount in &settings.amounts {
            let mut all = Vec::new();
            for draw in 0..settings.draws {
                let chosen = choose(&self.labelled.labels, *amount, common.seed, draw);
                let windows = self.labelled.select(&chosen);
                let file = format!(
                    "draw-{}-{draw}.checkpoint",
                    amount.to_string().replace(' ', "-")
                );
                let run = Run {
                    config: self.config,
                    epochs: self.config.epochs,
                    encoder: &self.start.config,
                    start: self.start.encoder(self.config, common.seed, device)?,
                    train: &windows,
                    validation: None,
                    seed: common.seed,
                    identity: self.start.identity(
                        self.config,
                        (self.material, common.seed, &file, self.config.epochs),
                    )?,
                    checkpoint: &common.out.join(file),
                    device,
                };
                let trained = train(run, &mut |_| {})?;
                let said = predict(&trained.last, &self.start.config, self.test, device)?;
                all.push(said);
                bar.inc(1);
            }
            draws.push(Draws::of(name, &amount.to_string(), &all));
        }
        bar.finish_and_clear();
        Ok(draws)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_settings_are_read() {
        let settings: Settings = toml::from_str(DEFAULT).unwrap();
        assert_eq!((settings.draws, settings.amounts.len()), (5, 8));
        assert_eq!(settings.regression, ProbeConfig::logistic());
    }
}
