//! From a gradient to a step, on flat weights.
//!
//! # Source
//! Momentum as in PyTorch's SGD (`v = 0.9 v + g; w -= lr v`); Adam (ICLR 2015) with its published constants.

use super::config::{Rule, StudentConfig};

const MOMENTUM: f32 = 0.9;
const SQUARE_DECAY: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Moments of the gradients so far. Not saved: after a restart they build up again within ten steps.
#[derive(Debug, Clone)]
pub struct Optimiser {
    rule: Rule,
    learning_rate: f32,
    clip_norm: f32,
    steps: i32,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Optimiser {
    /// An optimiser for `len` weights that has seen nothing.
    #[must_use]
    pub fn new(config: &StudentConfig, len: usize) -> Self {
        let square = if config.rule == Rule::Adam { len } else { 0 };
        Self {
            rule: config.rule,
            learning_rate: config.learning_rate,
            clip_norm: config.clip_norm,
            steps: 0,
            mean: vec![0.0; len],
            square: vec![0.0; square],
        }
    }

    /// Makes one step and returns the gradient's norm before it was shortened. A gradient that is not finite changes nothing.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32]) -> f32 {
        let norm = gradient
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt() as f32;
        if !norm.is_finite() {
            return norm;
        }
        self.steps = self.steps.saturating_add(1);
        let shorten = if norm > self.clip_norm {
            self.clip_norm / norm
        } else {
            1.0
        };
        match self.rule {
            Rule::Sgd => {
                for ((weight, value), mean) in weights.iter_mut().zip(gradient).zip(&mut self.mean)
                {
                    *mean = MOMENTUM * *mean + value * shorten;
                    *weight -= self.learning_rate * *mean;
                }
            }
            Rule::Adam => {
                let (first, second) = (
                    1.0 - MOMENTUM.powi(self.steps),
                    1.0 - SQUARE_DECAY.powi(self.steps),
                );
                let moments = self.mean.iter_mut().zip(&mut self.square);
                for ((weight, value), (mean, square)) in
                    weights.iter_mut().zip(gradient).zip(moments)
                {
                    let value = value * shorten;
                    *mean = MOMENTUM * *mean + (1.0 - MOMENTUM) * value;
                    *square = SQUARE_DECAY * *square + (1.0 - SQUARE_DECAY) * value * value;
                    *weight -= self.learning_rate * (*mean / first)
                        / ((*square / second).sqrt() + EPSILON);
                }
            }
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optimiser(rule: Rule) -> Optimiser {
        Optimiser::new(
            &StudentConfig {
                rule,
                learning_rate: 0.001,
                clip_norm: 1.0,
                ..StudentConfig::default()
            },
            2,
        )
    }

    #[test]
    fn a_long_gradient_is_shortened() {
        let mut weights = [0.0, 0.0];
        // Norm 50, shortened to (0.6, 0.8).
        assert_eq!(optimiser(Rule::Sgd).step(&mut weights, &[30.0, 40.0]), 50.0);
        assert!((weights[0] + 0.0006).abs() < 1e-9 && (weights[1] + 0.0008).abs() < 1e-9);
    }

    #[test]
    fn momentum_adds_up() {
        let (mut optimiser, mut weights) = (optimiser(Rule::Sgd), [0.0, 0.0]);
        optimiser.step(&mut weights, &[1.0, 0.0]);
        optimiser.step(&mut weights, &[1.0, 0.0]);
        // 0.001 * (1 + 1.9)
        assert!((weights[0] + 0.0029).abs() < 1e-7);
    }

    #[test]
    fn the_first_step_of_adam_has_the_learning_rates_length() {
        let mut weights = [0.0, 0.0];
        optimiser(Rule::Adam).step(&mut weights, &[0.1, -0.5]);
        assert!((weights[0] + 0.001).abs() < 1e-6 && (weights[1] - 0.001).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut weights = [1.0, 2.0];
        optimiser(Rule::Adam).step(&mut weights, &[f32::NAN, 0.0]);
        assert_eq!(weights, [1.0, 2.0]);
    }
}
