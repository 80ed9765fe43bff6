//! Measures a bundle and its adaptation on a recorded stream: the same pipeline, single-threaded and deterministic.
//!
//! Each window is first recognised by both tails and then learnt from (predict, then update); all adaptation that a window
//! gives rise to is done before the next one. Labels come from the stream's end marks and are only counted, unless a few windows a
//! class are to be confirmed as a person would, each after it was answered. A label that is no class of the bundle says that the
//! action is unknown; such windows count for [`OpenWorld`] only.

pub use self::open_world::OpenWorld;
use self::open_world::Sorted;
use crate::capture::Event;
use crate::capture::counters::{CaptureCounts, Counters};
use crate::capture::framing::Framing;
use crate::capture::line::LineReader;
use crate::runner::{PipelineConfig, Recognised, Runner, StartError};
use crate::window::{Policy, WindowCounts};
use serde::Serialize;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tendon_adapt::adapter::{AdaptCounts, Places, Work, distance};
use tendon_adapt::align::Corrected;
use tendon_adapt::guard::Judgement;
use tendon_adapt::journal::Record;
use tendon_bundle::VerifiedBundle;

mod open_world;

/// Right answers of labelled windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// Labelled windows.
    pub windows: u64,
    /// Share of right answers of the shipped int8 tail, 0..=1.
    pub base: f64,
    /// Share of right answers that were reported (whichever tail served), 0..=1.
    pub reported: f64,
    /// Share of right answers of the adapted tail, had it always served, 0..=1.
    pub unguarded: f64,
}

/// Windows by what was corrected in their poses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CorrectedCounts {
    /// The camera's tilt and roll.
    pub level: u64,
    /// The person's build.
    pub limbs: u64,
    /// The sensor's noise.
    pub steady: u64,
}

impl CorrectedCounts {
    fn count(&mut self, corrected: Corrected) {
        self.level += u64::from(corrected.level);
        self.limbs += u64::from(corrected.limbs);
        self.steady += u64::from(corrected.steady);
    }
}

/// A comparison of the guard beside the truth that it cannot see.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// What the guard said.
    pub judgement: Judgement,
    /// True accuracy of the shipped tail on the same windows, 0..=1.
    pub base_accuracy: f64,
    /// True accuracy of the adapted tail on the same windows, 0..=1.
    pub adapted_accuracy: f64,
}

/// What a measurement found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Digest of the bundle.
    pub bundle: String,
    /// Seed.
    pub seed: u64,
    /// Accuracy on the stream: predict, then update.
    pub online: Accuracy,
    /// The worst hundred windows in a row: reported minus base, 0..=1.
    pub worst_hundred: f64,
    /// The same of ten equal parts of the stream, one after the other: whether it drifts.
    pub tenths: Vec<Accuracy>,
    /// Accuracy on the whole stream once more with the final tail, without learning, if that was asked.
    pub afterwards: Option<Accuracy>,
    /// Accuracy of shipped and final tail on the bundle's source buffer, 0..=1.
    pub source: (f32, f32),
    /// How far the final tail is from the shipped one, as a share of the shipped weights' norm.
    pub distance: f32,
    /// Windows answered by the adapted tail.
    pub served_adapted: u64,
    /// Windows whose poses were corrected before they were answered.
    pub corrected: CorrectedCounts,
    /// Windows without an answer.
    pub failed: u64,
    /// How unknown actions were told from known ones; none when the stream has only one of them.
    pub open_world: Option<OpenWorld>,
    /// Counters of adaptation.
    pub adapt: AdaptCounts,
    /// Accepted pseudo-labels that were right, 0..=1, over all updates.
    pub pseudo_precision: f64,
    /// Times that the guard discarded the tail.
    pub discarded: u32,
    /// Every comparison of the guard.
    pub guard: Vec<Checked>,
    /// Mean and longest time of an update with its comparison, milliseconds.
    pub update_ms: (f64, f64),
    /// Longest single piece of adaptation work, milliseconds: how long recognition may have to wait.
    pub piece_ms: f64,
    /// Mean time to recognise a window, milliseconds.
    pub window_ms: f64,
    /// Why a stored adaptation was not taken up.
    pub refused: Option<String>,
    /// What was read.
    pub capture: CaptureCounts,
    /// What became of it.
    pub window: WindowCounts,
}

/// The measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The stream cannot be read.
    #[error("cannot read the stream: {0}")]
    Io(#[from] std::io::Error),
    /// The bundle cannot be put to work.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The stream has no labelled track.
    #[error("the stream has no labelled track; make it with `tendon replay`")]
    NoLabels,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Questions {
    /// Seed of strong views and restored weights.
    pub seed: u64,
    /// Windows of each class that are named after they were answered, as a person would.
    pub confirmed: usize,
    /// Whether the whole stream is run once more at the end, without learning; it is kept in memory for that.
    pub second_pass: bool,
}

/// Measures `bundle` on `stream`. `clock` tells the time for the durations in the report; nothing else depends on it.
///
/// # Errors
/// [`ReplayError`] when there is nothing to measure.
pub fn measure(
    bundle: &Arc<VerifiedBundle>,
    stream: impl Read,
    config: &PipelineConfig,
    places: Places,
    questions: Questions,
    clock: &dyn Fn() -> Duration,
) -> Result<Report, ReplayError> {
    let mut config = config.clone();
    config.window.policy = Policy::Track;
    let counters = Counters::default();
    let (mut runner, refused) = Runner::start(Arc::clone(bundle), &config, places, questions.seed)?;
    let classes = &bundle.manifest().classes;
    let mut left = vec![questions.confirmed; classes.len()];
    let mut tally = Tally {
        before: runner.adapter().observed(),
        classes: classes.len(),
        ..Tally::default()
    };
    let mut events = Vec::new();
    let mut take = |event: Event| {
        let started = clock();
        let found = runner.take_watched(event.clone());
        let spent = clock().saturating_sub(started);
        if questions.second_pass {
            events.push(event);
        }
        match found {
            None => {}
            Some(Err(_)) => tally.failed += 1,
            Some(Ok((recognised, unguarded))) => {
                tally.spent += spent;
                tally.count(&recognised, unguarded);
                drain(&mut runner, &mut tally, clock);
                let label = recognised.label.map(usize::from);
                let asked =
                    label.and_then(|label| Some((left.get_mut(label)?, classes.get(label)?)));
                if let (Some((left @ 1.., name)), Some(window)) = (asked, recognised.window)
                    // A window that stood still cannot be named: the next one of its class is.
                    && runner.label(window, name).is_ok()
                {
                    *left -= 1;
                }
            }
        }
    };
    read(
        stream,
        &mut LineReader::new(bundle.manifest().topology),
        &counters,
        &mut take,
    )?;
    if tally.answers.is_empty() {
        return Err(ReplayError::NoLabels);
    }
    let (window, adapt) = (runner.tracks().counts(), runner.adapter().counts());
    let afterwards = questions
        .second_pass
        .then(|| afterwards(&mut runner, &events, classes.len()));
    let updates = tally.updates.len().max(1) as f64;
    Ok(Report {
        bundle: tendon_bundle::hex::encode(&bundle.id()),
        seed: questions.seed,
        online: tally.accuracy(),
        tenths: tally.tenths(),
        worst_hundred: tally.worst_hundred(),
        afterwards,
        source: runner.adapter().source_accuracy(),
        distance: distance(runner.adapter()),
        served_adapted: tally.served_adapted,
        corrected: tally.corrected,
        failed: tally.failed,
        open_world: tally.sorted.report(tally.unknown_taught),
        adapt,
        pseudo_precision: tally.right_labels as f64 / tally.pseudo_labels.max(1) as f64,
        discarded: runner.adapter().guard().discarded(),
        guard: tally.guard,
        update_ms: (
            tally.updates.iter().sum::<f64>() / updates,
            tally.updates.iter().copied().fold(0.0, f64::max),
        ),
        piece_ms: tally.longest_piece,
        window_ms: tally.spent.as_secs_f64() * 1_000.0 / tally.answers.len() as f64,
        refused: refused.map(|error| error.to_string()),
        capture: counters.snapshot(),
        window,
    })
}

/// Reads a stream as the live reader would, an event after the other.
fn read(
    mut stream: impl Read,
    lines: &mut LineReader,
    counters: &Counters,
    take: &mut dyn FnMut(Event),
) -> std::io::Result<()> {
    let mut framing = Framing::default();
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut on_line = |line: &[u8]| {
        Counters::add(&counters.lines, 1);
        match lines.read(line) {
            Ok(event) => take(event),
            Err(_) => Counters::add(&counters.malformed, 1),
        }
    };
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        framing.push(buffer.get(..count).unwrap_or_default(), &mut on_line);
    }
    framing.close(&mut on_line);
    Counters::add(&counters.too_long, framing.too_long());
    Counters::add(&counters.not_finite, lines.not_finite());
    Counters::add(&counters.absurd, lines.absurd());
    Ok(())
}

/// Does all adaptation that waits.
fn drain(runner: &mut Runner, tally: &mut Tally, clock: &dyn Fn() -> Duration) {
    loop {
        let started = clock();
        let (work, compared) = runner.idle_watched();
        let spent = clock().saturating_sub(started).as_secs_f64() * 1_000.0;
        tally.longest_piece = tally.longest_piece.max(spent);
        tally.update_spent += spent;
        match work {
            Work::Nothing => {
                tally.update_spent = 0.0;
                return;
            }
            Work::More => {}
            Work::Updated(record) => {
                let spent = std::mem::take(&mut tally.update_spent);
                tally.updates.push(spent);
                tally.check(&record, &compared);
            }
        }
    }
}

/// Runs the stream again with the tail as it is, without learning.
fn afterwards(runner: &mut Runner, events: &[Event], classes: usize) -> Accuracy {
    let mut tally = Tally {
        classes,
        ..Tally::default()
    };
    runner.adapter_mut().pause();
    for event in events {
        if let Some(Ok((recognised, unguarded))) = runner.take_watched(event.clone()) {
            tally.count(&recognised, unguarded);
        }
    }
    tally.accuracy()
}

fn accuracy(answers: &[Answer]) -> Accuracy {
    let count = answers.len().max(1) as f64;
    let share = |which: usize| answers.iter().filter(|answer| answer[which]).count() as f64 / count;
    Accuracy {
        windows: answers.len() as u64,
        base: share(0),
        reported: share(1),
        unguarded: share(2),
    }
}

/// Right answers of one window: base, reported, unguarded.
type Answer = [bool; 3];

#[derive(Default)]
struct Tally {
    /// Windows observed before this stream: the first one's number.
    before: u64,
    classes: usize,
    sorted: Sorted,
    unknown_taught: u64,
    answers: Vec<Answer>,
    labels: Vec<Option<u16>>,
    served_adapted: u64,
    corrected: CorrectedCounts,
    failed: u64,
    spent: Duration,
    updates: Vec<f64>,
    update_spent: f64,
    longest_piece: f64,
    pseudo_labels: u64,
    right_labels: u64,
    guard: Vec<Checked>,
}

impl Tally {
    fn count(&mut self, recognised: &Recognised, unguarded: u16) {
        // Windows are numbered in the order in which they are learnt from, which here is the order of the stream.
        self.labels.push(recognised.label);
        self.served_adapted += u64::from(recognised.adapted);
        self.corrected.count(recognised.corrected);
        let known = |label: u16| usize::from(label) < self.classes;
        if let (Some(label), Some(familiarity)) = (recognised.label, recognised.familiarity) {
            self.sorted
                .push(known(label), familiarity, recognised.unknown);
        }
        if let Some(label) = recognised.label.filter(|label| known(*label)) {
            self.answers.push(
                [recognised.base_class, recognised.class, unguarded].map(|class| class == label),
            );
        }
    }

    fn label(&self, window: u64) -> Option<u16> {
        usize::try_from(window.checked_sub(self.before)?)
            .ok()
            .and_then(|window| self.labels.get(window).copied().flatten())
    }

    fn check(&mut self, record: &Record, compared: &[(u64, u16, u16)]) {
        for window in &record.windows {
            self.pseudo_labels += 1;
            let label = self.label(window.window);
            self.right_labels += u64::from(label == Some(window.label));
            self.unknown_taught +=
                u64::from(label.is_some_and(|label| usize::from(label) >= self.classes));
        }
        let Some(judgement) = record.guard else {
            return;
        };
        let count = compared.len().max(1) as f64;
        let right = |pick: fn(&(u64, u16, u16)) -> u16| {
            compared
                .iter()
                .filter(|row| self.label(row.0) == Some(pick(row)))
                .count() as f64
                / count
        };
        let (base_accuracy, adapted_accuracy) = (right(|row| row.1), right(|row| row.2));
        self.guard.push(Checked {
            judgement,
            base_accuracy,
            adapted_accuracy,
        });
    }

    fn accuracy(&self) -> Accuracy {
        accuracy(&self.answers)
    }

    fn tenths(&self) -> Vec<Accuracy> {
        let size = self.answers.len().div_ceil(10).max(1);
        self.answers.chunks(size).map(accuracy).collect()
    }

    fn worst_hundred(&self) -> f64 {
        let size = self.answers.len().clamp(1, 100);
        let gain =
            |answer: &Answer| f64::from(u8::from(answer[1])) - f64::from(u8::from(answer[0]));
        let worst = self
            .answers
            .windows(size)
            .map(|part| part.iter().map(gain).sum::<f64>());
        worst.fold(f64::INFINITY, f64::min).min(0.0) / size as f64
    }
}

#[cfg(test)]
mod tests;
