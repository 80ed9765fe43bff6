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
    source_base: Vec<Prediction>,
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
            source_base: Vec::new(),
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
    pub fn work(&mut self, model: &Model, base: &Tail, adapted: &Tail, count: usize) -> bool {
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
            let (pairs, _) = said.as_chunks::<2>();
            self.adapted.extend(pairs.iter().cloned());
            return true;
        }
        let done = self.source_adapted.len();
        let batch: Vec<&Features> = self
            .source
            .iter()
            .skip(done)
            .take(count.div_ceil(2))
            .collect();
        if batch.is_empty() {
            return false;
        }
        self.source_base
            .extend(model.predict(base, batch.iter().copied()));
        self.source_adapted
            .extend(model.predict(adapted, batch.iter().copied()));
        true
    }

    /// Scores of base and adapted tail, and the share of recent windows on which they disagree.
    #[must_use]
    pub fn scores(&self, source: &SourceBuffer) -> ((Scores, Scores), f32) {
        let base: Vec<&[Prediction; 2]> = self.seen.iter().map(|seen| &seen.base).collect();
        let adapted: Vec<&[Prediction; 2]> = self.adapted.iter().collect();
        let differing = self
            .classes()
            .filter(|(_, base, adapted)| base != adapted)
            .count();
        let disagreement = differing as f32 / self.seen.len().max(1) as f32;
        (
            (
                scores(&base, &self.source_base, source),
                scores(&adapted, &self.source_adapted, source),
            ),
            disagreement,
        )
    }
}

fn scores(recent: &[&[Prediction; 2]], said: &[Prediction], source: &SourceBuffer) -> Scores {
    let prototypes = prototypes(said, source.labels());
    let share = |count: usize, of: usize| count as f32 / of.max(1) as f32;
    let near = |prediction: &Prediction| {
        nearest(&prototypes, &prediction.embedding) == Some(prediction.class)
    };
    Scores {
        consistency: share(
            recent
                .iter()
                .filter(|[weak, strong]| weak.class == strong.class)
                .count(),
            recent.len(),
        ),
        prototype: share(
            recent.iter().filter(|[weak, _]| near(weak)).count(),
            recent.len(),
        ),
        confidence: recent.iter().map(|[weak, _]| weak.confidence).sum::<f32>()
            / recent.len().max(1) as f32,
        source: share(
            said.iter()
                .zip(source.labels())
                .filter(|(said, label)| said.class == **label)
                .count(),
            said.len(),
        ),
    }
}

/// Sum of the embeddings of each class that the source buffer has.
fn prototypes(said: &[Prediction], labels: &[u16]) -> std::collections::BTreeMap<u16, Vec<f32>> {
    let mut sums = std::collections::BTreeMap::<u16, Vec<f32>>::new();
    for (prediction, label) in said.iter().zip(labels) {
        let sum = sums
            .entry(*label)
            .or_insert_with(|| vec![0.0; prediction.embedding.len()]);
        sum.iter_mut()
            .zip(&prediction.embedding)
            .for_each(|(sum, value)| *sum += value);
    }
    for sum in sums.values_mut() {
        let norm = sum
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt()
            .max(1e-9);
        sum.iter_mut().for_each(|value| *value /= norm);
    }
    sums
}

fn nearest(
    prototypes: &std::collections::BTreeMap<u16, Vec<f32>>,
    embedding: &[f32],
) -> Option<u16> {
    let likeness = |prototype: &Vec<f32>| {
        prototype
            .iter()
            .zip(embedding)
            .map(|(a, b)| a * b)
            .sum::<f32>()
    };
    let closest = prototypes
        .iter()
        .max_by(|(_, a), (_, b)| likeness(a).total_cmp(&likeness(b)));
    closest.map(|(label, _)| *label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::features::FeatureShape;

    fn said(class: u16, embedding: [f32; 2]) -> Prediction {
        Prediction {
            probabilities: vec![0.5, 0.5],
            class,
            confidence: 0.8,
            embedding: embedding.to_vec(),
        }
    }

    #[test]
    fn scores_count_what_agrees() {
        let shape = FeatureShape {
            joints: 1,
            frames: 1,
            channels: 1,
            scale: 1.0,
        };
        let source = SourceBuffer::new(&[0, 0], &[0, 1], &shape, 2);
        let on_source = [said(0, [1.0, 0.0]), said(0, [0.0, 1.0])];
        let first = [said(0, [0.9, 0.1]), said(0, [0.9, 0.1])];
        let second = [said(0, [0.1, 0.9]), said(1, [0.9, 0.1])];
        let scores = scores(&[&first, &second], &on_source, &source);
        assert_eq!(
            (scores.consistency, scores.prototype, scores.source),
            (0.5, 0.5, 0.5)
        );
    }
}
