//! RDumb: entropy minimisation on chosen windows, and everything is forgotten at regular times.
//!
//! # Source
//! Press et al., "RDumb: a simple approach that questions our progress in continual test-time adaptation", NeurIPS 2023, on ETA (Niu et al., "EATA",
//! ICML 2022): windows with `H < 0.4 ln C` whose probabilities have a cosine below 0.05 with the running mean of those learnt from (weight 0.1 for the new
//! ones) are learnt from with weight `exp(0.4 ln C - H)`; momentum descent, rate 2.5e-4, on scales and shifts with statistics of
//! the batch; a reset every 1000 steps. Deliberate differences: the 0.05 of a thousand classes lets nothing pass among few, so
//! the margin is EATA's 0.4 of CIFAR-10; steps without a window to learn from count for the reset, too.

use super::Recipe;
use super::adam::{Rule, Steps};
use super::float::{FloatTail, Input, Moments, Statistics, entropies, is_affine, weighted_mean};
use super::vector::{dot, entropy, softmax, unit};
use tendon_model::parameters::Named;

/// Steps between two resets.
pub const RESET: usize = 1_000;
const RATE: f32 = 2.5e-4;
/// Share of the largest entropy that a window must be below.
const SURE: f32 = 0.4;
/// Cosine to the mean of what was learnt that a window must be below.
const MARGIN: f32 = 0.4;
/// Weight of the old mean.
const KEEP: f32 = 0.9;

/// The method's state.
pub struct RDumb {
    shipped: FloatTail,
    tail: FloatTail,
    weights: Named,
    steps: Steps,
    mean: Option<Vec<f32>>,
    reset: usize,
    made: usize,
    unused: Vec<Moments>,
    all: Vec<f32>,
}

impl RDumb {
    /// The method on a tail, which comes back every `reset` steps.
    #[must_use]
    pub fn new(tail: FloatTail, reset: usize) -> Self {
        Self {
            weights: tail.weights(),
            unused: tail.moments().to_vec(),
            all: vec![1.0; tail.moments().len()],
            steps: Steps::new(Rule::Momentum, RATE),
            shipped: tail.clone(),
            mean: None,
            reset: reset.max(1),
            made: 0,
            tail,
        }
    }

    /// The weight of each window: zero when it teaches nothing.
    fn choose(&mut self, answers: &[Vec<f32>]) -> Vec<f32> {
        let classes = answers.first().map_or(1, Vec::len);
        let limit = SURE * (classes as f32).ln();
        let known = self.mean.as_deref().map(unit);
        let weights: Vec<f32> = answers
            .iter()
            .map(|one| {
                let near = known.as_deref().map_or(0.0, |mean| dot(&unit(one), mean));
                match entropy(one) < limit && near < MARGIN {
                    true => (limit - entropy(one)).exp(),
                    false => 0.0,
                }
            })
            .collect();
        let chosen: Vec<&Vec<f32>> = answers
            .iter()
            .zip(&weights)
            .filter_map(|(one, weight)| (*weight > 0.0).then_some(one))
            .collect();
        if !chosen.is_empty() {
            let mut own = vec![0.0; classes];
            for one in &chosen {
                super::vector::add(&mut own, one, 1.0 / chosen.len() as f32);
            }
            self.mean = Some(match self.mean.take() {
                None => own,
                Some(old) => {
                    let both = old.iter().zip(&own);
                    both.map(|(old, own)| KEEP * old + (1.0 - KEEP) * own)
                        .collect()
                }
            });
        }
        weights
    }
}

impl Recipe for RDumb {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        if learn && self.made >= self.reset {
            *self = Self::new(self.shipped.clone(), self.reset);
        }
        let mut unused = std::mem::take(&mut self.unused);
        let all = self.all.clone();
        let answers = self.tail.probabilities(input, batch(&mut unused, &all));
        if learn {
            self.made += 1;
            let weights = self.choose(&answers);
            if weights.iter().any(|weight| *weight > 0.0) {
                // The mean over the windows that were chosen.
                let chosen = weights.iter().filter(|weight| **weight > 0.0).count();
                let share = weights.len() as f32 / chosen as f32;
                let weights: Vec<f32> = weights.iter().map(|weight| weight * share).collect();
                let loss = |said: &super::float::Said| {
                    weighted_mean(entropies(said.logits.clone()), &weights)
                };
                let (logits, gradient) = self.tail.learn(input, batch(&mut unused, &all), loss);
                self.steps.step(&mut self.weights, &gradient, is_affine);
                self.tail = self.tail.with(&self.weights);
                self.unused = unused;
                return logits.iter().map(|logits| softmax(logits)).collect();
            }
        }
        self.unused = unused;
        answers
    }
}

/// Statistics of the batch alone; `unused` carry no weight.
fn batch<'s>(unused: &'s mut [Moments], all: &'s [f32]) -> Statistics<'s> {
    Statistics::Mixed {
        running: unused,
        weight: all,
        keep: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::*;

    #[test]
    fn everything_is_forgotten_after_so_many_steps() {
        let mut method = RDumb::new(tail(), 3);
        let batch = input(6, 7);
        for _ in 0..3 {
            method
                .weights
                .values_mut()
                .for_each(|one| one.data[0] += 0.5);
            method.answer(&batch, true);
        }
        assert_ne!(method.weights, tail().weights());
        method.answer(&batch.select(&[0]), true);
        assert_eq!(method.made, 1);
        let untouched = method.weights.iter().filter(|(name, _)| !is_affine(name));
        let shipped = tail().weights();
        assert!(
            untouched
                .into_iter()
                .all(|(name, values)| shipped[name] == *values)
        );
    }

    #[test]
    fn unsure_windows_and_those_like_the_last_ones_teach_nothing() {
        let mut method = RDumb::new(tail(), RESET);
        let sure = vec![0.97, 0.01, 0.01, 0.01];
        let other = vec![0.01, 0.01, 0.97, 0.01];
        let unsure = vec![0.25; 4];
        let weights = method.choose(&[sure.clone(), unsure]);
        assert!(weights[0] > 1.0 && weights[1] == 0.0, "{weights:?}");
        let weights = method.choose(&[sure, other]);
        assert!(weights[0] == 0.0 && weights[1] > 1.0, "{weights:?}");
    }
}
