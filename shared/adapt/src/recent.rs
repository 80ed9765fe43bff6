//! The latest windows, sure or not, on which the guard compares both tails.
//!
//! Unlike the memory these are not chosen: they are what the home shows right now.

use super::estimate::{Asked, Classifier, Yardstick};
use super::features::Features;
use super::guard::Scores;
use super::model::{Model, Prediction};
use super::source::SourceBuffer;
use std::collections::VecDeque;
use tendon_model::tail::Tail;

/// One window with what the shipped tail says about it.
#[derive(Debug, Clone)]
struct Seen {
    window: u64,
    weak: Features,
    strong: Features,
    base: [Prediction; 2],
}

/// A ring of windows, oldest first.
#[derive(Debug, Default)]
pub struct Recent {
    capacity: usize,
    seen: VecDeque<Seen>,
}

impl Recent {
    /// Keeps `capacity` windows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            seen: VecDeque::new(),
        }
    }

    /// Takes a window's weak and strong view; `base` is what the shipped tail says about each.
    pub fn push(&mut self, window: u64, [weak, strong]: [&Features; 2], base: Vec<Prediction>) {
        let Ok(base) = <[Prediction; 2]>::try_from(base) else {
            return;
        };
        if self.seen.len() >= self.capacity {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen {
            window,
            weak: weak.clone(),
            strong: strong.clone(),
            base,
        });
    }
}

/// A comparison in progress: the adapted tail is asked in small batches.
pub struct Compared {
    seen: Vec<Seen>,
    /// What would be answered to both views: the mean of both tails.
    answers: Vec<[Prediction; 2]>,
    /// The adapted tail's features of the weak view.
    features: Vec<Vec<f32>>,
    source: Vec<Features>,
    source_adapted: Vec<Prediction>,
}

impl Compared {
    /// Begins to compare on all recent windows and the source buffer.
    #[must_use]
    pub fn new(recent: &Recent, source: &SourceBuffer) -> Self {
        Self {
            seen: recent.seen.iter().cloned().collect(),
            answers: Vec::new(),
            features: Vec::new(),
            source: source.features().to_vec(),
            source_adapted: Vec::new(),
        }
    }

    /// How many recent windows are compared.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.seen.len()
    }

    /// Numbers of the windows with the classes that are answered without and with the adapted tail.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u16, u16)> {
        self.seen
            .iter()
            .zip(&self.answers)
            .map(|(seen, [answer, _])| {
                let [base, _] = &seen.base;
                (seen.window, base.class, answer.class)
            })
    }

    /// Asks about at most `count` windows. Returns whether there are more.
    pub fn work(&mut self, model: &Model, adapted: &Tail, count: usize) -> bool {
        let count = count.max(1);
        let batch: Vec<&Seen> = self
            .seen
            .iter()
            .skip(self.answers.len())
            .take(count.div_ceil(2))
            .collect();
        if !batch.is_empty() {
            let views: Vec<&Features> = batch
                .iter()
                .flat_map(|seen| [&seen.weak, &seen.strong])
                .collect();
            let mut said = model.predict(adapted, views.into_iter());
            let mut answers = Vec::with_capacity(said.len() / 2);
            let (pairs, _) = said.as_chunks_mut::<2>();
            for (seen, [weak, strong]) in batch.iter().zip(pairs) {
                // What would be answered is judged, not the adapted tail alone.
                let [base_weak, base_strong] = &seen.base;
                let mean = |base: &Prediction, adapted: &Prediction| {
                    Prediction::mean(&base.probabilities, &adapted.probabilities)
                };
                answers.push([mean(base_weak, weak), mean(base_strong, strong)]);
                self.features.push(std::mem::take(&mut weak.features));
            }
            self.answers.extend(answers);
            return true;
        }
        let done = self.source_adapted.len();
        let batch: Vec<&Features> = self.source.iter().skip(done).take(count).collect();
        if batch.is_empty() {
            return false;
        }
        let said = model.predict(adapted, batch.into_iter());
        self.source_adapted.extend(said);
        true
    }

    /// Scores without and with the adapted tail, and the share of recent windows that they answer differently. `base` measures the
    /// shipped tail.
    #[must_use]
    pub fn scores(
        &self,
        base: &Yardstick,
        labels: &[u16],
        classifier: Classifier,
    ) -> ((Scores, Scores), f32) {
        let adapted = Yardstick::new(&self.source_adapted, labels, classifier);
        let without = base.scores(self.seen.iter().map(|seen| {
            let [weak, strong] = &seen.base;
            Asked {
                weak,
                strong,
                features: &weak.features,
            }
        }));
        let with = adapted.scores(self.answers.iter().zip(&self.features).map(
            |([weak, strong], features)| Asked {
                weak,
                strong,
                features,
            },
        ));
        let differing = self
            .classes()
            .filter(|(_, base, adapted)| base != adapted)
            .count();
        (
            (without, with),
            differing as f32 / self.seen.len().max(1) as f32,
        )
    }
}
