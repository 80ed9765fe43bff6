//! The tail's weights as real numbers: what a float copy of the last blocks and the classifier needs to be the same function.

use crate::block::{Block, Residual};
use crate::classifier::{Classifier, exp2};
use crate::format::{MEAN_BITS, SUBSETS};
use crate::spec::{BlockSpec, Spec};

/// The blocks after the trunk and the classifier, dequantised on access.
#[derive(Clone, Copy, Debug)]
pub struct TailWeights<'e> {
    spec: &'e Spec,
    blocks: &'e [Block<'e>],
    classifier: &'e Classifier<'e>,
}

impl<'e> TailWeights<'e> {
    pub(crate) const fn new(
        spec: &'e Spec,
        blocks: &'e [Block<'e>],
        classifier: &'e Classifier<'e>,
    ) -> Self {
        Self {
            spec,
            blocks,
            classifier,
        }
    }

    /// Returns the encoder's shape.
    #[must_use]
    pub const fn spec(&self) -> &'e Spec {
        self.spec
    }

    /// Returns the value of one step of the trunk's features: value = scale * (q + 128).
    #[must_use]
    pub fn trunk_scale(&self) -> f32 {
        self.blocks.first().map_or(1.0, |block| block.in_scale)
    }

    /// Iterates over the tail's blocks.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = TailBlock<'e>> + use<'e> {
        let joints = self.spec.joints;
        self.blocks
            .iter()
            .map(move |block| TailBlock { block, joints })
    }

    /// Returns the classifier's weights.
    #[must_use]
    pub const fn classifier(&self) -> ClassifierWeights<'e> {
        ClassifierWeights {
            spec: self.spec,
            classifier: self.classifier,
            blocks: self.blocks,
        }
    }
}

/// The classifier, as real numbers.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierWeights<'e> {
    spec: &'e Spec,
    classifier: &'e Classifier<'e>,
    blocks: &'e [Block<'e>],
}

impl ClassifierWeights<'_> {
    /// Returns the weight of `class` for dimension `dim` of the embedding.
    #[must_use]
    pub fn weight(&self, class: usize, dim: usize) -> f32 {
        let out_scale = self.blocks.last().map_or(1.0, |block| block.out_scale);
        let step = self.classifier.step() * exp2(MEAN_BITS) / out_scale;
        f32::from(self.classifier.weight(self.spec, class, dim)) * step
    }

    /// Returns the bias of `class`.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a real number for a float tail"
    )]
    pub fn bias(&self, class: usize) -> f32 {
        (self.classifier.bias(class) as f64 * f64::from(self.classifier.step())) as f32
    }
}

/// One block of the tail, as real numbers. BatchNorm is folded in; ReLU follows each of the two convolutions.
#[derive(Clone, Copy, Debug)]
pub struct TailBlock<'e> {
    block: &'e Block<'e>,
    joints: usize,
}

impl TailBlock<'_> {
    /// Returns the block's shape.
    #[must_use]
    pub const fn shape(&self) -> BlockSpec {
        self.block.shape
    }

    /// Calls `visit(subset, source joint, target joint, weight)` for every entry of the graph.
    pub fn adjacency(&self, mut visit: impl FnMut(usize, usize, usize, f32)) {
        let adjacency = &self.block.adjacency;
        adjacency.visit(|target, subset, source, coefficient| {
            let step = adjacency.scale.get(subset) / self.block.in_scale / exp2(adjacency.shift);
            visit(subset, source, target, coefficient as f32 * step);
        });
    }

    /// Returns a weight of the graph convolution.
    #[must_use]
    pub fn graph_weight(&self, subset: usize, input: usize, output: usize) -> f32 {
        let Block {
            graph,
            adjacency,
            shape,
            ..
        } = self.block;
        let weight = f32::from(graph.weight(output, subset * shape.input + input));
        weight * graph.scale.get(output) / adjacency.scale.get(subset)
    }

    /// Returns the bias of the graph convolution at `joint`.
    #[must_use]
    pub fn graph_bias(&self, joint: usize, output: usize) -> f32 {
        let Block {
            graph,
            adjacency,
            shape,
            ..
        } = self.block;
        let mut bias = i64::from(graph.bias.get(joint * shape.output + output));
        for (subset, zero) in (0..SUBSETS).zip(adjacency.zero) {
            let sum = graph.weight_sum(output, subset * shape.input, shape.input);
            bias += i64::from(sum) * (i64::from(zero.cast_signed()) + 128);
        }
        debug_assert!(joint < self.joints);
        bias as f32 * graph.scale.get(output)
    }

    /// Returns a weight of the temporal convolution; tap 4 is the frame itself.
    #[must_use]
    pub fn temporal_weight(&self, tap: usize, input: usize, output: usize) -> f32 {
        let Block {
            temporal,
            hidden_scale,
            shape,
            ..
        } = self.block;
        let weight = f32::from(temporal.weight(output, tap * shape.output + input));
        weight * temporal.scale.get(output) / hidden_scale.get(input)
    }

    /// Returns the bias of the temporal convolution.
    #[must_use]
    pub fn temporal_bias(&self, output: usize) -> f32 {
        let temporal = &self.block.temporal;
        temporal.bias.get(output) as f32 * temporal.scale.get(output)
    }

    /// Returns a weight of the residual convolution; zero where there is none.
    #[must_use]
    pub fn residual_weight(&self, input: usize, output: usize) -> f32 {
        let Residual::Convolution(path) = &self.block.residual else {
            return 0.0;
        };
        f32::from(path.weight(output, input)) * path.scale.get(output) / self.block.in_scale
    }

    /// Returns the bias of the residual convolution; zero where there is none.
    #[must_use]
    pub fn residual_bias(&self, output: usize) -> f32 {
        let Residual::Convolution(path) = &self.block.residual else {
            return 0.0;
        };
        path.bias.get(output) as f32 * path.scale.get(output)
    }
}
