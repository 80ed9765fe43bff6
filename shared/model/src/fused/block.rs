//! A whole block as one step: between its two convolutions nothing but their raw outputs is kept.
//!
//! What BatchNorm and ReLU make of those is computed again where it is needed, a cache-sized part at a time. Work is cut
//! into the same groups of windows on any number of threads, and their sums are added in order.

mod backward;
mod forward;

use super::dropout::Dropout;
use super::graph::Graph;
use super::lanes::{add_to_rows, sum_rows};
use super::matrix::{Matrix, Write, product};
use super::norm::Layer;
use super::temporal::Temporal;
use super::{CACHED, Flat, Raw, dims, group};
use crate::temporal::TAPS;

pub(super) use backward::backward;
pub(super) use forward::forward;

/// What a block adds to the output of its convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residual {
    /// Nothing.
    None,
    /// Its input.
    Identity,
    /// Its kept frames through a pointwise convolution and BatchNorm.
    Projected,
}

/// How a block runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Every `stride`-th frame is kept.
    pub(crate) stride: usize,
    /// What is added.
    pub(crate) residual: Residual,
    /// BatchNorm takes its statistics from the batch, not from `given`.
    pub(crate) train: bool,
    /// Before the residual is added.
    pub(crate) dropout: Option<Dropout>,
}

/// Number of a block's tensors; see [`super::BlockInputs::list`].
pub(super) const TENSORS: usize = 16;
/// Those of them that may have gradients, in the order of [`backward`]'s results.
pub(super) const TRAINED: usize = 14;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    inputs: [Raw; TENSORS],
    way: Way,
    /// Outputs of both convolutions and of the residual's.
    graph: Raw,
    temporal: Raw,
    residual: Option<Raw>,
    output: Raw,
    /// Mean and variance of the three BatchNorm layers, `[layer, 2, channel]`.
    statistics: Raw,
}

/// Sizes and weights of one block.
struct Block<'a> {
    batch: usize,
    way: Way,
    graph: Graph<'a>,
    temporal: Temporal,
    tensors: [&'a [f32]; TENSORS],
}

impl<'a> Block<'a> {
    fn new(flats: &'a [Flat; TENSORS], way: Way) -> Self {
        let tensors = flats.each_ref().map(Flat::values);
        let [batch, joints, frames, input] = dims(&flats[0].0);
        let [_, _, output] = dims(&flats[1].0);
        let [_, weight, bias, adjacency, edge, ..] = tensors;
        Self {
            batch,
            way,
            graph: Graph::new(
                [joints, frames, input, output],
                weight,
                bias,
                adjacency,
                edge,
            ),
            temporal: Temporal::new(frames, [TAPS, output, output], way.stride),
            tensors,
        }
    }

    /// Floats of one window: of the input, after the graph convolution, of the output.
    fn windows(&self) -> [usize; 3] {
        let Graph {
            joints,
            frames,
            input,
            output,
            ..
        } = self.graph;
        [
            joints * frames * input,
            joints * frames * output,
            joints * self.temporal.kept * output,
        ]
    }

    fn output_shape(&self) -> [usize; 4] {
        let Graph { joints, output, .. } = self.graph;
        [self.batch, joints, self.temporal.kept, output]
    }

    /// Windows of a group and of a part that fits the cache.
    fn cut(&self) -> (usize, usize) {
        let [_, inner, _] = self.windows();
        let largest = inner.max(self.graph.gathered());
        (group(self.batch), (CACHED / largest).max(1))
    }

    fn layer(&self, index: usize, statistics: &'a [f32]) -> Layer<'a> {
        // Scale and shift stand together, four places after those of the layer before.
        let [gamma, beta] = [5, 6].map(|place| self.tensors[place + 4 * index]);
        let size = 2 * self.graph.output;
        Layer::new(gamma, beta, &statistics[index * size..(index + 1) * size])
    }

    /// The residual's convolution over the kept frames of some windows.
    fn project(&self, x: &[f32], out: &mut [f32]) {
        let (weight, bias) = (self.tensors[11], self.tensors[12]);
        let Graph {
            frames,
            input,
            output,
            ..
        } = self.graph;
        let weight = Matrix::dense(weight, output);
        let count = x.len() / (frames * input);
        for frame in 0..self.temporal.kept {
            let from = frame * self.way.stride * input;
            let rows = Matrix::new(&x[from..], [count, input], frames * input);
            let stride = self.temporal.kept_sequence();
            product(rows, weight, &mut out[frame * output..], stride, Write::Set);
        }
        add_to_rows(out, bias);
    }

    /// Adds to the gradients of the residual's weight, bias and input.
    fn project_back(
        &self,
        x: &[f32],
        grad: &[f32],
        dx: Option<&mut [f32]>,
        [dweight, dbias]: [&mut [f32]; 2],
    ) {
        let Graph {
            frames,
            input,
            output,
            ..
        } = self.graph;
        let weight = Matrix::dense(self.tensors[11], output).transposed();
        let count = x.len() / (frames * input);
        let mut dx = dx;
        for frame in 0..self.temporal.kept {
            let from = frame * self.way.stride * input;
            let rows = Matrix::new(&x[from..], [count, input], frames * input).transposed();
            let stride = self.temporal.kept_sequence();
            let grads = Matrix::new(&grad[frame * output..], [count, output], stride);
            product(rows, grads, dweight, output, Write::Add);
            if let Some(dx) = dx.as_deref_mut() {
                product(grads, weight, &mut dx[from..], frames * input, Write::Add);
            }
        }
        sum_rows(dbias, grad);
    }
}
