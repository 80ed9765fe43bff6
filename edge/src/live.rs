//! The pipeline that the agent runs: a [`Runner`] behind the agent's seam.

mod shadow;

pub use shadow::ShadowConfig;

use crate::capture::Event;
use crate::pipeline::{Idle, Output, Pipeline, Standing};
use crate::runner::{PipelineConfig, Recognised, Runner, WindowError};
use shadow::{Shadow, Verdict};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tendon_adapt::adapter::{Places, Work};
use tendon_adapt::candidates::LabelError;
use tendon_adapt::guard::Scores;
use tendon_adapt::state::StateError;
use tendon_bundle::VerifiedBundle;
use tendon_shared::protocol::adapt::{AdaptCommand, AdaptReport, Label, Labelled, Serving};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::telemetry::{Counters, InputCounts, Numbered, Recognition};
use tendon_shared::topology::TopologyId;

/// What a pipeline needs beside bundles.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    /// Windows, reports, adaptation.
    pub pipeline: PipelineConfig,
    /// Folder of the adaptation's state and journal; nothing is kept without.
    pub folder: Option<PathBuf>,
    /// How a new bundle is watched before it serves.
    pub shadow: ShadowConfig,
    /// Seed of views and restored weights.
    pub seed: u64,
}

/// Reported for windows of no known action; their class is [`u8::MAX`].
const UNKNOWN: &str = "unknown";

/// Windows, encoder and adaptation for whichever bundle serves.
pub struct Live {
    config: LiveConfig,
    runner: Option<Runner>,
    standing: Standing,
    /// The bundle before, which still serves while the one in `runner` is watched.
    shadow: Option<Shadow>,
    /// What the pose source said of its skeleton; it says so only once.
    source: Option<TopologyId>,
    windows: u64,
    sure: u64,
    spent_us: u64,
    labelled: u64,
    correct: u64,
    correct_base: u64,
}

impl Live {
    /// A pipeline without a bundle: poses are forgotten until one serves.
    #[must_use]
    pub fn new(config: LiveConfig) -> Self {
        Self {
            config,
            runner: None,
            standing: Standing::Trial,
            shadow: None,
            source: None,
            windows: 0,
            sure: 0,
            spent_us: 0,
            labelled: 0,
            correct: 0,
            correct_base: 0,
        }
    }

    /// Each bundle has its own files, so that a bundle that comes back finds what it had learnt. A trial leaves no trace.
    fn places(&self, bundle: &VerifiedBundle, standing: Standing) -> Places {
        let Some(folder) = self
            .config
            .folder
            .as_ref()
            .filter(|_| standing == Standing::Confirmed)
        else {
            return Places::default();
        };
        let name: String = tendon_bundle::hex::encode(&bundle.id())
            .chars()
            .take(16)
            .collect();
        Places {
            state: Some(folder.join(format!("adapt-{name}.state"))),
            journal: Some(folder.join(format!("adapt-{name}.jsonl"))),
        }
    }

    /// Whose answers are seen.
    fn serving(&mut self) -> Option<&mut Runner> {
        match &mut self.shadow {
            Some(shadow) => Some(&mut shadow.before),
            None => self.runner.as_mut(),
        }
    }

    /// Lets the bundle that is watched serve, and keeps what the one before has learnt.
    fn end_shadow(&mut self) {
        if let Some(mut shadow) = self.shadow.take() {
            shadow.before.adapter_mut().save();
        }
    }

    fn count_window(&mut self, recognised: &Recognised, classes: usize, started: Instant) {
        self.windows += 1;
        self.spent_us += u64::try_from(started.elapsed().as_micros()).unwrap_or(0);
        self.sure += u64::from(recognised.sure);
        // A label that is no class marks an unknown action.
        let label = recognised.label;
        if let Some(label) = label.filter(|label| usize::from(*label) < classes) {
            self.labelled += 1;
            self.correct += u64::from(label == recognised.class);
            self.correct_base += u64::from(label == recognised.base_class);
        }
    }
}

impl Pipeline for Live {
    type Bundle = VerifiedBundle;
    type Event = Event;

    fn switch(&mut self, bundle: Arc<VerifiedBundle>, standing: Standing) -> Result<(), WireError> {
        let same = self
            .runner
            .as_ref()
            .is_some_and(|runner| runner.bundle().id() == bundle.id());
        if same && self.standing == standing {
            return Ok(());
        }
        let before = self
            .shadow
            .take_if(|shadow| shadow.before.bundle().id() == bundle.id());
        if let (Some(shadow), Standing::Confirmed) = (before, standing) {
            // It never stopped serving.
            self.runner = Some(shadow.before);
            self.standing = standing;
            return Ok(());
        }
        let places = self.places(&bundle, standing);
        let (runner, refused) = Runner::start(
            bundle,
            &self.config.pipeline,
            places.clone(),
            self.config.seed,
        )
        .map_err(|_| WireError::NoModel)?;
        if let (Some(StateError::Damaged(_) | StateError::OtherBase { .. }), Some(path)) =
            (refused, &places.state)
        {
            // Kept for whoever wants to know why; the next save would overwrite it.
            let _ = std::fs::rename(path, path.with_extension("damaged"));
        }
        self.end_shadow();
        let mut runner = runner;
        if let Some(topology) = self.source {
            runner.take(Event::Hello { topology });
        }
        if let Some(mut old) = self.runner.take() {
            old.adapter_mut().save();
            let proved = self.standing == Standing::Confirmed;
            if proved && standing == Standing::Trial && self.config.shadow.windows > 0 {
                self.shadow = Some(Shadow::new(old, self.config.shadow));
            }
        }
        if places.state.as_ref().is_some_and(|path| !path.exists()) {
            // From the first moment on the folder says which bundle a stored state must belong to.
            runner.adapter_mut().save();
        }
        if let Some(folder) = self
            .config
            .folder
            .as_ref()
            .filter(|_| standing == Standing::Confirmed)
        {
            prune(folder, &places);
        }
        self.runner = Some(runner);
        self.standing = standing;
        Ok(())
    }

    fn clear(&mut self) {
        self.runner = None;
        self.shadow = None;
    }

    fn take(&mut self, event: Event, output: &mut dyn FnMut(Output)) {
        if let Event::Hello { topology } = event {
            self.source = Some(topology);
        }
        let event = match event {
            // What a bridge says needs no bundle.
            Event::Answer(recognition) => return output(Output::Recognition(*recognition)),
            Event::Bridge(report) => return output(Output::Bridge(*report)),
            event => event,
        };
        let Some(runner) = &mut self.runner else {
            return;
        };
        let started = Instant::now();
        let report_unknown = self.config.pipeline.infer.report_unknown;
        if let Some(shadow) = &mut self.shadow {
            let answered = shadow.before.take(event.clone());
            if let Some(Ok(recognised)) = answered {
                shadow.answered(&recognised);
                output(told(&shadow.before, &recognised, report_unknown));
                let classes = shadow.before.bundle().manifest().classes.len();
                self.count_window(&recognised, classes, started);
            }
            self.watch(event, output);
            return;
        }
        let Some(result) = runner.take(event) else {
            return;
        };
        if tells_of_the_bundle(&result) {
            output(Output::Window {
                healthy: result.is_ok(),
            });
        }
        let Ok(recognised) = result else { return };
        output(told(runner, &recognised, report_unknown));
        let classes = runner.bundle().manifest().classes.len();
        self.count_window(&recognised, classes, started);
    }

    fn idle(&mut self, output: &mut dyn FnMut(Output)) -> Idle {
        let Some(runner) = self.serving() else {
            return Idle::Nothing;
        };
        match runner.idle() {
            Work::Nothing => Idle::Nothing,
            Work::More => Idle::More,
            Work::Updated(_) => {
                output(Output::Adapt(report(runner)));
                Idle::More
            }
        }
    }

    fn command(&mut self, command: AdaptCommand) -> Result<AdaptReport, WireError> {
        let runner = self.serving().ok_or(WireError::NoModel)?;
        match command {
            AdaptCommand::Report => {}
            AdaptCommand::Enable => runner.adapter_mut().enable(true),
            AdaptCommand::Disable => runner.adapter_mut().enable(false),
            AdaptCommand::Undo => {
                if !runner.adapter_mut().undo() {
                    return Err(WireError::NothingToUndo);
                }
            }
            AdaptCommand::UndoUpdate { to } => {
                runner
                    .adapter_mut()
                    .undo_to(to)
                    .map_err(|_| WireError::NothingToUndo)?;
            }
        }
        Ok(report(runner))
    }

    fn label(&mut self, label: &Label) -> Result<Labelled, WireError> {
        let runner = self.serving().ok_or(WireError::NoModel)?;
        Ok(match runner.label(label.window, &label.class) {
            Ok(named) => Labelled::Taken {
                window: named.window,
                class: u8::try_from(named.label).unwrap_or(u8::MAX),
                named: u32::try_from(named.trusted).unwrap_or(u32::MAX),
            },
            Err(LabelError::Window { known, .. }) => Labelled::UnknownWindow { known },
            Err(LabelError::Class { known, .. }) => Labelled::UnknownClass {
                known: listed(&known),
            },
            Err(LabelError::Off) => Labelled::Off,
        })
    }

    fn count(&self, counters: &mut Counters) {
        counters.windows = self.windows;
        counters.sure = self.sure;
        counters.window_us = u32::try_from(self.spent_us / self.windows.max(1)).unwrap_or(u32::MAX);
        counters.labelled = self.labelled;
        counters.correct = self.correct;
        counters.correct_base = self.correct_base;
        let Some(runner) = &self.runner else { return };
        let tracks = runner.tracks().counts();
        counters.poses = tracks.poses;
        counters.bad_poses += tracks.wrong_joints + tracks.out_of_order + runner.foreign_poses();
        let report = report(runner);
        counters.updates = report.updates;
        counters.guard_base = report.guard_base;
        counters.guard_adapted = report.guard_adapted;
    }

    fn inputs(&self, counts: &mut InputCounts) {
        let Some(runner) = &self.runner else { return };
        let tracks = runner.tracks().counts();
        let adapt = runner.adapter().counts();
        counts.nameable = runner.adapter().nameable();
        counts.tracks = u32::try_from(runner.tracks().len()).unwrap_or(u32::MAX);
        counts.clock_resets = tracks.clock_resets;
        counts.foreign = tracks.wrong_joints + runner.foreign_poses();
        counts.out_of_order = tracks.out_of_order;
        counts.crowded = tracks.evicted;
        counts.overrun = tracks.overrun;
        counts.poor = tracks.poor;
        counts.frozen = adapt.frozen;
        counts.torn = adapt.torn;
        counts.unknown = adapt.unknown;
        counts.named = adapt.labelled;
    }

    fn close(&mut self) {
        self.end_shadow();
        if let Some(runner) = &mut self.runner {
            runner.adapter_mut().save();
        }
    }
}

impl Live {
    /// Shows an event to the bundle that is watched, and ends the watch when enough is known.
    fn watch(&mut self, event: Event, output: &mut dyn FnMut(Output)) {
        let (Some(runner), Some(shadow)) = (&mut self.runner, &mut self.shadow) else {
            return;
        };
        let Some(result) = runner.take(event) else {
            return;
        };
        let verdict = match &result {
            Ok(recognised) => shadow.judge(runner, recognised),
            Err(_) if tells_of_the_bundle(&result) => Verdict::Failed,
            Err(_) => Verdict::Open,
        };
        match verdict {
            Verdict::Open => {}
            // What went well so far does not count towards the trial: it begins when the bundle serves.
            Verdict::Passed => self.end_shadow(),
            Verdict::Failed => output(Output::Window { healthy: false }),
        }
    }
}

/// Whether a window says something about the bundle: one without a person does not, one that the encoder cannot answer does.
const fn tells_of_the_bundle(result: &Result<Recognised, WindowError>) -> bool {
    !matches!(result, Err(WindowError::Empty | WindowError::Prepare(_)))
}

/// A recognised window as others are told of it.
fn told(runner: &Runner, recognised: &Recognised, report_unknown: bool) -> Output {
    let unknown = recognised.unknown && report_unknown;
    let name = if unknown {
        heapless::String::try_from(UNKNOWN).unwrap_or_default()
    } else {
        let classes = &runner.bundle().manifest().classes;
        let name = classes.get(usize::from(recognised.class));
        name.cloned().unwrap_or_default()
    };
    let recognition = Recognition {
        time_ms: recognised.end_ms,
        track: recognised.track,
        class: match u8::try_from(recognised.class) {
            Ok(class) if !unknown => class,
            _ => u8::MAX,
        },
        name,
        confidence: thousandths(recognised.confidence),
        sure: recognised.sure && !unknown,
        serving: if recognised.adapted {
            Serving::Adapted
        } else {
            Serving::Base
        },
    };
    match recognised.window {
        Some(window) => Output::Numbered(Numbered {
            window,
            recognition,
        }),
        None => Output::Recognition(recognition),
    }
}

fn report(runner: &Runner) -> AdaptReport {
    let adapter = runner.adapter();
    let counts = adapter.counts();
    let latest = adapter.guard().latest();
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let told = |scores: Option<&Scores>| scores.map_or(0, |scores| thousandths(scores.information));
    AdaptReport {
        enabled: adapter.enabled(),
        serving: if adapter.serves() {
            Serving::Adapted
        } else {
            Serving::Base
        },
        updates: small(adapter.updates()),
        memory: small(adapter.memory().entries().len() as u64),
        accepted: small(counts.accepted),
        refused: small(counts.unsure + counts.poor),
        guard_base: told(latest.map(|latest| &latest.base)),
        guard_adapted: told(latest.map(|latest| &latest.adapted)),
        discarded: adapter.guard().discarded(),
    }
}

/// As many of the names as fit, with commas between them.
fn listed<const N: usize>(names: &[String]) -> heapless::String<N> {
    let mut text = heapless::String::<N>::new();
    for name in names {
        let comma = if text.is_empty() { "" } else { ", " };
        if text.len() + comma.len() + name.len() > N {
            break;
        }
        // There is room, as was just seen.
        let _ = text.push_str(comma).and_then(|()| text.push_str(name));
    }
    text
}

/// A share 0..=1 in thousandths.
fn thousandths(share: f32) -> u16 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() as u16
}

/// States that are kept in all: those of the two slots and the one before.
const KEPT_STATES: usize = 3;

/// Removes the oldest states beyond [`KEPT_STATES`], never the one that serves. Errors leave files behind, which does no harm.
fn prune(folder: &Path, serving: &Places) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut states: Vec<(std::time::SystemTime, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "state")
        })
        .filter(|path| serving.state.as_ref() != Some(path))
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    states.sort();
    let surplus = (states.len() + 1).saturating_sub(KEPT_STATES);
    for (_, path) in states.into_iter().take(surplus) {
        let _ = std::fs::remove_file(path.with_extension("jsonl"));
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
