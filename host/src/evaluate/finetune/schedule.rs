//! The learning rate over the epochs.

use serde::{Deserialize, Serialize};

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine from the full rate to zero.
    Cosine,
    /// A tenth at each of the configured epochs.
    Steps,
}

impl Schedule {
    /// The share of the full rate at a point of training.
    ///
    /// `epoch` counts from 0 and may be fractional (`2.5` is half-way through the third epoch); `warmup` epochs rise linearly.
    #[must_use]
    pub fn factor(self, epoch: f64, epochs: usize, warmup: usize, steps: &[usize]) -> f64 {
        let warmup = warmup as f64;
        if epoch < warmup {
            return (epoch + 0.5).min(warmup) / warmup;
        }
        match self {
            Self::Cosine => {
                let left = (epochs as f64 - warmup).max(1.0);
                0.5 * (1.0 + (std::f64::consts::PI * ((epoch - warmup) / left).min(1.0)).cos())
            }
            Self::Steps => {
                0.1f64.powi(steps.iter().filter(|&&step| epoch >= step as f64).count() as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_falls_from_one_through_a_half_to_zero() {
        let at = |epoch| Schedule::Cosine.factor(epoch, 10, 0, &[]);
        assert!(
            (at(0.0) - 1.0).abs() < 1e-12
                && (at(5.0) - 0.5).abs() < 1e-12
                && at(10.0).abs() < 1e-12
        );
    }

    #[test]
    fn warmup_rises_and_steps_fall() {
        let at = |epoch| Schedule::Steps.factor(epoch, 10, 2, &[6, 8]);
        assert!(at(0.0) < at(1.0) && at(1.0) < at(2.0));
        assert!(
            (at(5.9) - 1.0).abs() < 1e-12
                && (at(6.0) - 0.1).abs() < 1e-12
                && (at(9.0) - 0.01).abs() < 1e-12
        );
    }
}
