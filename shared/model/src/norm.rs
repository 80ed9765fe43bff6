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
use crate::shards;

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

    /// A layer that starts with scales of exactly one.
    pub(crate) fn neutral(channels: usize, init: &Initializer<'_>) -> Self {
        Self {
            gamma: init.constant([channels], 1.0),
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

    /// Normalises the parts of one batch, each on its device, as one; ReLU follows if `with_relu`. A single part is run as
    /// by [`Self::forward`].
    ///
    /// # Shapes
    /// parts `[row, channel] -> [row, channel]`
    ///
    /// # Source
    /// Moments of the parts are joined by the formula of Chan, Golub and LeVeque (1979), which does not cancel. Gradients
    /// flow through the joined moments to all parts, as in PyTorch's SyncBatchNorm.
    pub(crate) fn in_step(
        &self,
        mut parts: Vec<Tensor<2>>,
        with_relu: bool,
        pass: &mut Pass,
    ) -> Vec<Tensor<2>> {
        if parts.len() == 1 {
            let rows = parts.remove(0);
            return vec![self.run(rows, with_relu, pass)];
        }
        let (scale, shift) = match pass {
            Pass::Infer => self.folded(),
            Pass::Train(training) => {
                let (mean, variance, count) = joined_moments(&parts);
                let scale = self.gamma.val() / (variance.clone() + EPSILON).sqrt();
                let shift = self.beta.val() - mean.clone() * scale.clone();
                let statistics = Statistics::new(mean, variance, count);
                training.statistics.push(statistics);
                (scale, shift)
            }
        };
        // One transfer a part.
        let both = shards::copies(Tensor::stack::<2>(vec![scale, shift], 0), &parts);
        let parts = parts.into_iter().zip(both);
        parts
            .map(|(rows, both)| {
                let rows = rows * both.clone().narrow(0, 0, 1) + both.narrow(0, 1, 1);
                if with_relu { relu(rows) } else { rows }
            })
            .collect()
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

/// Mean and population variance of the rows of all parts, `[channel]` each, on the first part's device; number of rows.
fn joined_moments(parts: &[Tensor<2>]) -> (Tensor<1>, Tensor<1>, usize) {
    let device = parts[0].device();
    let [_, channels] = parts[0].dims();
    let counts: Vec<usize> = parts.iter().map(|rows| rows.dims()[0]).collect();
    let total: usize = counts.iter().sum();
    // Every device gets its work before the first result is waited for.
    let found: Vec<Tensor<2>> = parts
        .iter()
        .map(|rows| {
            let mean = rows.clone().mean_dim(0);
            let apart = rows.clone() - mean.clone();
            Tensor::cat(vec![mean, (apart.clone() * apart).sum_dim(0)], 0)
        })
        .collect();
    let found: Vec<Tensor<2>> = found
        .into_iter()
        .map(|moments| moments.to_device(&device))
        .collect();
    let part = |moments: &Tensor<2>, index| {
        let row = moments.clone().narrow(0, index, 1);
        row.reshape([channels])
    };
    let shares = counts.iter().map(|count| *count as f64 / total as f64);
    let mean = found
        .iter()
        .zip(shares.clone())
        .map(|(moments, share)| part(moments, 0) * share)
        .fold(Tensor::zeros([channels], &device), Tensor::add);
    let variance = found
        .iter()
        .zip(shares)
        .map(|(moments, share)| {
            let apart = part(moments, 0) - mean.clone();
            part(moments, 1) / total as f64 + apart.clone() * apart * share
        })
        .fold(Tensor::zeros([channels], &device), Tensor::add);
    (mean, variance, total)
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
