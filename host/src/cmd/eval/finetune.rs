//! `tendon eval finetune`: supervised training of an encoder, pretrained or from scratch, to a classifier.

use super::common::{Common, Material, found};
use super::start::Start;
use crate::cmd::output::bar;
use anyhow::Context as _;
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use tendon_data::split::Axis;
use tendon_data::windows::WindowSet;
use tendon_host::evaluate::features::predict;
use tendon_host::evaluate::finetune::{
    Epoch, FinetuneConfig, Progress, Refit, Run, Trained, predict_both, train,
};
use tendon_host::evaluate::guard;
use tendon_host::evaluate::metrics::{Metrics, Predictions};
use tendon_host::evaluate::outcome::{Choice, Curve, Found, Outcome, percent};
use tendon_host::evaluate::temperature::fit_temperature;
use tendon_model::classifier::Classifier;
use tendon_model::weights::{Description, Provenance, save};
use tendon_shared::normalize::PREPROCESSING_VERSION;

/// The file that a finetuning is for.
const CLASSIFIER: &str = "classifier.safetensors";
pub(super) const DEFAULT: &str = include_str!("../../../../configs/eval/finetune.toml");

/// Train an encoder with labels to a classifier; writes classifier.safetensors.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// The pretrained encoder; without one, training starts from scratch.
    #[arg(long)]
    encoder: Option<PathBuf>,
    /// Take epochs and temperature from the result.json of an earlier run with the same settings, instead of holding
    /// persons out again. Meant for further seeds.
    #[arg(long)]
    choice: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let common = &args.common;
    let text = common.settings()?;
    let config = FinetuneConfig::parse(text.as_deref().unwrap_or(DEFAULT))?;
    let material = common.open()?;
    let mut notes = Vec::new();
    let start = Start::new(
        common,
        args.encoder.as_deref(),
        &config,
        &material,
        &mut notes,
    )?;
    let mut outcome = common.outcome("finetune", &material, serde_json::to_value(&config)?);
    outcome.encoder = args.encoder.as_ref().map(|path| path.display().to_string());
    outcome.notes = notes;
    let windows = material.windows(&start.normalize)?;
    let task = Task {
        args,
        config: &config,
        material: &material,
        start: &start,
    };

    let choice = match &args.choice {
        Some(path) => earlier_choice(path)?,
        None => {
            let trained = task.train(
                "choose",
                config.epochs,
                &windows.train,
                Some(&windows.validation),
            )?;
            add_curves(&mut outcome, "", &trained.epochs);
            let choice = task.choose(&trained, &windows.validation, &windows.test, &mut outcome)?;
            let name = if config.refit == Refit::Never {
                CLASSIFIER
            } else {
                "without-held-out.safetensors"
            };
            task.save(name, &trained.last, &outcome.classes, choice, false)?;
            choice
        }
    };
    if config.refit != Refit::Never || args.choice.is_some() {
        let all = material.all_training(&start.normalize)?;
        let trained = task.train("refit", choice.epochs, &all, None)?;
        add_curves(&mut outcome, "all training persons", &trained.epochs);
        let predictions = predict(
            &trained.last,
            &start.config,
            &windows.test,
            &material.device,
        )?;
        let metrics = Metrics::compute(&predictions, &outcome.classes, choice.temperature);
        let name = format!(
            "test, refit on all training persons, {} epochs",
            choice.epochs
        );
        outcome.results.push(Found {
            name,
            test: true,
            metrics,
        });
        task.save(CLASSIFIER, &trained.last, &outcome.classes, choice, true)?;
    }
    outcome.choice = Some(choice);
    common.close(outcome, &material)
}

/// Everything that both trainings share.
struct Task<'a> {
    args: &'a Args,
    config: &'a FinetuneConfig,
    material: &'a Material,
    start: &'a Start,
}

impl Task<'_> {
    fn train(
        &self,
        name: &str,
        epochs: usize,
        windows: &WindowSet,
        validation: Option<&WindowSet>,
    ) -> anyhow::Result<Trained> {
        let common = &self.args.common;
        let bar = bar((epochs * windows.len()) as u64, "windows");
        bar.set_message(name.to_owned());
        let mut log = Log {
            bar: &bar,
            name,
            windows: windows.len(),
            last: None,
        };
        let run = Run {
            config: self.config,
            epochs,
            encoder: &self.start.config,
            start: self
                .start
                .encoder(self.config, common.seed, &self.material.device)?,
            train: windows,
            validation,
            seed: common.seed,
            identity: self.identity(name, epochs)?,
            checkpoint: &common.out.join(format!("{name}.checkpoint")),
            device: &self.material.device,
        };
        let trained = train(run, &mut |progress| log.see(progress))?;
        bar.finish_and_clear();
        Ok(trained)
    }

    /// Tells runs apart, so that a checkpoint is not continued by another run.
    fn identity(&self, name: &str, epochs: usize) -> anyhow::Result<String> {
        let parts = (self.material, self.args.common.seed, name, epochs);
        self.start.identity(self.config, parts)
    }

    /// Chooses epochs and temperature by the held-out persons, and reports both epochs.
    fn choose(
        &self,
        trained: &Trained,
        validation: &WindowSet,
        test: &WindowSet,
        outcome: &mut Outcome,
    ) -> anyhow::Result<Choice> {
        let (encoder, device) = (&self.start.config, &self.material.device);
        let (held_last, held_best) = predict_both(trained, encoder, validation, device)?;
        let (test_last, test_best) = predict_both(trained, encoder, test, device)?;
        let add = |name: &str, held: &Predictions, test: &Predictions, outcome: &mut Outcome| {
            let results = found(name, held, test, &outcome.classes);
            outcome.results.extend(results);
        };
        add(
            &format!("last epoch ({})", trained.epochs.len()),
            &held_last,
            &test_last,
            outcome,
        );
        let best_epochs = trained
            .best
            .as_ref()
            .map_or(trained.epochs.len(), |(index, _)| index + 1);
        if let (Some(held), Some(test)) = (&held_best, &test_best) {
            add(
                &format!("best epoch on held-out persons ({best_epochs})"),
                held,
                test,
                outcome,
            );
        }
        Ok(match (self.config.refit, &held_best) {
            (Refit::Best, Some(held)) => Choice {
                epochs: best_epochs,
                temperature: fit_temperature(held),
            },
            _ => Choice {
                epochs: self.config.epochs,
                temperature: fit_temperature(&held_last),
            },
        })
    }

    /// Writes a classifier with everything that its use and a later evaluation need.
    fn save(
        &self,
        name: &str,
        model: &Classifier,
        classes: &[String],
        choice: Choice,
        with_held_out: bool,
    ) -> anyhow::Result<()> {
        let (material, common) = (self.material, &self.args.common);
        let mut used = material.sides.train.clone();
        let mut selection = material.split.train.clone();
        if with_held_out {
            used.extend(&material.sides.validation);
        } else {
            selection = selection.without(Axis::Subject, material.held_out.iter().copied());
        }
        let provenance = Provenance {
            data_digest: material.dataset.digest().to_owned(),
            split: selection.to_string(),
            subjects: material.subjects(&used),
            method: "finetune".to_owned(),
            epochs: choice.epochs as u64,
            seed: common.seed,
            preprocessing_version: PREPROCESSING_VERSION,
            config_digest: self
                .identity("classifier", choice.epochs)
                .unwrap_or_default(),
            labels: "100 % of the training windows".to_owned(),
            base: self.start.provenance.clone().map(Box::new),
            ..Provenance::default()
        };
        let description = Description {
            config: self.start.config.clone(),
            normalize: self.start.normalize,
            classes: classes.to_vec(),
            temperature: Some(choice.temperature),
            provenance,
            seen: guard::join(&self.start.seen, material.fingerprints(&used)),
        };
        Ok(save(
            &common.out.join(name),
            &model.encoder,
            Some(&model.classifier),
            &description,
        )?)
    }
}

/// Shows progress and an epoch's figures.
struct Log<'a> {
    bar: &'a ProgressBar,
    name: &'a str,
    windows: usize,
    last: Option<Epoch>,
}

impl Log<'_> {
    fn see(&mut self, progress: Progress) {
        match progress {
            Progress::Windows { epoch, done } => {
                let position = (epoch * self.windows + done) as u64;
                if self.bar.position() == 0 && epoch > 0 {
                    // A resumed run: the estimate must not count what was done before.
                    self.bar.set_position((epoch * self.windows) as u64);
                    self.bar.reset_eta();
                }
                self.bar.set_position(position);
            }
            Progress::Epoch { epoch, figures } => {
                self.last = Some(figures);
                let held = figures.validation.map_or_else(String::new, |share| {
                    format!(", held-out {}", percent(share))
                });
                let (loss, seen) = (figures.loss, percent(figures.accuracy));
                let line = format!(
                    "{} epoch {}: loss {loss:.3}, training {seen}{held}",
                    self.name,
                    epoch + 1
                );
                if self.bar.is_hidden() {
                    eprintln!("{line}");
                }
                self.bar.set_message(line);
            }
        }
    }
}

fn earlier_choice(path: &Path) -> anyhow::Result<Choice> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let outcome: Outcome = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no result of tendon eval", path.display()))?;
    outcome
        .choice
        .with_context(|| format!("{} holds no choice; was it a finetuning?", path.display()))
}

fn add_curves(outcome: &mut Outcome, name: &str, epochs: &[Epoch]) {
    let mut add = |figure: &str, name: &str, value: fn(&Epoch) -> Option<f64>| {
        let values: Vec<Option<f64>> = epochs.iter().map(value).collect();
        if values.iter().any(Option::is_some) {
            outcome.curves.push(Curve {
                figure: figure.to_owned(),
                name: name.to_owned(),
                values,
            });
        }
    };
    let training = if name.is_empty() { "training" } else { name };
    add("loss", training, |epoch| Some(epoch.loss));
    add("top-1", training, |epoch| Some(epoch.accuracy));
    add("loss", "held-out persons", |epoch| epoch.validation_nll);
    add("top-1", "held-out persons", |epoch| epoch.validation);
}
