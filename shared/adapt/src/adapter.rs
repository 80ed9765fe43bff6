//! Adaptation to one home with one bundle: takes recognised windows, works in pieces, says which tail serves.

use super::candidates::{Candidate, Candidates};
use super::config::AdaptConfig;
use super::estimate::Yardstick;
use super::features::Features;
use super::flat;
use super::gate::{self, Refusal};
use super::guard::Guard;
use super::history::{History, Snapshot};
use super::journal::{Journal, Lecture, Record, Sifted};
use super::keys::{Key, Keys};
use super::memory::{Entry, Memory};
use super::model::{Model, Prediction};
use super::optimiser::Optimiser;
use super::recent::{Compared, Recent};
use super::source::SourceBuffer;
use super::state::StateError;
use super::supports::Supports;
use super::update::{Pupils, Step, Summary};
use serde::Serialize;
use std::collections::VecDeque;
use std::path::PathBuf;
use tendon_shared::pose::Presence;

mod course;
mod kept;

/// Windows that may wait to be looked at; the oldest gives way.
const INBOX: usize = 32;

/// What a bundle brings for adaptation.
pub struct Base {
    /// Digest of the bundle.
    pub digest: String,
    /// Its tail.
    pub model: Model,
    /// Its source buffer.
    pub source: SourceBuffer,
    /// Its classes' names.
    pub classes: Vec<String>,
}

/// Where adaptation keeps its files; nothing is kept without.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The state.
    pub state: Option<PathBuf>,
    /// The journal.
    pub journal: Option<PathBuf>,
}

/// A window as adaptation takes it. It has no label.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its track.
    pub track: u64,
    /// When it ended, milliseconds.
    pub end_ms: u64,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
    /// Which bodies are there.
    pub presence: Presence,
    /// The normalised window, `[body, 3, frame, joint]`; forgotten once its strong view is made.
    pub data: Vec<f32>,
    /// Trunk features of the window itself.
    pub weak: Features,
    /// Why the window may not teach, whatever the teacher says of it.
    pub refused: Option<Refusal>,
}

/// Counters of adaptation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AdaptCounts {
    /// Windows that passed the gate.
    pub accepted: u64,
    /// Windows that the teacher was not sure about.
    pub unsure: u64,
    /// Windows with too few joints.
    pub poor: u64,
    /// Windows in which the picture stood still.
    pub frozen: u64,
    /// Windows in which the body leapt: two persons in one track.
    pub torn: u64,
    /// Windows of no action that the bundle knows.
    pub unknown: u64,
    /// Windows that a person named.
    pub labelled: u64,
    /// Windows that were not looked at, because more came than idle time allowed.
    pub dropped: u64,
    /// Updates in all.
    pub updates: u64,
    /// Times that a file could not be written.
    pub write_errors: u64,
}

/// What a piece of work led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// There is nothing to do.
    Nothing,
    /// There is more to do.
    More,
    /// An update is over.
    Updated(Box<Record>),
}

/// The stages of an update.
enum Stage {
    Rest,
    Step(Box<Step>),
    Judge(Box<Compared>),
}

/// What a named window was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its number.
    pub window: u64,
    /// The class.
    pub label: u16,
    /// Windows in memory that persons named.
    pub trusted: usize,
}

/// Adaptation's state and rules.
pub struct Adapter {
    config: AdaptConfig,
    seed: u64,
    base: Base,
    learning: burn::tensor::Device,
    base_weights: Vec<f32>,
    /// What the shipped tail is measured with.
    yardstick: Yardstick,
    pupils: Pupils,
    guard: Guard,
    memory: Memory,
    keys: Keys,
    supports: Supports,
    recent: Recent,
    candidates: Candidates,
    history: History,
    /// What the tail was before the update at hand.
    before: Option<Snapshot>,
    sifted: Sifted,
    journal: Journal,
    places: Places,
    inbox: VecDeque<(u64, Observed)>,
    stage: Stage,
    summary: Summary,
    taught: Vec<Lecture>,
    steps_left: usize,
    fresh: usize,
    idle_left: usize,
    windows: u64,
    newest_ms: u64,
    /// When the last update began.
    updated_ms: Option<u64>,
    /// When the tail began from the shipped one.
    began_ms: Option<u64>,
    /// When the window that was looked at last ended, whatever came before.
    latest_ms: u64,
    enabled: bool,
    paused: bool,
    compared: Vec<(u64, u16, u16)>,
    counts: AdaptCounts,
}

impl Adapter {
    /// Begins with the shipped tail, or where the stored state of the same bundle left off. The second value says why a stored
    /// state was not taken.
    #[must_use]
    pub fn new(
        base: Base,
        config: AdaptConfig,
        places: Places,
        seed: u64,
    ) -> (Self, Option<StateError>) {
        let base_weights = base.model.base_weights();
        let yardstick = yardstick(&base, base.model.base(), config.micro_batch);
        let pupils = Pupils {
            student: base_weights.clone(),
            teacher: base_weights.clone(),
            tail: base.model.base().clone(),
            optimiser: Optimiser::new(&config.student, base_weights.len()),
            updates: 0,
        };
        let mut adapter = Self {
            learning: super::device::learning(),
            pupils,
            guard: Guard::default(),
            memory: Memory::new(config.memory),
            keys: Keys::default(),
            supports: Supports::default(),
            recent: Recent::new(config.guard.recent),
            candidates: Candidates::default(),
            history: History::new(config.keep_updates),
            before: None,
            sifted: Sifted::default(),
            journal: Journal::new(places.journal.clone()),
            inbox: VecDeque::with_capacity(INBOX),
            stage: Stage::Rest,
            summary: Summary::default(),
            taught: Vec::new(),
            steps_left: 0,
            fresh: 0,
            idle_left: 0,
            windows: 0,
            newest_ms: 0,
            updated_ms: None,
            began_ms: None,
            latest_ms: 0,
            enabled: config.enabled,
            paused: false,
            compared: Vec::new(),
            counts: AdaptCounts::default(),
            config,
            seed,
            base,
            base_weights,
            yardstick,
            places,
        };
        let refused = adapter.resume().err();
        (adapter, refused)
    }

    /// Whether windows are learnt from.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Turns learning on or off; a tail that serves keeps serving. Stored at once.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.save();
    }

    /// Whether the adapted tail answers.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.guard.serves() && self.pupils.updates > 0
    }

    /// Updates of the tail since it was made.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.pupils.updates
    }

    /// The guard's memory.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Windows in memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Windows that persons named, as they answer for others.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Windows that the encoder was sure of, as they answer for others.
    #[must_use]
    pub fn supports(&self) -> &Supports {
        &self.supports
    }

    /// Forgets these: the poses that they were seen in are corrected otherwise from now on.
    pub fn forget_supports(&mut self) {
        self.supports.clear();
    }

    /// Takes a window that was [observed](Self::observe) as a support of its class. The caller has asked the gate.
    pub fn support(&mut self, key: Key) {
        if self.enabled && !self.paused {
            self.supports.insert(key, self.config.supports.capacity);
        }
    }

    /// Counters.
    #[must_use]
    pub fn counts(&self) -> AdaptCounts {
        self.counts
    }

    /// Windows observed in all: the number of the next one.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.windows
    }

    /// Learns nothing from now on and stores nothing of it: for measuring.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// The windows of the latest comparison: number, class of the shipped and of the adapted tail.
    #[must_use]
    pub fn compared(&self) -> &[(u64, u16, u16)] {
        &self.compared
    }

    /// What the adapted tail says about a window.
    #[must_use]
    pub fn predict(&self, features: &Features) -> Option<Prediction> {
        self.base
            .model
            .predict(&self.pupils.tail, std::iter::once(features))
            .pop()
    }

    /// Accuracy of base and adapted tail on the bundle's source buffer, 0..=1.
    #[must_use]
    pub fn source_accuracy(&self) -> (f32, f32) {
        (
            self.yardstick.accuracy,
            yardstick(&self.base, &self.pupils.tail, self.config.micro_batch).accuracy,
        )
    }

    /// Numbers of the oldest and the newest window that a person can name.
    #[must_use]
    pub fn nameable(&self) -> Option<(u64, u64)> {
        self.candidates.range()
    }

    /// The tails that can be gone back to, oldest first.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes a window that was recognised, and gives its number. Cheap: it is only looked at in [`Self::work`]. Nothing when the
    /// device does not learn.
    pub fn observe(&mut self, observed: Observed) -> Option<u64> {
        if !self.enabled || self.paused {
            return None;
        }
        let window = self.windows;
        self.windows += 1;
        if observed.weak.values().is_empty() {
            // Nobody is in it: it keeps its number, so that numbers follow the stream.
            return Some(window);
        }
        if self.inbox.len() >= INBOX {
            self.inbox.pop_front();
            self.counts.dropped += 1;
        }
        self.inbox.push_back((window, observed));
        Some(window)
    }

    /// Does one short piece of work. `strong` gives the trunk features of a window's strong view; its first argument chooses
    /// the random numbers, one for each window.
    pub fn work(&mut self, strong: impl FnOnce(u64, &mut Observed) -> Option<Features>) -> Work {
        if !self.enabled {
            return Work::Nothing;
        }
        match std::mem::replace(&mut self.stage, Stage::Rest) {
            Stage::Step(step) => self.step(step),
            Stage::Judge(compared) => self.judge(compared),
            Stage::Rest => match self.inbox.pop_front() {
                Some((window, mut observed)) => {
                    if let Some(strong) = strong(window, &mut observed) {
                        self.look_at(window, observed, strong);
                    }
                    Work::More
                }
                None => self.use_idle_time(),
            },
        }
    }

    /// Names a window, lets the gate decide, keeps it for the guard; begins an update when enough have come.
    fn look_at(&mut self, window: u64, observed: Observed, strong: Features) {
        self.newest_ms = self.newest_ms.max(observed.end_ms);
        self.latest_ms = observed.end_ms;
        if let Some(refused @ (Refusal::Frozen | Refusal::Torn)) = observed.refused {
            self.count(Err(refused));
            return;
        }
        self.candidates.push(Candidate {
            window,
            track: observed.track,
            end_ms: observed.end_ms,
            quality: observed.quality,
            weak: observed.weak.clone(),
            strong: strong.clone(),
        });
        if let Some(refused) = observed.refused {
            self.count(Err(refused));
            return;
        }
        let model = &self.base.model;
        let views = [&observed.weak, &strong];
        let base = model.predict(model.base(), views.into_iter());
        let Some(named) = self.predict(&observed.weak) else {
            return;
        };
        let accepted = gate::check(&self.config.gate, named.confidence, observed.quality);
        self.recent.push(window, [&observed.weak, &strong], base);
        self.count(accepted);
        if accepted.is_err() {
            return;
        }
        self.memory.insert(Entry {
            window,
            track: observed.track,
            end_ms: observed.end_ms,
            label: named.class,
            trusted: false,
            confidence: named.confidence,
            quality: observed.quality,
            signature: observed.weak.signature(self.base.model.shape()),
            weak: observed.weak,
            strong,
        });
        self.fresh += 1;
        self.begin_if_enough();
    }

    /// Counts what the gate said.
    fn count(&mut self, said: Result<(), Refusal>) {
        let (all, sifted) = match said {
            Ok(()) => (&mut self.counts.accepted, &mut self.sifted.accepted),
            Err(Refusal::Unsure) => (&mut self.counts.unsure, &mut self.sifted.unsure),
            Err(Refusal::Quality) => (&mut self.counts.poor, &mut self.sifted.poor),
            Err(Refusal::Frozen) => (&mut self.counts.frozen, &mut self.sifted.frozen),
            Err(Refusal::Torn) => (&mut self.counts.torn, &mut self.sifted.torn),
            Err(Refusal::Unknown) => (&mut self.counts.unknown, &mut self.sifted.unknown),
        };
        *all += 1;
        *sifted += 1;
    }

    /// Goes back to the shipped tail; the memory stays. What led there is not kept either.
    fn discard(&mut self) {
        self.history.clear();
        self.forget_tail();
        self.guard.reset();
    }

    fn forget_tail(&mut self) {
        self.stage = Stage::Rest;
        self.before = None;
        self.pupils = Pupils {
            student: self.base_weights.clone(),
            teacher: self.base_weights.clone(),
            tail: self.base.model.base().clone(),
            optimiser: Optimiser::new(&self.config.student, self.base_weights.len()),
            updates: 0,
        };
        self.idle_left = 0;
    }
}

/// What `tail` is measured with; `part` windows are computed at once.
fn yardstick(base: &Base, tail: &tendon_model::tail::Tail, part: usize) -> Yardstick {
    let parts = base.source.features().chunks(part);
    let said: Vec<Prediction> = parts
        .flat_map(|part| base.model.predict(tail, part.iter()))
        .collect();
    Yardstick::new(&said, base.source.labels(), base.model.classifier(tail))
}

/// How far the adapted weights are from the shipped ones: the norm of the difference over the norm of the shipped ones.
#[must_use]
pub fn distance(adapter: &Adapter) -> f32 {
    let norm = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|value| value * value).sum::<f32>().sqrt()
    };
    let pairs = adapter.pupils.teacher.iter().zip(&adapter.base_weights);
    norm(&mut pairs.map(|(new, old)| new - old))
        / norm(&mut flat::weights(adapter.base.model.base()).into_iter()).max(1e-9)
}
