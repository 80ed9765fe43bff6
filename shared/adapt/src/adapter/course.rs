//! The course of an update, piece by piece: when one begins, its steps, and the guard's judgement at its end.

use super::{Adapter, Stage, Work};
use crate::guard::Judgement;
use crate::journal::{Lecture, Note, Record};
use crate::recent::Compared;
use crate::update::{Lectern, Piece, Step, Summary};
use tendon_model::augment::random::generator;

/// Stream of random numbers for restoring weights; views use the window's number.
const RESTORE_STREAM: u64 = 1;

impl Adapter {
    /// Asks for `passes` over the memory, in steps that [`Adapter::work`] makes while nothing new comes. Nothing happens before
    /// the memory can fill a batch.
    pub fn rest(&mut self, passes: usize) {
        let steps = self
            .memory
            .entries()
            .len()
            .div_ceil(self.config.student.batch.max(1));
        self.idle_left = self.idle_left.saturating_add(passes * steps);
    }

    pub(super) fn begin_if_enough(&mut self) -> bool {
        // A clock that jumps, either way, only ends the wait.
        let since = |then: u64| self.latest_ms.abs_diff(then) / 1_000;
        let waited = self
            .updated_ms
            .is_none_or(|then| since(then) >= self.config.min_interval_s);
        let enough = waited && self.fresh >= self.config.accumulate;
        if enough {
            let hours = self.config.reset_hours;
            let began = *self.began_ms.get_or_insert(self.latest_ms);
            if hours > 0 && since(began) >= hours.saturating_mul(3_600) {
                self.discard();
                self.note(&Note::Renewed { hours });
                self.began_ms = Some(self.latest_ms);
            }
            self.updated_ms = Some(self.latest_ms);
            self.fresh = 0;
            self.idle_left = self.config.idle_steps;
            self.begin(self.config.steps);
        }
        enough
    }

    pub(super) fn use_idle_time(&mut self) -> Work {
        // Windows that a person named may complete the number.
        if self.begin_if_enough() {
            return Work::More;
        }
        if self.idle_left == 0 || self.memory.entries().len() < self.config.student.batch {
            return Work::Nothing;
        }
        let steps = self.idle_left.min(self.config.steps);
        self.idle_left -= steps;
        self.begin(steps);
        Work::More
    }

    fn begin(&mut self, steps: usize) {
        self.summary = Summary::default();
        self.taught.clear();
        self.before = (self.config.keep_updates > 0).then(|| self.snapshot());
        self.steps_left = steps;
        self.next_step();
    }

    fn next_step(&mut self) {
        self.steps_left = self.steps_left.saturating_sub(1);
        let turn = self
            .counts
            .updates
            .wrapping_mul(64)
            .wrapping_add(self.steps_left as u64);
        let picked = self.memory.pick(self.config.student.batch, turn);
        let first = self.summary.made + self.summary.skipped == 0;
        self.stage = Stage::Step(Box::new(Step::new(
            picked,
            &self.base.source,
            &self.config.student,
            turn,
            first,
        )));
    }

    pub(super) fn step(&mut self, mut step: Box<Step>) -> Work {
        let lectern = Lectern {
            model: &self.base.model,
            learning: &self.learning,
            base: &self.base_weights,
            source: &self.base.source,
            config: &self.config,
        };
        let mut rng = generator(
            self.seed,
            RESTORE_STREAM,
            self.counts.updates,
            self.steps_left as u64,
        );
        if step.work(&mut self.pupils, &lectern, &mut self.summary, &mut rng) == Piece::More {
            self.stage = Stage::Step(step);
            return Work::More;
        }
        let name = |label: u16| {
            self.base
                .classes
                .get(usize::from(label))
                .cloned()
                .unwrap_or_default()
        };
        for pick in step.picks() {
            // A window that teaches in several steps is written down once, as it was taken last.
            self.taught
                .retain(|lecture| lecture.window != pick.entry.window);
            self.taught.push(Lecture {
                window: pick.entry.window,
                track: pick.entry.track,
                end_ms: pick.entry.end_ms,
                label: pick.label,
                name: name(pick.label),
                confidence: pick.confidence,
                trusted: pick.entry.trusted,
                needed: if pick.entry.trusted {
                    0.0
                } else {
                    self.config.gate.threshold
                },
            });
        }
        if self.steps_left > 0 && self.summary.skipped == 0 {
            self.next_step();
        } else if self.summary.made > 0 {
            self.pupils.updates += 1;
            self.counts.updates += 1;
            if let Some(before) = self.before.take() {
                self.history.push(before);
            }
            self.stage = Stage::Judge(Box::new(Compared::new(&self.recent, &self.base.source)));
        }
        Work::More
    }

    pub(super) fn judge(&mut self, mut compared: Box<Compared>) -> Work {
        if compared.work(&self.base.model, &self.pupils.tail, self.config.micro_batch) {
            self.stage = Stage::Judge(compared);
            return Work::More;
        }
        let (scores, disagreement) = compared.scores(
            &self.yardstick,
            self.base.source.labels(),
            self.base.model.classifier(&self.pupils.tail),
        );
        let judgement = self.guard.judge(
            &self.config.guard,
            self.pupils.updates,
            compared.windows(),
            scores,
            disagreement,
        );
        self.compared = compared.classes().collect();
        let record = self.record(judgement);
        if judgement.discarded {
            self.discard();
        }
        if self.journal.append(&record).is_err() {
            self.counts.write_errors += 1;
        }
        if self
            .counts
            .updates
            .is_multiple_of(self.config.save_every.max(1))
            || judgement.discarded
        {
            self.save();
        }
        Work::Updated(Box::new(record))
    }

    fn record(&mut self, judgement: Judgement) -> Record {
        Record {
            update: self.counts.updates,
            time_ms: self.newest_ms,
            steps: self.summary.made,
            skipped: self.summary.skipped,
            loss: self.summary.loss,
            gradient_norm: self.summary.gradient_norm,
            agreement: self.summary.agreement,
            decay: self.summary.decay,
            sifted: std::mem::take(&mut self.sifted),
            windows: std::mem::take(&mut self.taught),
            guard: Some(judgement),
        }
    }
}
