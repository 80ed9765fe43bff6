//! Initial parameter values, drawn from a seeded generator so that every backend starts alike.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::augment::random::normal;

/// Standard deviation of every initial weight (methods of the CrosSCLR family: N(0, 0.02)).
pub(crate) const WEIGHT_SPREAD: f32 = 0.02;

/// Draws parameters in a fixed order; the same seed gives the same network.
pub(crate) struct Initializer<'a> {
    rng: ChaCha8Rng,
    device: &'a Device,
}

impl<'a> Initializer<'a> {
    pub(crate) fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            device,
        }
    }

    /// Where parameters live.
    pub(crate) fn device(&self) -> &Device {
        self.device
    }

    /// A trainable tensor of N(mean, spread) values.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        mean: f32,
        spread: f32,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| mean + spread * normal(&mut self.rng))
            .collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, shape),
            self.device,
        ))
    }

    /// A trainable tensor of one value.
    pub(crate) fn constant<const D: usize>(
        &self,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(shape, value, self.device))
    }

    /// A tensor that is stored and averaged, but never trained.
    pub(crate) fn buffer<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.constant(shape, value).set_require_grad(false)
    }

    /// A layer in front of a BatchNorm, so without a bias: weights N(0, 2 / output), Kaiming's rule by what goes out.
    pub(crate) fn kaiming(&mut self, input: usize, output: usize) -> Linear {
        Linear {
            weight: self.normal([input, output], 0.0, kaiming(output)),
            bias: None,
        }
    }

    /// A fully connected layer: weights N(0, 2 / (input + output)), Xavier's rule, zero bias.
    pub(crate) fn xavier(&mut self, input: usize, output: usize) -> Linear {
        let spread = (2.0 / (input + output) as f32).sqrt();
        Linear {
            weight: self.normal([input, output], 0.0, spread),
            bias: Some(self.constant([output], 0.0)),
        }
    }

    /// A fully connected layer: weights N(0, 0.02), zero bias.
    pub(crate) fn linear(&mut self, input: usize, output: usize) -> Linear {
        Linear {
            weight: self.normal([input, output], 0.0, WEIGHT_SPREAD),
            bias: Some(self.constant([output], 0.0)),
        }
    }
}

/// Standard deviation of weights with so many outputs each (channels times taps) in front of a ReLU.
pub(crate) fn kaiming(outputs: usize) -> f32 {
    (2.0 / outputs as f32).sqrt()
}
