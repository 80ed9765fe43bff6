//! One update, cut into pieces that are short enough to leave recognition undisturbed.
//!
//! *Label*: the teacher names the picked windows anew (a memory's label may be old, unless a person gave it) and the student is
//! asked about their strong views. *Learn*: gradients add up over parts of the batch, then one step is made, a few weights are set back to the
//! shipped ones and the teacher follows. *Judge*: the new teacher is compared with the shipped tail.

use super::config::{AdaptConfig, StudentConfig};
use super::features::Features;
use super::gate;
use super::memory::Entry;
use super::model::Model;
use super::optimiser::Optimiser;
use super::source::SourceBuffer;
use super::student::{Lesson, gradient};
use super::teacher;
use burn::tensor::Device;
use rand::{Rng, RngExt as _};
use tendon_model::tail::Tail;

/// A picked window with what was said about it in this step.
#[derive(Debug, Clone)]
pub struct Pick {
    /// The window.
    pub entry: Entry,
    /// The teacher's label now, or the person's.
    pub label: u16,
    /// The teacher's calibrated confidence now.
    pub confidence: f32,
    /// The class that the student gives the strong view; only asked in an update's first step.
    pub student: Option<u16>,
}

/// What learning changes.
pub struct Pupils {
    /// Student weights.
    pub student: Vec<f32>,
    /// Teacher weights.
    pub teacher: Vec<f32>,
    /// The teacher, ready to predict.
    pub tail: Tail,
    /// Moments of the student's gradients.
    pub optimiser: Optimiser,
    /// Updates since the tail was made.
    pub updates: u64,
}

/// What learning only reads.
pub struct Lectern<'a> {
    /// The tail's shape.
    pub model: &'a Model,
    /// Where gradients are computed.
    pub learning: &'a Device,
    /// Shipped weights.
    pub base: &'a [f32],
    /// Labelled windows of the bundle.
    pub source: &'a SourceBuffer,
    /// All switches.
    pub config: &'a AdaptConfig,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Steps made.
    pub made: usize,
    /// Steps left out.
    pub skipped: usize,
    /// Loss of the last step.
    pub loss: f32,
    /// Norm of the last gradient before it was shortened.
    pub gradient_norm: f32,
    /// Share of windows on which student and teacher agreed before the last step.
    pub agreement: f32,
    /// Weight of the old teacher.
    pub decay: f32,
}

/// One gradient step in progress.
pub struct Step {
    waiting: Vec<Entry>,
    picks: Vec<Pick>,
    pseudo: Vec<(Features, u16)>,
    weights: Vec<f32>,
    replay: Vec<(Features, u16)>,
    learnt: usize,
    replayed: usize,
    gradient: Vec<f32>,
    loss: f32,
    labelled: bool,
    ask: bool,
}

/// What a piece of work led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// There is more to do.
    More,
    /// The step is over; the picks taught, unless it was left out.
    Done,
}

impl Step {
    /// Begins a step on `entries`; `turn` chooses the source windows. `ask` says whether the step may be left out because the
    /// student agrees with the teacher already.
    #[must_use]
    pub fn new(
        entries: Vec<Entry>,
        source: &SourceBuffer,
        config: &StudentConfig,
        turn: u64,
        ask: bool,
    ) -> Self {
        let replay = source
            .walk(config.replay, turn)
            .map(|(features, label)| (features.clone(), label))
            .collect();
        Self {
            waiting: entries,
            picks: Vec::new(),
            pseudo: Vec::new(),
            weights: Vec::new(),
            replay,
            learnt: 0,
            replayed: 0,
            gradient: Vec::new(),
            loss: 0.0,
            labelled: false,
            ask,
        }
    }

    /// The windows that teach in this step.
    #[must_use]
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// Does one piece of work.
    pub fn work(
        &mut self,
        pupils: &mut Pupils,
        lectern: &Lectern<'_>,
        summary: &mut Summary,
        rng: &mut impl Rng,
    ) -> Piece {
        if !self.waiting.is_empty() {
            self.label(pupils, lectern);
            return Piece::More;
        }
        if !self.labelled {
            self.labelled = true;
            let agreeing = self
                .picks
                .iter()
                .filter(|pick| pick.student == Some(pick.label))
                .count();
            if self.ask {
                summary.agreement = agreeing as f32 / self.picks.len().max(1) as f32;
            }
            // A handful of windows says too little to move the weights.
            let too_few = self.picks.len() * 2 < lectern.config.student.batch;
            if too_few || self.ask && summary.agreement >= lectern.config.student.skip_agreement {
                summary.skipped += 1;
                self.picks.clear();
                return Piece::Done;
            }
            self.pseudo = self
                .picks
                .iter()
                .map(|pick| (pick.entry.strong.clone(), pick.label))
                .collect();
            let trusted = lectern.config.student.trusted_weight;
            self.weights = self
                .picks
                .iter()
                .map(|pick| if pick.entry.trusted { trusted } else { 1.0 })
                .collect();
            return Piece::More;
        }
        if self.learnt < self.pseudo.len() {
            self.learn(pupils, lectern);
            return Piece::More;
        }
        summary.loss = self.loss;
        summary.gradient_norm = pupils.optimiser.step(&mut pupils.student, &self.gradient);
        restore(
            &mut pupils.student,
            lectern.base,
            lectern.config.student.restore,
            rng,
        );
        summary.decay = teacher::decay(&lectern.config.teacher, pupils.updates);
        teacher::follow(&mut pupils.teacher, &pupils.student, summary.decay);
        pupils.tail = lectern.model.tail(&pupils.teacher);
        summary.made += 1;
        Piece::Done
    }

    fn label(&mut self, pupils: &Pupils, lectern: &Lectern<'_>) {
        let count = lectern.config.micro_batch.min(self.waiting.len());
        let part: Vec<Entry> = self.waiting.drain(..count).collect();
        let named = lectern
            .model
            .predict(&pupils.tail, part.iter().map(|entry| &entry.weak));
        let student: Vec<Option<u16>> = if self.ask {
            let student = lectern.model.tail(&pupils.student);
            let asked = lectern
                .model
                .predict(&student, part.iter().map(|entry| &entry.strong));
            asked.into_iter().map(|said| Some(said.class)).collect()
        } else {
            vec![None; part.len()]
        };
        for (entry, (named, student)) in part.into_iter().zip(named.into_iter().zip(student)) {
            // Who was told by a person needs no teacher.
            let accepted = entry.trusted
                || gate::check(&lectern.config.gate, named.confidence, entry.quality).is_ok();
            if accepted {
                self.picks.push(Pick {
                    label: if entry.trusted {
                        entry.label
                    } else {
                        named.class
                    },
                    entry,
                    confidence: named.confidence,
                    student,
                });
            }
        }
    }

    fn learn(&mut self, pupils: &Pupils, lectern: &Lectern<'_>) {
        let config = &lectern.config.student;
        let total = self.pseudo.len();
        let end = (self.learnt + lectern.config.micro_batch).min(total);
        // Source windows are spread evenly over the parts.
        let replay_end = self.replay.len() * end / total;
        let lesson = Lesson {
            pseudo: self.pseudo.get(self.learnt..end).unwrap_or_default(),
            weights: self.weights.get(self.learnt..end).unwrap_or_default(),
            replay: self
                .replay
                .get(self.replayed..replay_end)
                .unwrap_or_default(),
            total_pseudo: total,
            total_replay: self.replay.len(),
            replay_weight: config.replay_weight,
        };
        let (loss, part) = gradient(lectern.model, &pupils.student, lectern.learning, &lesson);
        self.loss += loss;
        if self.gradient.is_empty() {
            self.gradient = part;
        } else {
            self.gradient
                .iter_mut()
                .zip(part)
                .for_each(|(sum, value)| *sum += value);
        }
        (self.learnt, self.replayed) = (end, replay_end);
    }
}

/// Sets about `share` of the weights back to `base`.
///
/// # Source
/// CoTTA (CVPR 2022), stochastic restoration.
pub fn restore(weights: &mut [f32], base: &[f32], share: f32, rng: &mut impl Rng) {
    if share <= 0.0 {
        return;
    }
    for (weight, shipped) in weights.iter_mut().zip(base) {
        if rng.random::<f32>() < share {
            *weight = *shipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    #[test]
    fn restores_about_the_share_that_was_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut weights = vec![1.0; 10_000];
        restore(&mut weights, &vec![0.0; 10_000], 0.01, &mut rng);
        let restored = weights.iter().filter(|weight| **weight == 0.0).count();
        assert!((60..140).contains(&restored), "{restored}");
        let before = weights.clone();
        restore(&mut weights, &vec![0.0; 10_000], 0.0, &mut rng);
        assert_eq!(weights, before);
    }
}
