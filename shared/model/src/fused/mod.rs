//! The encoder's three heavy operations as one step each on the CPU, with their own gradients.
//!
//! Burn's single operations allocate and walk every activation many times; these keep to the cache. Other backends
//! run the plain formulations beside the layers, which are also what tests compare these with. Work is cut into a fixed number of
//! groups whose sums are added in order, so results do not depend on the number of threads.

mod graph;
mod norm;
mod temporal;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// A tensor of the CPU backend.
type Raw = FloatTensor<Flex>;

/// Parts into which an operation cuts the batch; more threads than this do not help.
const GROUPS: usize = 8;
/// Floats of a temporary matrix: what stays in a core's cache.
const CACHED: usize = 128 * 1024;

/// Whether tensors on `device` may use these operations.
pub(crate) fn available(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// See [`crate::temporal::TemporalConv::forward`].
pub(crate) fn temporal(
    x: Tensor<4>,
    weight: Tensor<3>,
    bias: Tensor<1>,
    stride: usize,
) -> Tensor<4> {
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(<Dispatch as Fused>::fused_temporal(x, weight, bias, stride))
}

/// See [`crate::block::GraphConv::forward`]; `adjacency` is a constant, `edge` its learned factor.
pub(crate) fn graph(
    x: Tensor<4>,
    weight: Tensor<3>,
    bias: Tensor<2>,
    adjacency: Tensor<3>,
    edge: Tensor<3>,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_graph(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        adjacency.into_dispatch(),
        edge.into_dispatch(),
    ))
}

/// Mean and population variance of each channel, `[2, channel]`, off the autodiff graph.
pub(crate) fn statistics(rows: Tensor<2>) -> Tensor<2> {
    let rows = rows.without_autodiff().into_dispatch();
    Tensor::from_dispatch(<Dispatch as Fused>::fused_statistics(rows))
}

/// Normalises rows with their own statistics; ReLU follows if `relu`.
pub(crate) fn norm(
    rows: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    statistics: Tensor<2>,
    relu: bool,
) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_norm(
        rows.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        statistics.into_dispatch(),
        relu,
    ))
}

#[backend_extension(Autodiff, Flex)]
trait Fused: Backend {
    fn fused_temporal(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    fn fused_graph(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        adjacency: FloatTensor<Self>,
        edge: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_statistics(rows: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_norm(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fused_temporal(x: Raw, weight: Raw, bias: Raw, stride: usize) -> Raw {
        temporal::forward(&x, &weight, &bias, stride)
    }

    fn fused_graph(x: Raw, weight: Raw, bias: Raw, adjacency: Raw, edge: Raw) -> Raw {
        graph::forward(&x, &weight, &bias, &adjacency, &edge)
    }

    fn fused_statistics(rows: Raw) -> Raw {
        norm::statistics(&rows)
    }

    fn fused_norm(rows: Raw, gamma: Raw, beta: Raw, statistics: Raw, relu: bool) -> Raw {
        norm::forward(&rows, &gamma, &beta, &statistics, relu)
    }
}

#[derive(Debug)]
struct TemporalBackward;

impl Backward<Flex, 3> for TemporalBackward {
    type State = (Raw, Raw, usize);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let (x, weight, stride) = ops.state;
        let needs_x = ops.parents[0].is_some();
        let found = temporal::backward(&x, &weight, stride, &grad, needs_x);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct GraphBackward;

impl Backward<Flex, 4> for GraphBackward {
    type State = (Raw, Raw, Raw, Raw, Raw);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let (x, weight, bias, adjacency, edge) = ops.state;
        let found = graph::backward(&x, &weight, &bias, &adjacency, &edge, &grad);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 3> for NormBackward {
    type State = (Raw, Raw, Raw, Raw, bool);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let (rows, gamma, beta, statistics, relu) = ops.state;
        let found = norm::backward(&rows, &gamma, &beta, &statistics, relu, &grad);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn fused_temporal(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let output = temporal::forward(&x, &weight, &bias, stride);
        match TemporalBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((x, weight, stride), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_graph(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        adjacency: FloatTensor<Self>,
        edge: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node(), edge.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let (adjacency, edge) = (adjacency.into_primitive(), edge.into_primitive());
        let output = graph::forward(&x, &weight, &bias, &adjacency, &edge);
        match GraphBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, bias, adjacency, edge), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_statistics(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(norm::statistics(&rows.into_primitive()))
    }

    fn fused_norm(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self> {
        let nodes = [rows.node(), gamma.node(), beta.node()];
        let (rows, gamma) = (rows.into_primitive(), gamma.into_primitive());
        let (beta, statistics) = (beta.into_primitive(), statistics.into_primitive());
        let output = norm::forward(&rows, &gamma, &beta, &statistics, relu);
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((rows, gamma, beta, statistics, relu), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// A tensor's values in row-major order, copied only if they lie otherwise.
struct Flat(Raw);

impl Flat {
    fn new(tensor: &Raw) -> Self {
        Self(tensor.to_contiguous())
    }

    fn values(&self) -> &[f32] {
        // All tensors of this crate are f32, and this one has just been made contiguous.
        self.0.as_slice().unwrap_or_default()
    }
}

fn raw<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Raw {
    Raw::from_data(TensorData::new(values, shape))
}

fn dims<const D: usize>(tensor: &Raw) -> [usize; D] {
    let mut dims = [1; D];
    for (target, size) in dims.iter_mut().zip(tensor.layout().shape().as_slice()) {
        *target = *size;
    }
    dims
}

/// `a [rows, inner]` times `b [inner, columns]`, row-major.
fn product(a: Vec<f32>, inner: usize, b: &Raw) -> Flat {
    let rows = a.len() / inner.max(1);
    Flat::new(&Flex::float_matmul(raw(a, [rows, inner]), b.clone()))
}

/// Calls `work` on equal runs of `total` items, in parallel; results in order.
fn grouped<R: Send>(total: usize, work: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
    let size = total.div_ceil(GROUPS).max(1);
    (0..total.div_ceil(size))
        .into_par_iter()
        .map(|group| work(group * size..total.min((group + 1) * size)))
        .collect()
}

/// Adds `other` to `sum`.
fn add(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

#[cfg(test)]
mod tests;
