//! The latest windows, sure or not, on which the guard compares both tails.
//!
//! Unlike the memory these are not chosen: they are what the home shows right now.

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
    adapted: Vec<[Prediction; 2]>,
    source: Vec<Features>,
    source_adapted: Vec<Prediction>,
}

impl Compared {
    /// Begins to compare on all recent windows and the source buffer.
    #[must_use]
    pub fn new(recent: &Recent, source: &SourceBuffer) -> Self {
        Self {
            seen: recent.seen.iter().cloned().collect(),
            adapted: Vec::new(),
            source: source.features().to_vec(),
            source_adapted: Vec::new(),
        }
    }

    /// How many recent windows are compared.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.seen.len()
    }

    /// Numbers of the windows with the classes that base and adapted tail give them.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u16, u16)> {
        self.seen
            .iter()
            .zip(&self.adapted)
            .map(|(seen, [adapted, _])| {
                let [base, _] = &seen.base;
                (seen.window, base.class, adapted.class)
            })
    }

    /// Asks about at most `count` windows. Returns whether there are more.
    pub fn work(&mut self, model: &Model, adapted: &Tail, count: usize) -> bool {
        let count = count.max(1);
        let batch: Vec<&Seen> = self
            .seen
            .iter()
            .skip(self.adapted.len())
            .take(count.div_ceil(2))
            .collect();
        if !batch.is_empty() {
            let views: Vec<&Features> = batch
                .iter()
                .flat_map(|seen| [&seen.weak, &seen.strong])
                .collect();
            let said = model.predict(adapted, views.into_iter());
            let mut answers = Vec::with_capacity(said.len() / 2);
            let (pairs, _) = said.as_chunks::<2>();
            for (seen, [weak, strong]) in batch.iter().zip(pairs) {
                // What would be answered is judged, not the adapted tail alone.
                let [base_weak, base_strong] = &seen.base;
                let mean = |base: &Prediction, adapted: &Prediction| {
                    Prediction::mean(&base.probabilities, &adapted.probabilities)
                };
                answers.push([mean(base_weak, weak), mean(base_strong, strong)]);
            }
            self.adapted.extend(answers);
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

    /// Scores of base and adapted tail, and the share of recent windows on which they disagree. `source_base` is the base
    /// tail's accuracy on the source buffer.
    #[must_use]
    pub fn scores(&self, source: &SourceBuffer, source_base: f32) -> ((Scores, Scores), f32) {
        let said = self.source_adapted.iter().zip(source.labels());
        let right = said.filter(|(said, label)| said.class == **label).count();
        let source_adapted = right as f32 / self.source_adapted.len().max(1) as f32;
        let base = scores(self.seen.iter().map(|seen| &seen.base), source_base);
        let adapted = scores(self.adapted.iter(), source_adapted);
        let differing = self
            .classes()
            .filter(|(_, base, adapted)| base != adapted)
            .count();
        (
            (base, adapted),
            differing as f32 / self.seen.len().max(1) as f32,
        )
    }
}

fn scores<'p>(recent: impl Iterator<Item = &'p [Prediction; 2]>, source: f32) -> Scores {
    let (mut count, mut consistent, mut confidence) = (0.0_f32, 0.0, 0.0);
    for [weak, strong] in recent {
        count += 1.0;
        consistent += f32::from(u8::from(weak.class == strong.class));
        confidence += weak.confidence;
    }
    let count = count.max(1.0);
    Scores {
        consistency: consistent / count,
        confidence: confidence / count,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(class: u16) -> Prediction {
        Prediction {
            probabilities: vec![0.5, 0.5],
            class,
            confidence: 0.8,
        }
    }

    #[test]
    fn scores_count_what_agrees() {
        let recent = [[said(0), said(0)], [said(0), said(1)]];
        let scores = scores(recent.iter(), 0.9);
        assert_eq!(
            (scores.consistency, scores.confidence, scores.source),
            (0.5, 0.8, 0.9)
        );
    }
}
