//! The watch for collapse: embeddings that all become alike make any contrastive loss look fine.

use burn::tensor::Tensor;

/// Mean over dimensions of the standard deviation over rows of unit embeddings.
///
/// `1 / sqrt(dim)` when they spread over the whole sphere, 0 when they are all alike.
///
/// # Shapes
/// `[batch, dim]`, unit rows
pub fn spread(embedding: Tensor<2>) -> f64 {
    let embedding = embedding.without_autodiff();
    let mean = embedding.clone().mean_dim(0);
    let variance = (embedding - mean).powi_scalar(2).mean_dim(0);
    f64::from(variance.sqrt().mean().into_scalar::<f32>())
}

/// Training that cannot recover.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Collapse {
    /// The loss is NaN or infinite.
    #[error(
        "the loss is {loss} at step {step}: lower the learning rate or clip the gradient's norm, and resume from the last checkpoint"
    )]
    NotFinite {
        /// The loss.
        loss: f64,
        /// The step.
        step: u64,
    },
    /// All embeddings have been alike for a while.
    #[error(
        "embeddings have collapsed: spread {spread:.5} stayed below {limit:.5} for {steps} steps up to step {step}; lower the learning rate, raise the temperature or the queue"
    )]
    Alike {
        /// Spread of the last batch.
        spread: f64,
        /// Smallest spread allowed.
        limit: f64,
        /// For how many steps it was too small.
        steps: u32,
        /// The step.
        step: u64,
    },
}

/// Stops training that has collapsed.
#[derive(Debug, Clone, Default)]
pub struct CollapseWatch {
    low: u32,
}

impl CollapseWatch {
    /// Share of `1 / sqrt(dim)` below which embeddings count as alike.
    const SHARE: f64 = 0.1;
    /// Steps in a row that may be alike: the first steps often are.
    const PATIENCE: u32 = 500;

    /// Looks at one step's loss and at the spread of embeddings of `dim` dimensions.
    ///
    /// # Errors
    /// The loss is not finite, or embeddings have been alike for 500 steps.
    pub fn check(&mut self, step: u64, loss: f64, spread: f64, dim: usize) -> Result<(), Collapse> {
        if !loss.is_finite() {
            return Err(Collapse::NotFinite { loss, step });
        }
        let limit = Self::SHARE / (dim as f64).sqrt();
        self.low = if spread < limit { self.low + 1 } else { 0 };
        if self.low >= Self::PATIENCE {
            return Err(Collapse::Alike {
                spread,
                limit,
                steps: self.low,
                step,
            });
        }
        Ok(())
    }

    /// Steps in a row with too small a spread, to be stored.
    pub fn state(&self) -> u64 {
        u64::from(self.low)
    }

    /// Goes on from a stored state.
    pub fn restore(&mut self, state: u64) {
        self.low = u32::try_from(state).unwrap_or(Self::PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn spread_is_full_for_opposite_embeddings_and_zero_for_equal_ones() {
        let device = Device::flex();
        let apart =
            Tensor::<2>::from_floats([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], &device);
        assert!((spread(apart) - 1.0 / 2.0_f64.sqrt()).abs() < 1e-6);
        assert!(spread(Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0]], &device)) < 1e-6);
    }

    #[test]
    fn a_short_dip_is_forgiven_and_a_long_one_is_not() {
        let mut watch = CollapseWatch::default();
        for step in 0..499 {
            watch.check(step, 1.0, 0.0, 128).unwrap();
        }
        watch.check(499, 1.0, 0.08, 128).unwrap();
        for step in 500..999 {
            watch.check(step, 1.0, 0.0, 128).unwrap();
        }
        assert!(matches!(
            watch.check(999, 1.0, 0.0, 128),
            Err(Collapse::Alike { steps: 500, .. })
        ));
    }

    #[test]
    fn a_loss_that_is_no_number_stops_at_once() {
        assert!(
            CollapseWatch::default()
                .check(3, f64::NAN, 1.0, 128)
                .is_err()
        );
    }
}
