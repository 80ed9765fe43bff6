//! What a run writes into its folder: log, events, checkpoint, snapshots and the encoders at the end.

use burn::module::Module as _;
use std::path::{Path, PathBuf};
use tendon_model::weights::{Description, Provenance, save};
use tendon_shared::normalize::PREPROCESSING_VERSION;

use super::checkpoint::{self, Position};
use super::log::Log;
use super::monitor::Monitor;
use super::partners::{Partners, PartnersConfig, Quality};
use super::tensorboard::Events;
use super::{PretrainError, Run, labels_used};
use crate::contrast::CollapseWatch;
use crate::evaluate::guard;
use crate::method::Method;

/// Name of the checkpoint in a run's folder.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The files that grow during a run.
pub(super) struct Files {
    log: (PathBuf, Log),
    events: (PathBuf, Events),
    checkpoint: PathBuf,
}

impl Files {
    pub(super) fn open(run: &Run<'_>, resumed: Option<u64>) -> Result<Self, PretrainError> {
        let (log, events) = (run.folder.join("log.jsonl"), run.folder.join("tensorboard"));
        std::fs::create_dir_all(run.folder).map_err(failed(run.folder))?;
        Ok(Self {
            log: (log.clone(), Log::open(&log, resumed).map_err(failed(&log))?),
            events: (
                events.clone(),
                Events::create(&events, resumed.unwrap_or(0), (run.clock)())
                    .map_err(failed(&events))?,
            ),
            checkpoint: run.folder.join(CHECKPOINT),
        })
    }

    pub(super) fn figures(
        &mut self,
        run: &Run<'_>,
        step: u64,
        kind: &str,
        figures: &[(&str, f64)],
    ) -> Result<(), PretrainError> {
        let named: Vec<_> = figures
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect();
        self.log
            .1
            .write(step, kind, &named)
            .map_err(failed(&self.log.0))?;
        let tagged: Vec<_> = named
            .into_iter()
            .map(|(name, value)| (format!("{kind}/{name}"), value))
            .collect();
        self.events
            .1
            .write(step, (run.clock)(), &tagged)
            .map_err(failed(&self.events.0))
    }

    /// Asks the monitor about the first network.
    pub(super) fn monitor(
        &mut self,
        run: &Run<'_>,
        monitor: &Option<Monitor>,
        method: &dyn Method,
        step: u64,
    ) -> Result<Option<f64>, PretrainError> {
        let Some(monitor) = monitor else {
            return Ok(None);
        };
        let mut first = None;
        for network in method.networks() {
            let encoder = run.config.encoder(run.windows.topology());
            let encoder = encoder.with_streams(network.streams);
            let top1 = monitor.top1(
                &network.encoder.valid(),
                &encoder,
                run.windows,
                &run.devices[0],
            )?;
            self.figures(
                run,
                step,
                "monitor",
                &[(&format!("knn{}", network.name), top1)],
            )?;
            first.get_or_insert(top1);
        }
        Ok(first)
    }

    /// Looks for partners with the first network and logs how good they are.
    pub(super) fn partners(
        &mut self,
        run: &Run<'_>,
        config: PartnersConfig,
        method: &dyn Method,
        step: u64,
    ) -> Result<Partners, PretrainError> {
        let networks = method.networks();
        let network = &networks[0];
        let mut shape = run.config.encoder(run.windows.topology());
        shape.streams.clone_from(&network.streams);
        let encoder = network.encoder.valid();
        let found = Partners::find(config, &encoder, &shape, run.windows, &run.devices[0])?;
        let Quality {
            coverage,
            precision,
        } = found.quality(run.windows.labels());
        let figures = [("coverage", coverage), ("precision", precision)];
        // They are the next step's: a run that resumes here looks again and writes this line again.
        self.figures(run, step + 1, "partners", &figures)?;
        Ok(found)
    }

    /// Keeps the encoders of this step, if the configuration asks for a curve.
    pub(super) fn snapshot(
        &self,
        run: &Run<'_>,
        method: &dyn Method,
        step: u64,
    ) -> Result<(), PretrainError> {
        if run.config.snapshot_epochs > 0 {
            write_encoders(run, method, step, &format!("snapshots/encoder-{step:07}"))?;
        }
        Ok(())
    }

    pub(super) fn checkpoint(
        &self,
        position: &Position,
        method: &dyn Method,
        collapse: &CollapseWatch,
        partners: Option<&Partners>,
    ) -> Result<(), PretrainError> {
        let mut state = method.state();
        if let Some(partners) = partners {
            partners.store(&mut state);
        }
        state
            .numbers
            .insert("collapse.low".to_string(), collapse.state());
        Ok(checkpoint::save(&self.checkpoint, position, &state)?)
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> PretrainError {
    let path = path.to_path_buf();
    move |source| PretrainError::Log { path, source }
}

/// Writes every network's encoder file.
pub(super) fn write_encoders(
    run: &Run<'_>,
    method: &dyn Method,
    step: u64,
    stem: &str,
) -> Result<Vec<PathBuf>, PretrainError> {
    let Run {
        config, windows, ..
    } = *run;
    let mut subjects = windows.subjects().to_vec();
    subjects.sort_unstable();
    subjects.dedup();
    let provenance = Provenance {
        data_digest: windows.digests().join(","),
        split: run.split.to_string(),
        subjects,
        method: config.method.name().to_string(),
        epochs: step * config.batch as u64 / windows.len().max(1) as u64,
        steps: step,
        seed: config.seed,
        preprocessing_version: PREPROCESSING_VERSION,
        config_digest: config.digest(),
        labels: labels_used(run),
        base: run.start.map(|start| Box::new(start.provenance.clone())),
    };
    let before = run.start.map_or(&[][..], |start| &start.seen);
    let seen = guard::join(before, windows.recordings().iter().copied());
    let mut paths = Vec::new();
    let mut classifiers = method.classifiers().into_iter();
    for network in method.networks() {
        let classifier = classifiers.next().map(|classifier| classifier.valid());
        let description = Description {
            config: config
                .encoder(windows.topology())
                .with_streams(network.streams),
            normalize: config.normalize(),
            classes: match classifier {
                Some(_) => windows.classes().to_vec(),
                None => Vec::new(),
            },
            temperature: None,
            provenance: provenance.clone(),
            seen: seen.clone(),
        };
        let separator = if network.name.is_empty() { "" } else { "-" };
        let path = run
            .folder
            .join(format!("{stem}{separator}{}.safetensors", network.name));
        save(
            &path,
            &network.encoder.valid(),
            classifier.as_ref(),
            &description,
        )?;
        paths.push(path);
    }
    Ok(paths)
}
