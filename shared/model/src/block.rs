//! One spatio-temporal block: graph convolution, temporal convolution, residual.
//!
//! Layout `[batch, joint, frame, channel]`: both convolutions become plain matrix products without a
//! permutation.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::fused;
use crate::graph::SUBSETS;
use crate::init::{Initializer, WEIGHT_SPREAD};
use crate::norm::BatchNorm;
use crate::pass::Pass;
use crate::temporal::{TemporalConv, every};

/// Mixes channels, then joints along the graph.
#[derive(Module, Debug)]
pub struct GraphConv {
    /// `[subset, channel in, channel out]`.
    pub weight: Param<Tensor<3>>,
    /// `[subset, channel out]`.
    pub bias: Param<Tensor<2>>,
}

impl GraphConv {
    fn new(input: usize, output: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            weight: init.normal([SUBSETS, input, output], 0.0, WEIGHT_SPREAD),
            bias: init.constant([SUBSETS, output], 0.0),
        }
    }

    /// `y[w] = sum over subset k and joint v of adjacency[k, v, w] * (x[v] W[k] + b[k])`.
    ///
    /// # Shapes
    /// - `x`: `[batch, joint, frame, channel in]`
    /// - `adjacency`: `[subset, source joint, target joint]`
    /// - output: `[batch, joint, frame, channel out]`
    pub fn forward(&self, x: Tensor<4>, adjacency: Tensor<3>) -> Tensor<4> {
        let [batch, joint, frame, input] = x.dims();
        let [_, _, output] = self.weight.dims();
        let mixed = x
            .reshape([batch, 1, joint * frame, input])
            .matmul(self.weight.val().unsqueeze());
        let mixed = mixed.reshape([batch, SUBSETS * joint, frame * output]);
        // [target, subset * source]
        let adjacency = adjacency.permute([2, 0, 1]);
        let reach = adjacency.clone().sum_dim(2).reshape([joint, SUBSETS]);
        let bias = reach.matmul(self.bias.val()).reshape([1, joint, 1, output]);
        let gathered = adjacency.reshape([1, joint, SUBSETS * joint]).matmul(mixed);
        gathered.reshape([batch, joint, frame, output]) + bias
    }
}

/// The shape of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Every `stride`-th frame is kept.
    pub stride: usize,
    /// Whether the block adds its input to its output.
    pub residual: bool,
}

/// Graph convolution, BatchNorm, ReLU, temporal convolution, BatchNorm, dropout, residual, ReLU.
#[derive(Module, Debug)]
pub struct Block {
    /// Graph convolution.
    pub graph: GraphConv,
    /// Edge importance, `[subset, source, target]`, initially one.
    pub edge: Param<Tensor<3>>,
    /// After the graph convolution.
    pub norm1: BatchNorm,
    /// Temporal convolution.
    pub temporal: TemporalConv,
    /// After the temporal convolution.
    pub norm2: BatchNorm,
    /// 1x1 convolution of the residual, where shape or stride change.
    pub residual: Option<Linear>,
    /// After the residual's convolution.
    pub residual_norm: Option<BatchNorm>,
    /// Every `stride`-th frame is kept.
    pub stride: usize,
    /// Whether the block adds its input.
    pub adds_input: bool,
    /// Dropout rate, 0..1.
    pub dropout: f64,
}

impl Block {
    pub(crate) fn new(
        spec: BlockSpec,
        joints: usize,
        dropout: f64,
        init: &mut Initializer<'_>,
    ) -> Self {
        let BlockSpec {
            input,
            output,
            stride,
            residual,
        } = spec;
        let projected = residual && (input != output || stride != 1);
        Self {
            graph: GraphConv::new(input, output, init),
            edge: init.constant([SUBSETS, joints, joints], 1.0),
            norm1: BatchNorm::new(output, init),
            temporal: TemporalConv::new(output, output, init),
            norm2: BatchNorm::new(output, init),
            residual: projected.then(|| init.linear(input, output)),
            residual_norm: projected.then(|| BatchNorm::new(output, init)),
            stride,
            adds_input: residual,
            // The first block has neither residual nor dropout.
            dropout: if residual { dropout } else { 0.0 },
        }
    }

    /// Runs the block.
    ///
    /// # Shapes
    /// - `x`: `[batch, joint, frame, channel in]`
    /// - `adjacency`: `[subset, source joint, target joint]`
    /// - output: `[batch, joint, ceil(frame / stride), channel out]`
    pub fn forward(&self, x: Tensor<4>, adjacency: Tensor<3>, pass: &mut Pass) -> Tensor<4> {
        let y = if fused::available(&x.device()) {
            let (weight, bias) = (self.graph.weight.val(), self.graph.bias.val());
            fused::graph(x.clone(), weight, bias, adjacency, self.edge.val())
        } else {
            self.graph.forward(x.clone(), adjacency * self.edge.val())
        };
        let y = normalized(&self.norm1, y, true, pass);
        let y = self.temporal.forward(y, self.stride);
        let y = normalized(&self.norm2, y, false, pass);
        let y = pass.dropout(y, self.dropout);
        relu(match (&self.residual, &self.residual_norm) {
            (Some(linear), Some(norm)) => {
                let [batch, joint, frame, _] = x.dims();
                let kept = frame.div_ceil(self.stride);
                let x = if self.stride == 1 {
                    x
                } else {
                    every(x, 0, kept, self.stride)
                };
                let [.., input] = x.dims();
                let rows = linear.forward(x.reshape([batch * joint * kept, input]));
                y.clone() + norm.forward(rows, pass).reshape(y.dims())
            }
            _ if self.adds_input => y + x,
            _ => y,
        })
    }

    pub(crate) fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.norm1, &mut self.norm2];
        norms.extend(self.residual_norm.as_mut());
        norms
    }
}

fn normalized(norm: &BatchNorm, x: Tensor<4>, relu: bool, pass: &mut Pass) -> Tensor<4> {
    let shape = x.dims();
    let [batch, joint, frame, channel] = shape;
    let rows = x.reshape([batch * joint * frame, channel]);
    let rows = if relu {
        norm.forward_relu(rows, pass)
    } else {
        norm.forward(rows, pass)
    };
    rows.reshape(shape)
}
