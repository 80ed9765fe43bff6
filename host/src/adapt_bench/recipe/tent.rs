//! Tent: BatchNorm by the batch's statistics, its scales and shifts lower the entropy of the answers.
//!
//! # Source
//! Wang et al., "Tent: fully test-time adaptation by entropy minimization", ICLR 2021: one step of Adam, rate 1e-3, a batch on `mean_i H(p_i)`; the answer
//! is the forward pass of the step. Deliberate difference: only the layers behind the int8 trunk.

use super::Recipe;
use super::adam::{Rule, Steps};
use super::float::{FloatTail, Input, Moments, Statistics, entropies, is_affine};
use super::vector::softmax;
use tendon_model::parameters::Named;

/// The learning rate.
const RATE: f32 = 1e-3;

/// The method's state.
pub struct Tent {
    tail: FloatTail,
    weights: Named,
    steps: Steps,
    unused: Vec<Moments>,
    all: Vec<f32>,
}

impl Tent {
    /// The method on a tail.
    #[must_use]
    pub fn new(tail: FloatTail) -> Self {
        Self {
            weights: tail.weights(),
            unused: tail.moments().to_vec(),
            all: vec![1.0; tail.moments().len()],
            steps: Steps::new(Rule::Adam, RATE),
            tail,
        }
    }
}

impl Recipe for Tent {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        let statistics = Statistics::Mixed {
            running: &mut self.unused,
            weight: &self.all,
            keep: false,
        };
        if !learn {
            return self.tail.probabilities(input, statistics);
        }
        let loss = |said: &super::float::Said| entropies(said.logits.clone()).mean();
        let (logits, gradient) = self.tail.learn(input, statistics, loss);
        self.steps.step(&mut self.weights, &gradient, is_affine);
        self.tail = self.tail.with(&self.weights);
        logits.iter().map(|logits| softmax(logits)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::super::vector::entropy;
    use super::*;

    fn mean_entropy(answers: &[Vec<f32>]) -> f32 {
        answers.iter().map(|one| entropy(one)).sum::<f32>() / answers.len() as f32
    }

    #[test]
    fn tent_lowers_entropy() {
        let (mut tent, batch) = (Tent::new(tail()), input(8, 4));
        let before = mean_entropy(&tent.answer(&batch, false));
        for _ in 0..20 {
            tent.answer(&batch, true);
        }
        let after = mean_entropy(&tent.answer(&batch, false));
        assert!(after < before - 0.01, "{before} {after}");
    }

    #[test]
    fn only_scales_and_shifts_move() {
        let (mut tent, batch) = (Tent::new(tail()), input(4, 5));
        tent.answer(&batch, true);
        for (name, values) in tail().weights() {
            assert_eq!(tent.weights[&name] != values, is_affine(&name), "{name}");
        }
    }
}
