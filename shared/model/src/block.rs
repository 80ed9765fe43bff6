//! One spatio-temporal block: graph convolution, temporal convolution, residual.
//!
//! Layout `[batch, joint, frame, channel]`: both convolutions become plain matrix products without a
//! permutation.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::fused::block::{Residual, Way};
use crate::fused::{self, BlockInputs};
use crate::graph::SUBSETS;
use crate::init::{Initializer, WEIGHT_SPREAD};
use crate::norm::{BatchNorm, Statistics};
use crate::pass::Pass;
use crate::shards;
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
        if fused::available(&x.device()) {
            return self.fused(x, adjacency, pass);
        }
        self.plain(x, adjacency, pass)
    }

    /// The block out of Burn's operations, for every backend.
    pub(crate) fn plain(&self, x: Tensor<4>, adjacency: Tensor<3>, pass: &mut Pass) -> Tensor<4> {
        let blocks = std::slice::from_ref(self);
        shards::join(Self::in_step(blocks, &[adjacency], vec![x], pass))
    }

    /// The block over the parts of one batch, each on the device of its copy (see [`Self::copy`]) and of its adjacency.
    /// BatchNorm and dropout see one batch.
    pub(crate) fn in_step(
        copies: &[Self],
        adjacency: &[Tensor<3>],
        x: Vec<Tensor<4>>,
        pass: &mut Pass,
    ) -> Vec<Tensor<4>> {
        let first = &copies[0];
        let mixed = copies.iter().zip(adjacency).zip(&x);
        let y = mixed
            .map(|((block, adjacency), x)| {
                let adjacency = adjacency.clone() * block.edge.val();
                block.graph.forward(x.clone(), adjacency)
            })
            .collect();
        let y = normalized(&first.norm1, y, true, pass);
        let y = y.into_iter().zip(copies);
        let y = y
            .map(|(y, block)| block.temporal.forward(y, block.stride))
            .collect();
        let y = normalized(&first.norm2, y, false, pass);
        let y = pass.dropout(y, first.dropout);
        let added = match &first.residual_norm {
            Some(norm) => {
                let projected = copies.iter().zip(x).map(|(block, x)| block.projected(x));
                Some(normalized(norm, projected.collect(), false, pass))
            }
            None if first.adds_input => Some(x),
            None => None,
        };
        match added {
            Some(added) => {
                let pairs = y.into_iter().zip(added);
                pairs.map(|(y, added)| relu(y + added)).collect()
            }
            None => y.into_iter().map(relu).collect(),
        }
    }

    /// A copy on another device, for [`Self::in_step`]: its gradients flow back to this block. Its BatchNorm layers stay
    /// where they are, because the first block's serve all.
    pub(crate) fn copy(&self, device: &Device) -> Self {
        Self {
            graph: shards::copy(&self.graph, device),
            edge: shards::copy(&self.edge, device),
            temporal: shards::copy(&self.temporal, device),
            residual: shards::copy(&self.residual, device),
            ..self.clone()
        }
    }

    /// The residual's convolution over the kept frames.
    fn projected(&self, x: Tensor<4>) -> Tensor<4> {
        let Some(linear) = &self.residual else {
            return x;
        };
        let [batch, joint, frame, input] = x.dims();
        let kept = frame.div_ceil(self.stride);
        let x = if self.stride == 1 {
            x
        } else {
            every(x, 0, kept, self.stride)
        };
        let rows = linear.forward(x.reshape([batch * joint * kept, input]));
        let [_, output] = rows.dims();
        rows.reshape([batch, joint, kept, output])
    }

    /// The block as one operation.
    fn fused(&self, x: Tensor<4>, adjacency: Tensor<3>, pass: &mut Pass) -> Tensor<4> {
        let [batch, joint, frame, _] = x.dims();
        let layers: Vec<&BatchNorm> = [&self.norm1, &self.norm2]
            .into_iter()
            .chain(&self.residual_norm)
            .collect();
        let nothing = || Tensor::<1>::zeros([1], &x.device()).into_dispatch();
        let (residual, residual_bias) = match &self.residual {
            Some(linear) => (
                linear.weight.val().into_dispatch(),
                linear.bias.as_ref().map(|bias| bias.val().into_dispatch()),
            ),
            None => (nothing(), None),
        };
        let (gamma3, beta3) = match &self.residual_norm {
            Some(norm) => (norm.gamma.val(), norm.beta.val()),
            None => (
                self.norm2.gamma.val().detach(),
                self.norm2.beta.val().detach(),
            ),
        };
        let train = matches!(pass, Pass::Train(_));
        let given = if train {
            nothing()
        } else {
            let running = layers
                .iter()
                .flat_map(|norm| [norm.mean.val(), norm.var.val()]);
            Tensor::cat(running.collect(), 0).into_dispatch()
        };
        let way = Way {
            stride: self.stride,
            residual: match (&self.residual, self.adds_input) {
                (Some(_), _) => Residual::Projected,
                (None, true) => Residual::Identity,
                (None, false) => Residual::None,
            },
            train,
            dropout: pass.draw(self.dropout),
        };
        let inputs = BlockInputs {
            graph_weight: self.graph.weight.val().into_dispatch(),
            graph_bias: self.graph.bias.val().into_dispatch(),
            adjacency: adjacency.into_dispatch(),
            edge: self.edge.val().into_dispatch(),
            gamma1: self.norm1.gamma.val().into_dispatch(),
            beta1: self.norm1.beta.val().into_dispatch(),
            temporal_weight: self.temporal.weight.val().into_dispatch(),
            temporal_bias: self.temporal.bias.val().into_dispatch(),
            gamma2: self.norm2.gamma.val().into_dispatch(),
            beta2: self.norm2.beta.val().into_dispatch(),
            residual_weight: residual,
            residual_bias: residual_bias.unwrap_or_else(nothing),
            gamma3: gamma3.into_dispatch(),
            beta3: beta3.into_dispatch(),
            given,
            x: x.into_dispatch(),
        };
        let (output, found) = fused::block(inputs, way);
        if let Pass::Train(training) = pass {
            let [_, _, kept, channel] = output.dims();
            let counts = [frame, kept, kept].map(|frames| batch * joint * frames);
            for (index, count) in (0..layers.len()).zip(counts) {
                let part = |which: usize| {
                    let values = found.clone().narrow(0, index, 1).narrow(1, which, 1);
                    values.reshape([channel])
                };
                training
                    .statistics
                    .push(Statistics::new(part(0), part(1), count));
            }
        }
        output
    }

    pub(crate) fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.norm1, &mut self.norm2];
        norms.extend(self.residual_norm.as_mut());
        norms
    }
}

fn normalized(
    norm: &BatchNorm,
    parts: Vec<Tensor<4>>,
    relu: bool,
    pass: &mut Pass,
) -> Vec<Tensor<4>> {
    let shapes: Vec<_> = parts.iter().map(Tensor::dims).collect();
    let rows = |x: Tensor<4>| {
        let [batch, joint, frame, channel] = x.dims();
        x.reshape([batch * joint * frame, channel])
    };
    let rows = parts.into_iter().map(rows).collect();
    let rows = norm.in_step(rows, relu, pass).into_iter();
    rows.zip(shapes)
        .map(|(rows, shape)| rows.reshape(shape))
        .collect()
}
