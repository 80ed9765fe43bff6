//! What one forward pass does with BatchNorm and dropout, as a value instead of a hidden flag.
//!
//! A module never changes during a pass. A training pass records the batch statistics it used;
//! [`absorb`] then moves them into the running averages, or the caller drops them.

use burn::tensor::{Tensor, TensorData};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::fused::dropout::Dropout;
use crate::norm::{BatchNorm, Statistics};

/// How the layers behave in one forward pass.
pub enum Pass {
    /// Running statistics, no dropout. Differentiable on an autodiff device.
    Infer,
    /// Batch statistics and dropout.
    Train(Box<Training>),
}

/// The state of one training pass.
pub struct Training {
    noise: ChaCha8Rng,
    pub(crate) statistics: Vec<Statistics>,
}

impl Pass {
    /// A training pass whose dropout masks come from `noise`.
    pub fn train(noise: ChaCha8Rng) -> Self {
        Self::Train(Box::new(Training {
            noise,
            statistics: Vec::new(),
        }))
    }

    /// Which values of the next tensor to drop with probability `rate`; nothing when inferring.
    pub(crate) fn draw(&mut self, rate: f64) -> Option<Dropout> {
        match self {
            Self::Train(training) if rate > 0.0 => Some(Dropout {
                seed: training.noise.random(),
                rate,
            }),
            _ => None,
        }
    }

    /// Zeroes each value with probability `rate` and scales the others up; the identity when inferring. The parts of one
    /// batch lose what the whole would lose.
    pub(crate) fn dropout<const D: usize>(
        &mut self,
        parts: Vec<Tensor<D>>,
        rate: f64,
    ) -> Vec<Tensor<D>> {
        let Some(dropout) = self.draw(rate) else {
            return parts;
        };
        let mut start = 0;
        let part = |x: Tensor<D>| {
            let shape = x.dims();
            let mut factors = vec![1.0; shape.iter().product()];
            dropout.apply(start, &mut factors);
            start += factors.len();
            x.clone() * Tensor::from_data(TensorData::new(factors, shape), &x.device())
        };
        parts.into_iter().map(part).collect()
    }
}

/// A module that owns BatchNorm layers.
pub trait Normalized {
    /// Its BatchNorm layers in the order in which a forward pass visits them.
    fn norms(&mut self) -> Vec<&mut BatchNorm>;
}

/// Moves the statistics of a training pass into the running averages (weight of the new value 0.1).
///
/// # Panics
/// When `pass` ran through another module: programmer error.
pub fn absorb(module: &mut impl Normalized, pass: Pass) {
    let Pass::Train(training) = pass else { return };
    let norms = module.norms();
    assert_eq!(
        norms.len(),
        training.statistics.len(),
        "the pass belongs to another module"
    );
    for (norm, statistics) in norms.into_iter().zip(training.statistics) {
        norm.absorb(statistics);
    }
}
