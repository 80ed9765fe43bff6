//! An encoder with a linear classifier on its pooled features.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use tendon_shared::pose::Presence;

use crate::encoder::Encoder;
use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};

/// Encoder and linear classifier, trained together or apart.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The encoder.
    pub encoder: Encoder,
    /// `[dim] -> [class]`.
    pub classifier: Linear,
}

impl Classifier {
    /// Puts a new classifier of `classes` classes on `encoder`, which has `dim` features.
    pub fn new(encoder: Encoder, dim: usize, classes: usize, seed: u64) -> Self {
        let device = encoder.device();
        let classifier = Initializer::new(seed, &device).linear(dim, classes);
        Self {
            encoder,
            classifier,
        }
    }

    /// Class scores before the softmax.
    ///
    /// # Shapes
    /// - `x`: `[batch, body, channel, frame, joint]`
    /// - output: `[batch, class]`
    pub fn forward(&self, x: Tensor<5>, presence: &[Presence], pass: &mut Pass) -> Tensor<2> {
        self.classifier
            .forward(self.encoder.embed(x, presence, pass))
    }
}

impl Normalized for Classifier {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        self.encoder.norms()
    }
}
