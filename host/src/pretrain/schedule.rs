//! The learning rate over time.

use serde::{Deserialize, Serialize};

/// A rate that rises for some epochs and then follows a shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The full learning rate.
    pub rate: f64,
    /// Epochs of linear rise from 0.
    pub warmup_epochs: f64,
    /// What follows.
    pub shape: Shape,
}

/// The learning rate after the rise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Stays.
    Constant,
    /// Falls to a tenth at each of these epochs.
    Steps {
        /// Epochs at which it falls.
        epochs: Vec<f64>,
    },
    /// Falls to 0 along half a cosine.
    Cosine,
}

impl Schedule {
    /// The rate at a step of a run.
    pub fn at(&self, step: u64, steps_per_epoch: u64, epochs: u64) -> f64 {
        let epoch = step as f64 / steps_per_epoch.max(1) as f64;
        if epoch < self.warmup_epochs {
            // Never zero, so that the first step counts.
            return self.rate * (epoch + 1.0 / steps_per_epoch.max(1) as f64)
                / self.warmup_epochs.max(1e-9);
        }
        match &self.shape {
            Shape::Constant => self.rate,
            Shape::Steps { epochs } => {
                self.rate * 0.1_f64.powi(epochs.iter().filter(|at| epoch >= **at).count() as i32)
            }
            Shape::Cosine => {
                let length = (epochs as f64 - self.warmup_epochs).max(1e-9);
                let progress = ((epoch - self.warmup_epochs) / length).min(1.0);
                self.rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: Shape, warmup_epochs: f64, expect: [f64; 5]) {
        let schedule = Schedule {
            rate: 1.0,
            warmup_epochs,
            shape,
        };
        // Ten steps an epoch, four epochs: looked at after 0, 1, 2, 3 and 4 epochs.
        for (epoch, expect) in expect.into_iter().enumerate() {
            let rate = schedule.at(epoch as u64 * 10, 10, 4);
            assert!(
                (rate - expect).abs() < 1e-9,
                "epoch {epoch}: {rate} v {expect}"
            );
        }
    }

    #[test]
    fn rates_follow_their_shape() {
        check(Shape::Constant, 0.0, [1.0; 5]);
        check(
            Shape::Steps {
                epochs: vec![2.0, 3.0],
            },
            0.0,
            [1.0, 1.0, 0.1, 0.01, 0.01],
        );
        check(
            Shape::Cosine,
            0.0,
            [
                1.0,
                0.5 + 0.5_f64.sqrt() / 2.0,
                0.5,
                0.5 - 0.5_f64.sqrt() / 2.0,
                0.0,
            ],
        );
        check(Shape::Constant, 2.0, [0.05, 0.55, 1.0, 1.0, 1.0]);
    }
}
