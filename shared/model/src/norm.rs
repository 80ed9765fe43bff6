//! BatchNorm with PyTorch's semantics over rows of channels.
//!
//! Own module instead of Burn's, because teachers need explicit buffers: Burn's running state is
//! shared between clones, lags one update behind and keeps the biased variance.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::batch_norm_train;

use crate::fused;
use crate::init::{Initializer, WEIGHT_SPREAD};
use crate::pass::Pass;

/// Added to the variance (PyTorch's default).
pub const EPSILON: f64 = 1e-5;
/// Weight of the new value in a running average (PyTorch's default `momentum`).
pub const NEW_WEIGHT: f64 = 0.1;

/// Normalises each channel over the rows of a batch, or with running averages.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[channel]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channel]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[channel]`; a buffer.
    pub mean: Param<Tensor<1>>,
    /// Running variance, unbiased, `[channel]`; a buffer.
    pub var: Param<Tensor<1>>,
}

/// Mean and unbiased variance of one batch, `[channel]` each.
pub(crate) struct Statistics {
    mean: Tensor<1>,
    var: Tensor<1>,
}

impl Statistics {
    /// Of `count` rows with a mean and a population variance.
    pub(crate) fn new(mean: Tensor<1>, variance: Tensor<1>, count: usize) -> Self {
        let correction = count as f64 / (count.max(2) - 1) as f64;
        Self {
            mean: mean.detach(),
            var: variance.detach() * correction,
        }
    }
}

impl BatchNorm {
    pub(crate) fn new(channels: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            gamma: init.normal([channels], 1.0, WEIGHT_SPREAD),
            beta: init.constant([channels], 0.0),
            mean: init.buffer([channels], 0.0),
            var: init.buffer([channels], 1.0),
        }
    }

    /// Normalises rows of channels.
    ///
    /// # Shapes
    /// `[row, channel] -> [row, channel]`
    pub fn forward(&self, rows: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.run(rows, false, pass)
    }

    /// Normalises rows of channels and sets what is negative to zero.
    ///
    /// # Shapes
    /// `[row, channel] -> [row, channel]`
    pub fn forward_relu(&self, rows: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.run(rows, true, pass)
    }

    fn run(&self, rows: Tensor<2>, with_relu: bool, pass: &mut Pass) -> Tensor<2> {
        let Pass::Train(training) = pass else {
            let (scale, shift) = self.folded();
            let rows = rows * scale.unsqueeze() + shift.unsqueeze();
            return if with_relu { relu(rows) } else { rows };
        };
        let [count, channels] = rows.dims();
        let (output, mean, variance) = if fused::available(&rows.device()) {
            let found = fused::statistics(rows.clone());
            let found = if rows.is_autodiff() {
                Tensor::from_inner(found)
            } else {
                found
            };
            let part = |index| found.clone().narrow(0, index, 1).reshape([channels]);
            let (mean, variance) = (part(0), part(1));
            let (gamma, beta) = (self.gamma.val(), self.beta.val());
            (
                fused::norm(rows, gamma, beta, found, with_relu),
                mean,
                variance,
            )
        } else {
            let found = batch_norm_train(rows, self.gamma.val(), self.beta.val(), EPSILON);
            let output = if with_relu {
                relu(found.output)
            } else {
                found.output
            };
            (output, found.mean, found.variance)
        };
        training
            .statistics
            .push(Statistics::new(mean, variance, count));
        output
    }

    /// Scale and shift that equal this layer at inference, `[channel]` each.
    pub fn folded(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.gamma.val() / (self.var.val() + EPSILON).sqrt();
        let shift = self.beta.val() - self.mean.val() * scale.clone();
        (scale, shift)
    }

    pub(crate) fn absorb(&mut self, statistics: Statistics) {
        self.mean = average(&self.mean, statistics.mean);
        self.var = average(&self.var, statistics.var);
    }
}

fn average(running: &Param<Tensor<1>>, new: Tensor<1>) -> Param<Tensor<1>> {
    running
        .clone()
        .map(|old| (old * (1.0 - NEW_WEIGHT) + new * NEW_WEIGHT).detach())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::{Normalized, absorb};
    use burn::tensor::Device;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    impl Normalized for BatchNorm {
        fn norms(&mut self) -> Vec<&mut BatchNorm> {
            vec![self]
        }
    }

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn running_averages_follow_pytorch() {
        let device = Device::flex();
        let mut norm = BatchNorm::new(1, &mut Initializer::new(0, &device));
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(0));
        // Mean 2, population variance 2/3, unbiased variance 1.
        norm.forward(
            Tensor::from_floats([[1.0], [2.0], [3.0]], &device),
            &mut pass,
        );
        absorb(&mut norm, pass);
        assert!((values(norm.mean.val())[0] - 0.2).abs() < 1e-6);
        assert!((values(norm.var.val())[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_clone_keeps_its_own_buffers() {
        let device = Device::flex();
        let mut norm = BatchNorm::new(1, &mut Initializer::new(0, &device));
        let other = norm.clone();
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(0));
        norm.forward(Tensor::from_floats([[4.0], [6.0]], &device), &mut pass);
        absorb(&mut norm, pass);
        assert_eq!(values(other.mean.val()), [0.0]);
    }
}
