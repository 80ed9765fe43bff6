//! The pretraining loop: views in, one loss, one step, and everything written so that a kill loses no work.
//!
//! It knows no method and no file format of recordings. Its result depends only on configuration and data, not on the number of
//! threads: a run that is killed at any moment and resumed ends with the same bytes on the CPU. Between kinds of processors
//! (with and without AVX-512, say) the last bits differ, because their matrix products add in another order.

pub mod batch;
pub mod checkpoint;
pub mod config;
mod error;
mod files;
pub mod layers;
pub mod log;
pub mod monitor;
pub mod partners;
pub mod schedule;
pub mod start;
pub mod teacher;
pub mod tensorboard;

use burn::tensor::Device;
use std::path::{Path, PathBuf};
use tendon_data::windows::Windows;

use batch::Batches;
use checkpoint::Position;
use config::{MethodConfig, PretrainConfig};
use files::{CHECKPOINT, Files, write_encoders};
use monitor::Monitor;
use partners::{Partners, PartnersConfig};
use start::Start;
use teacher::Teacher;

use crate::contrast::CollapseWatch;
use crate::evaluate::labels::choose;
use crate::method::{
    AimClr, Cmcs, Drawn, Lessons, Material, Method, MethodError, Moment, MsMclr, Psp, SkeleMixClr,
    SkeleMoClr, SkeletonClr, Transfer,
};

pub use error::PretrainError;

/// A run: what to train on, how, and where to write.
pub struct Run<'a> {
    /// How.
    pub config: &'a PretrainConfig,
    /// On what; labels are only used by the monitor, and by methods whose configuration says how many of them.
    pub windows: &'a dyn Windows,
    /// The split that chose the windows, for the record.
    pub split: &'a str,
    /// Where tensors live, without autodiff. The first device holds the networks and makes the steps; further ones share the
    /// windows that the encoders see. The number of devices changes a result only by rounding.
    pub devices: &'a [Device],
    /// Where files go; what is there is never removed.
    pub folder: &'a Path,
    /// The encoder to start from; nothing means random weights.
    pub start: Option<&'a Start>,
    /// Embeddings to learn from, for the method that needs them.
    pub teacher: Option<&'a Teacher>,
    /// Goes on from the folder's checkpoint.
    pub resume: bool,
    /// Wall time in seconds since 1970, for the logs.
    pub clock: &'a dyn Fn() -> f64,
}

/// What the loop tells while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The run starts or goes on after `step` of `steps` steps.
    Started {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Its loss.
        loss: f64,
    },
    /// The monitor has looked at the features.
    Monitor {
        /// Steps done.
        step: u64,
        /// Share of right answers, 0..=1.
        top1: f64,
    },
}

/// What the caller wants after some progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Continue,
    /// Write a checkpoint and return.
    Save,
    /// Return at once and write nothing, as a kill would.
    Abandon,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Encoder files, if the run is complete.
    pub encoders: Vec<PathBuf>,
}

/// Runs or resumes a pretraining run; `watch` sees progress and may stop it.
///
/// # Errors
/// See [`PretrainError`]; the folder's last checkpoint stays valid.
pub fn pretrain(
    run: &Run<'_>,
    mut watch: impl FnMut(Progress) -> Wish,
) -> Result<Outcome, PretrainError> {
    let Run {
        config,
        windows,
        devices,
        ..
    } = *run;
    let device = devices.first().ok_or(PretrainError::NoDevice)?;
    let per_epoch = (windows.len() / config.batch) as u64;
    if per_epoch == 0 {
        return Err(PretrainError::TooFew {
            windows: windows.len(),
            batch: config.batch,
        });
    }
    let steps = config.epochs * per_epoch;
    let chosen = labelled(run)?;
    let mut method = method(run, chosen.lessons.as_ref(), device)?;
    let mut collapse = CollapseWatch::default();
    let (mut position, partners) = restore(run, method.as_mut(), &mut collapse)?;
    share(method.as_mut(), run)?;
    let mut files = Files::open(run, run.resume.then_some(position.step))?;
    let monitor = Monitor::new(config.monitor, windows);
    let mut batches = Batches::new(windows, config.seed);
    if let Some(labelled) = &chosen.windows {
        batches = batches.labelled(labelled.clone());
    }
    let draws = method.draws();
    if let Some(partners) = partners {
        batches.pair(partners);
    }
    let views = || draws.iter().flat_map(|draw| &draw.views);
    if config.partners.is_some() && !views().any(|view| view.partner) {
        let method = config.method.name();
        return Err(PretrainError::NoPartners { method });
    }
    // Partners are looked for before the first step of an epoch.
    let search = |step: u64| {
        let every = |config: PartnersConfig| step.is_multiple_of(config.epochs * per_epoch);
        config.partners.filter(|config| every(*config))
    };

    let mut wish = watch(Progress::Started {
        step: position.step,
        steps,
    });
    if !run.resume {
        if let Some(top1) = files.monitor(run, &monitor, method.as_ref(), 0)? {
            wish = wish.max(watch(Progress::Monitor { step: 0, top1 }));
        }
        files.snapshot(run, method.as_ref(), 0)?;
        files.checkpoint(&position, method.as_ref(), &collapse, None)?;
    }
    let moment = |step| Moment {
        seed: config.seed,
        epoch: step / per_epoch,
        step,
    };
    let prepare =
        |batches: &mut Batches<'_>, step| batches.prepare(&draws, &moment(step), step % per_epoch);
    let mut ahead = None;
    while position.step < steps && wish == Wish::Continue {
        let step = position.step;
        if let Some(partners) = search(step) {
            batches.pair(files.partners(run, partners, method.as_ref(), step)?);
        }
        let rate = config.schedule.at(step, per_epoch, config.epochs);
        let prepared = match ahead.take() {
            Some(prepared) => prepared,
            None => prepare(&mut batches, step)?,
        };
        let drawn: Vec<Drawn> = prepared.into_iter().map(|draw| draw.onto(device)).collect();
        // The next step's windows are augmented while this step runs, unless this step decides which they are.
        let known = step + 1 < steps && search(step + 1).is_none();
        let (figures, next) = std::thread::scope(|scope| {
            let next = known.then(|| scope.spawn(|| prepare(&mut batches, step + 1)));
            let figures = train(method.as_mut(), &drawn, &moment(step), rate, &mut collapse);
            let next = next.map(|next| match next.join() {
                Ok(next) => next,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            (figures, next)
        });
        let figures = figures?;
        let value = figures[0].1;
        ahead = next.transpose()?;
        position.step += 1;

        files.figures(run, position.step, "train", &figures)?;
        wish = watch(Progress::Step {
            step: position.step,
            loss: value,
        });
        if wish == Wish::Abandon {
            break;
        }
        let epochs = position.step / per_epoch;
        if position.step.is_multiple_of(per_epoch) {
            let due = |every: u64| every > 0 && epochs.is_multiple_of(every);
            if due(config.monitor.epochs)
                && let Some(top1) = files.monitor(run, &monitor, method.as_ref(), position.step)?
            {
                wish = wish.max(watch(Progress::Monitor {
                    step: position.step,
                    top1,
                }));
            }
            if due(config.snapshot_epochs) {
                files.snapshot(run, method.as_ref(), position.step)?;
            }
        }
        let due = position.step.is_multiple_of(config.checkpoint_steps) || position.step == steps;
        if due || wish == Wish::Save {
            files.checkpoint(&position, method.as_ref(), &collapse, batches.partners())?;
        }
    }
    let complete = position.step == steps && wish != Wish::Abandon;
    let encoders = if complete {
        write_encoders(run, method.as_ref(), steps, "encoder")?
    } else {
        Vec::new()
    };
    Ok(Outcome {
        step: position.step,
        steps,
        encoders,
    })
}

/// One step on its windows; its figures, of which the loss is the first.
fn train(
    method: &mut dyn Method,
    drawn: &[Drawn],
    moment: &Moment,
    rate: f64,
    collapse: &mut CollapseWatch,
) -> Result<Vec<(&'static str, f64)>, MethodError> {
    let loss = method.loss(drawn, moment)?;
    let value = f64::from(loss.value.clone().into_scalar::<f32>());
    let (spread, dim) = loss.spread;
    collapse.check(moment.step, value, spread, dim)?;
    let norm = method.learn(&loss.value.backward(), rate);
    let mut figures = vec![
        ("loss", value),
        ("rate", rate),
        ("spread", spread),
        ("gradient_norm", norm),
    ];
    figures.extend(loss.figures);
    Ok(figures)
}

impl Wish {
    /// The more urgent of two wishes.
    fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Abandon, _) | (_, Self::Abandon) => Self::Abandon,
            (Self::Save, _) | (_, Self::Save) => Self::Save,
            (Self::Continue, Self::Continue) => Self::Continue,
        }
    }
}

/// Windows that keep their labels, and what the teacher says about them.
struct Labelled {
    /// Nothing if the method uses no labels.
    windows: Option<Vec<usize>>,
    lessons: Option<Lessons>,
}

/// Chooses the windows that keep their labels and asks the teacher about them.
fn labelled(run: &Run<'_>) -> Result<Labelled, PretrainError> {
    let (config, windows) = (run.config, run.windows);
    let amount = config.method.labels();
    let chosen = amount.map(|(amount, draw)| choose(windows.labels(), amount, config.seed, draw));
    let learns = matches!(config.method, MethodConfig::Transfer(_));
    match (learns, run.teacher, chosen) {
        (true, Some(teacher), Some(chosen)) => {
            let lessons = teacher.lessons(windows, &chosen)?;
            Ok(Labelled {
                windows: Some(lessons.windows()),
                lessons: Some(lessons),
            })
        }
        (false, None, windows) => Ok(Labelled {
            windows,
            lessons: None,
        }),
        (needed, ..) => Err(PretrainError::NoTeacher {
            method: config.method.name(),
            needed,
        }),
    }
}

/// Which labels a run uses, for whoever uses its encoder; empty for none.
fn labels_used(run: &Run<'_>) -> String {
    let Some((amount, draw)) = run.config.method.labels() else {
        return String::new();
    };
    let from = run.teacher.map_or(String::new(), |teacher| {
        format!(", as embeddings of {}", teacher.model())
    });
    format!("{amount} of the training windows, draw {draw}{from}")
}

/// The method that the configuration names, with new networks.
fn method(
    run: &Run<'_>,
    lessons: Option<&Lessons>,
    device: &Device,
) -> Result<Box<dyn Method>, PretrainError> {
    let Run {
        config, windows, ..
    } = *run;
    let encoder = config.encoder(windows.topology());
    let (optimizer, batch, seed) = (config.optimizer, config.batch, config.seed);
    let material = Material {
        windows: windows.len(),
        classes: windows.classes().len(),
        batch,
    };
    Ok(match config.method.clone() {
        MethodConfig::SkeletonClr(method) => Box::new(SkeletonClr::new(
            method, &encoder, optimizer, batch, seed, device,
        )?),
        MethodConfig::SkeleMixClr(method) => Box::new(SkeleMixClr::new(
            method, &encoder, optimizer, batch, seed, device,
        )?),
        MethodConfig::Cmcs(method) => {
            Box::new(Cmcs::new(method, &encoder, optimizer, batch, seed, device)?)
        }
        MethodConfig::AimClr(method) => Box::new(AimClr::new(
            method, &encoder, optimizer, batch, seed, device,
        )?),
        MethodConfig::MsMclr(method) => Box::new(MsMclr::new(
            method, &encoder, optimizer, batch, seed, device,
        )?),
        MethodConfig::SkeleMoClr(method) => Box::new(SkeleMoClr::new(
            method, &encoder, optimizer, material, seed, device,
        )?),
        MethodConfig::Psp(method) => Box::new(Psp::new(
            method, &encoder, optimizer, material, seed, device,
        )?),
        MethodConfig::Transfer(method) => {
            let lessons = lessons.ok_or(PretrainError::NoTeacher {
                method: config.method.name(),
                needed: true,
            })?;
            let material = (lessons, batch);
            Box::new(Transfer::new(
                method, &encoder, optimizer, material, seed, device,
            )?)
        }
    })
}

/// Has several devices share the windows of the method's encoders.
fn share(method: &mut dyn Method, run: &Run<'_>) -> Result<(), PretrainError> {
    if run.devices.len() < 2 {
        return Ok(());
    }
    let encoders = method.encoders();
    if encoders.is_empty() {
        return Err(PretrainError::OneDevice {
            what: run.config.method.name(),
        });
    }
    for encoder in encoders {
        if !encoder.share(run.devices) {
            let what = "a dsta encoder";
            return Err(PretrainError::OneDevice { what });
        }
    }
    Ok(())
}

/// Puts the folder's checkpoint into the method, if the run resumes; where it stands, and the partners of then.
fn restore(
    run: &Run<'_>,
    method: &mut dyn Method,
    collapse: &mut CollapseWatch,
) -> Result<(Position, Option<Partners>), PretrainError> {
    let path = run.folder.join(CHECKPOINT);
    let base = run.start.map_or("", |start| &start.digest);
    let teacher = run.teacher.map_or("", |teacher| &teacher.digest);
    let start = Position::start(
        run.config.digest() + base + teacher,
        run.windows.digests().join(","),
        run.split.to_string(),
    );
    match (run.resume, checkpoint::load(&path, &start)) {
        (true, Ok(Some((position, state)))) => {
            method.restore(&state)?;
            collapse.restore(state.number("collapse.low")?);
            let (config, windows) = (run.config.partners, run.windows.len());
            // At the very start nobody has looked for any yet.
            let config = config.filter(|_| position.step > 0);
            let partners = config.map(|config| Partners::restore(config, windows, &state));
            Ok((position, partners.transpose()?))
        }
        (true, Ok(None)) => Err(PretrainError::NothingToResume { path }),
        (true, Err(error)) => Err(error.into()),
        (false, Ok(None)) => {
            if let Some(base) = run.start {
                base.put(method, run.config)?;
            }
            Ok((start, None))
        }
        (false, _) => Err(PretrainError::Occupied { path }),
    }
}

#[cfg(test)]
mod tests;
