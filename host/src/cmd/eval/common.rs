//! What all protocols share: the set, its split, the windows, the encoder's file, the closing table.
#![allow(clippy::print_stdout, reason = "commands print")]

use crate::cmd::output::bar;
use anyhow::{Context as _, bail};
use burn::tensor::Device;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tendon_data::dataset::Dataset;
use tendon_data::split::{Sides, Split};
use tendon_data::windows::WindowSet;
use tendon_host::evaluate::features::embed;
use tendon_host::evaluate::guard;
use tendon_host::evaluate::matrix::Features;
use tendon_host::evaluate::metrics::{Metrics, Predictions};
use tendon_host::evaluate::outcome::{Found, Outcome};
use tendon_host::evaluate::pooling::Pooling;
use tendon_host::evaluate::temperature::fit_temperature;
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::weights::{Loaded, load};
use tendon_shared::normalize::NormalizeSpec;

/// Arguments of every protocol.
#[derive(clap::Args)]
pub(super) struct Common {
    /// The set of recordings, made by `tendon import`.
    #[arg(long)]
    pub(super) data: PathBuf,
    /// Who trains and who tests: a preset such as nw-ucla-view1, or "TRAIN / TEST" such as "cameras=1 / cameras=2".
    #[arg(long)]
    pub(super) split: String,
    /// The folder for result.json, report.html and whatever else the protocol makes.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Settings (see configs/eval); the defaults are the published ones.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// Training subjects that are held out to choose epochs and temperature with; the last quarter of them by default.
    #[arg(long, value_delimiter = ',')]
    pub(super) hold_out: Vec<u16>,
    /// Decides all random draws.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Evaluate even if the encoder was trained on test recordings; the result is marked.
    #[arg(long)]
    pub(super) allow_overlap: bool,
    /// Where to compute: flex (CPU), wgpu, cuda or ndarray, as far as compiled in.
    #[arg(long, default_value = "flex")]
    pub(super) device: String,
}

/// How the two sides of a result come about.
pub(super) const NOTE: &str = "The held-out persons were not learnt for their own figure; for the test side all training persons were.";

/// A set with its split.
pub(super) struct Material {
    pub(super) dataset: Dataset,
    pub(super) split: Split,
    pub(super) sides: Sides,
    pub(super) held_out: Vec<u16>,
    pub(super) device: Device,
    pub(super) started: Instant,
}

/// Windows of the three sides.
pub(super) struct Windows {
    pub(super) train: WindowSet,
    pub(super) validation: WindowSet,
    pub(super) test: WindowSet,
}

impl Common {
    /// Opens the set and applies the split.
    pub(super) fn open(&self) -> anyhow::Result<Material> {
        let device = tendon_host::backend::device(&self.device)?;
        let dataset = Dataset::open(&self.data)?;
        let split = Split::parse(&self.split)?;
        let held_out = if self.hold_out.is_empty() {
            last_quarter(&dataset, &split)?
        } else {
            self.hold_out.clone()
        };
        let sides = split.hold_out(&dataset, &held_out)?;
        Ok(Material {
            dataset,
            split,
            sides,
            held_out,
            device,
            started: Instant::now(),
        })
    }

    /// The settings' text, or nothing for the defaults.
    pub(super) fn settings(&self) -> anyhow::Result<Option<String>> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        self.config.as_ref().map(read).transpose()
    }

    /// Reads an encoder and refuses it if it has seen the test side.
    pub(super) fn load(
        &self,
        path: &Path,
        material: &Material,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Loaded> {
        let loaded = load(path, &material.device)
            .with_context(|| format!("cannot use the encoder {}", path.display()))?;
        self.guard(&loaded.description.seen, material, notes)?;
        notes.extend(guard::labels_note(&loaded.description.provenance));
        Ok(loaded)
    }

    /// Refuses weights that have seen test recordings; with `--allow-overlap` adds a note instead.
    fn guard(
        &self,
        seen: &[u64],
        material: &Material,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        match guard::check(seen, &material.dataset, &material.sides.test) {
            Ok(()) => {}
            Err(overlap) if self.allow_overlap => {
                notes.push(format!(
                    "Not a test result: the encoder was trained on {} of the {} test recordings.",
                    overlap.count, overlap.total
                ));
            }
            Err(overlap) => return Err(overlap.into()),
        }
        Ok(())
    }

    /// An outcome without figures.
    pub(super) fn outcome(
        &self,
        protocol: &str,
        material: &Material,
        config: serde_json::Value,
    ) -> Outcome {
        Outcome {
            protocol: protocol.to_owned(),
            data: self.data.display().to_string(),
            digest: material.dataset.digest().to_owned(),
            split: material.split.name.clone(),
            held_out: material.held_out.clone(),
            encoder: None,
            seed: self.seed,
            config,
            classes: material.dataset.classes().to_vec(),
            choice: None,
            curves: Vec::new(),
            results: Vec::new(),
            draws: Vec::new(),
            retrieval: None,
            notes: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Writes and prints an outcome.
    pub(super) fn close(&self, mut outcome: Outcome, material: &Material) -> anyhow::Result<()> {
        outcome.seconds = material.started.elapsed().as_secs_f64();
        outcome
            .write(&self.out)
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        if !outcome.results.is_empty() {
            println!("{}", outcome.table().text());
        }
        if !outcome.draws.is_empty() {
            println!("{}", outcome.draws_table().text());
        }
        if let Some(table) = outcome.retrieval_table() {
            println!("{}", table.text());
        }
        for note in &outcome.notes {
            println!("note: {note}");
        }
        println!(
            "wrote {} and {}",
            self.out.join("result.json").display(),
            self.out.join("report.html").display()
        );
        Ok(())
    }
}

impl Material {
    /// Windows of the three sides.
    pub(super) fn windows(&self, spec: &NormalizeSpec) -> anyhow::Result<Windows> {
        let prepare = |indices: &[usize]| WindowSet::prepare(&self.dataset, indices, spec);
        Ok(Windows {
            train: prepare(&self.sides.train)?,
            validation: prepare(&self.sides.validation)?,
            test: prepare(&self.sides.test)?,
        })
    }

    /// Windows of the training side with the held-out persons.
    pub(super) fn all_training(&self, spec: &NormalizeSpec) -> anyhow::Result<WindowSet> {
        let mut indices = [self.sides.train.as_slice(), &self.sides.validation].concat();
        indices.sort_unstable();
        Ok(WindowSet::prepare(&self.dataset, &indices, spec)?)
    }

    /// Fingerprints of some recordings.
    pub(super) fn fingerprints(&self, indices: &[usize]) -> impl Iterator<Item = u64> {
        indices
            .iter()
            .map(|&number| self.dataset.recording(number).fingerprint())
    }

    /// Persons among some recordings, sorted.
    pub(super) fn subjects(&self, indices: &[usize]) -> Vec<u16> {
        let subjects: BTreeSet<u16> = indices
            .iter()
            .map(|&number| self.dataset.recording(number).subject)
            .collect();
        subjects.into_iter().collect()
    }
}

impl Windows {
    /// Features of the three sides under one encoder, with a progress bar.
    pub(super) fn embed(
        &self,
        encoder: &Encoder,
        config: &EncoderConfig,
        pooling: Pooling,
        device: &Device,
    ) -> anyhow::Result<[Features; 3]> {
        let sets = [&self.train, &self.validation, &self.test];
        let bar = bar(
            sets.iter().map(|set| set.len() as u64).sum(),
            "windows embedded",
        );
        let mut features = Vec::with_capacity(sets.len());
        let mut before = 0;
        for set in sets {
            features.push(embed(encoder, config, pooling, set, device, |done| {
                bar.set_position((before + done) as u64)
            })?);
            before += set.len();
        }
        bar.finish_and_clear();
        match <[Features; 3]>::try_from(features) {
            Ok(features) => Ok(features),
            Err(_) => bail!("there are three sides"),
        }
    }
}

/// Results on held-out persons and on the test side, both calibrated on the held-out persons.
pub(super) fn found(
    name: &str,
    validation: &Predictions,
    test: &Predictions,
    classes: &[String],
) -> [Found; 2] {
    let temperature = fit_temperature(validation);
    let one = |side: &str, test, predictions| Found {
        name: format!("{side}, {name}"),
        test,
        metrics: Metrics::compute(predictions, classes, temperature),
    };
    [
        one("held-out persons", false, validation),
        one("test", true, test),
    ]
}

/// The last quarter of the training subjects, at least one, at most all but one.
fn last_quarter(dataset: &Dataset, split: &Split) -> anyhow::Result<Vec<u16>> {
    let subjects: BTreeSet<u16> = split
        .train
        .indices(dataset)
        .into_iter()
        .map(|number| dataset.recording(number).subject)
        .collect();
    let subjects: Vec<u16> = subjects.into_iter().collect();
    if subjects.len() < 2 {
        bail!(
            "the training side of the split {} has {} subject(s); at least two are needed, one of them to choose with",
            split.name,
            subjects.len()
        );
    }
    Ok(subjects[subjects.len() - subjects.len().div_ceil(4)..].to_vec())
}
