//! The last layers as real numbers: what a tail that learns beside the engine needs to start as the same function.

use crate::block::Block;
use crate::classifier::{Classifier, exp2};
use crate::format::MEAN_BITS;
use crate::spec::Spec;

/// Scales of the last block and the classifier, dequantised on access.
#[derive(Clone, Copy, Debug)]
pub struct TailWeights<'e> {
    spec: &'e Spec,
    last: Option<&'e Block<'e>>,
    classifier: &'e Classifier<'e>,
}

impl<'e> TailWeights<'e> {
    pub(crate) const fn new(
        spec: &'e Spec,
        last: Option<&'e Block<'e>>,
        classifier: &'e Classifier<'e>,
    ) -> Self {
        Self {
            spec,
            last,
            classifier,
        }
    }

    /// Returns the encoder's shape.
    #[must_use]
    pub const fn spec(&self) -> &'e Spec {
        self.spec
    }

    /// Returns the value of one step of what goes into the last temporal convolution, in `channel`.
    #[must_use]
    pub fn hidden_scale(&self, channel: usize) -> f32 {
        self.last.map_or(1.0, |last| last.hidden_scale.get(channel))
    }

    /// Returns the value of one step of the last block's output.
    #[must_use]
    pub fn output_scale(&self) -> f32 {
        self.last.map_or(1.0, |last| last.out_scale)
    }

    /// Returns the classifier's weight of `class` for dimension `dim` of the embedding.
    #[must_use]
    pub fn class_weight(&self, class: usize, dim: usize) -> f32 {
        let step = self.classifier.step() * exp2(MEAN_BITS) / self.output_scale();
        f32::from(self.classifier.weight(self.spec, class, dim)) * step
    }

    /// Returns the classifier's bias of `class`.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a real number for a float tail"
    )]
    pub fn class_bias(&self, class: usize) -> f32 {
        (self.classifier.bias(class) as f64 * f64::from(self.classifier.step())) as f32
    }
}
