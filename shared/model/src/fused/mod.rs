//! The encoder's heavy parts as one step each on the CPU, with their own gradients: whole blocks, and the
//! convolution and normalisation that are also used alone.
//!
//! Burn's single operations allocate and walk every activation many times; these keep to the cache. Other backends
//! run the plain formulations beside the layers, which are also what tests compare these with. Work is cut into a fixed number of
//! groups whose sums are added in order, so results do not depend on the number of threads.

pub(crate) mod block;
pub(crate) mod dropout;
mod graph;
mod lanes;
mod leaky;
mod matrix;
mod norm;
mod temporal;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, ExtensionType, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

use block::{TENSORS, TRAINED, Way};

/// A tensor of the CPU backend.
type Raw = FloatTensor<Flex>;

/// Parts into which an operation cuts the batch; more threads than this do not help.
const GROUPS: usize = 8;
/// Floats of an activation that are worked on at a time: small enough for a core's cache, enough rows for a fast product.
const CACHED: usize = 512 * 1024;

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

/// The tensors of a block on one backend, shaped as in [`crate::block::Block`]; what a block lacks is of any shape.
#[derive(ExtensionType)]
pub(crate) struct BlockInputs<B: Backend> {
    pub(crate) x: FloatTensor<B>,
    pub(crate) graph_weight: FloatTensor<B>,
    pub(crate) graph_bias: FloatTensor<B>,
    /// A constant; `edge` is its learned factor.
    pub(crate) adjacency: FloatTensor<B>,
    pub(crate) edge: FloatTensor<B>,
    pub(crate) gamma1: FloatTensor<B>,
    pub(crate) beta1: FloatTensor<B>,
    pub(crate) temporal_weight: FloatTensor<B>,
    pub(crate) temporal_bias: FloatTensor<B>,
    pub(crate) gamma2: FloatTensor<B>,
    pub(crate) beta2: FloatTensor<B>,
    pub(crate) residual_weight: FloatTensor<B>,
    pub(crate) residual_bias: FloatTensor<B>,
    pub(crate) gamma3: FloatTensor<B>,
    pub(crate) beta3: FloatTensor<B>,
    /// Mean and variance of each BatchNorm layer, one after the other, unless they come from the batch.
    pub(crate) given: FloatTensor<B>,
}

impl<B: Backend> BlockInputs<B> {
    /// All tensors in the order of declaration.
    fn list(&self) -> [FloatTensor<B>; TENSORS] {
        [
            &self.x,
            &self.graph_weight,
            &self.graph_bias,
            &self.adjacency,
            &self.edge,
            &self.gamma1,
            &self.beta1,
            &self.temporal_weight,
            &self.temporal_bias,
            &self.gamma2,
            &self.beta2,
            &self.residual_weight,
            &self.residual_bias,
            &self.gamma3,
            &self.beta3,
            &self.given,
        ]
        .map(Clone::clone)
    }

    fn map<C: Backend>(self, each: impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> BlockInputs<C> {
        BlockInputs {
            x: each(self.x),
            graph_weight: each(self.graph_weight),
            graph_bias: each(self.graph_bias),
            adjacency: each(self.adjacency),
            edge: each(self.edge),
            gamma1: each(self.gamma1),
            beta1: each(self.beta1),
            temporal_weight: each(self.temporal_weight),
            temporal_bias: each(self.temporal_bias),
            gamma2: each(self.gamma2),
            beta2: each(self.beta2),
            residual_weight: each(self.residual_weight),
            residual_bias: each(self.residual_bias),
            gamma3: each(self.gamma3),
            beta3: each(self.beta3),
            given: each(self.given),
        }
    }
}

/// See [`crate::block::Block::forward`]. Also mean and variance of the BatchNorm layers, `[layer, 2, channel]`, off the
/// autodiff graph.
pub(crate) fn block(inputs: BlockInputs<Dispatch>, way: Way) -> (Tensor<4>, Tensor<3>) {
    let (output, statistics) = <Dispatch as Fused>::fused_block(inputs, way);
    let statistics = Tensor::from_dispatch(statistics);
    (Tensor::from_dispatch(output), statistics.without_autodiff())
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

/// See [`crate::leaky::leaky_sum`].
pub(crate) fn leaky_sum(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let (a, b) = (a.into_dispatch(), b.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::fused_leaky_sum(a, b))
}

#[backend_extension(Autodiff, Flex)]
trait Fused: Backend {
    fn fused_temporal(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self>;

    fn fused_block(
        #[extension_type] inputs: BlockInputs<Self>,
        way: Way,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn fused_statistics(rows: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_norm(
        rows: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;

    fn fused_leaky_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fused_temporal(x: Raw, weight: Raw, bias: Raw, stride: usize) -> Raw {
        temporal::forward(&x, &weight, &bias, stride)
    }

    fn fused_block(inputs: BlockInputs<Self>, way: Way) -> (Raw, Raw) {
        let (output, statistics, _) = block::forward(&inputs, way, false);
        (output, statistics)
    }

    fn fused_statistics(rows: Raw) -> Raw {
        norm::statistics(&rows)
    }

    fn fused_norm(rows: Raw, gamma: Raw, beta: Raw, statistics: Raw, relu: bool) -> Raw {
        norm::forward(&rows, &gamma, &beta, &statistics, relu)
    }

    fn fused_leaky_sum(a: Raw, b: Raw) -> Raw {
        leaky::forward(&a, &b)
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
struct BlockBackward;

impl Backward<Flex, TRAINED> for BlockBackward {
    type State = block::Saved;

    fn backward(self, ops: Ops<Self::State, TRAINED>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let needs_x = ops.parents[0].is_some();
        let found = block::backward(ops.state, grad, needs_x);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
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
        let found = norm::backward(&rows, &gamma, &beta, &statistics, relu, grad);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = parent {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct LeakySumBackward;

impl Backward<Flex, 2> for LeakySumBackward {
    type State = Raw;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let found = leaky::backward(&ops.state, &grad);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<Flex>(node.id, found.clone());
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

    fn fused_block(inputs: BlockInputs<Self>, way: Way) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [
            &inputs.x,
            &inputs.graph_weight,
            &inputs.graph_bias,
            &inputs.edge,
            &inputs.gamma1,
            &inputs.beta1,
            &inputs.temporal_weight,
            &inputs.temporal_bias,
            &inputs.gamma2,
            &inputs.beta2,
            &inputs.residual_weight,
            &inputs.residual_bias,
            &inputs.gamma3,
            &inputs.beta3,
        ]
        .map(|tensor| tensor.node());
        let inputs = inputs.map::<Flex>(|tensor| tensor.into_primitive());
        let prepared = BlockBackward.prepare::<C>(nodes).compute_bound().stateful();
        let tracked = matches!(prepared, OpsKind::Tracked(_));
        let (output, statistics, saved) = block::forward(&inputs, way, tracked);
        drop(inputs);
        let output = match (prepared, saved) {
            (OpsKind::Tracked(prep), Some(saved)) => prep.finish(saved, output),
            (OpsKind::Tracked(_), None) => unreachable!("a tracked block keeps its state"),
            (OpsKind::UnTracked(prep), _) => prep.finish(output),
        };
        (output, FloatTensor::<Self>::new(statistics))
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

    fn fused_leaky_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [a.node(), b.node()];
        let (a, b) = (a.into_primitive(), b.into_primitive());
        let output = leaky::forward(&a, &b);
        match LeakySumBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(output.clone(), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// A tensor's values in row-major order, copied only if they lie otherwise.
pub(crate) struct Flat(Raw);

impl Flat {
    fn new(tensor: &Raw) -> Self {
        Self(tensor.to_contiguous())
    }

    fn values(&self) -> &[f32] {
        // All tensors of this crate are f32, and this one has just been made contiguous.
        self.0.as_slice().unwrap_or_default()
    }

    /// Values to be changed; copied if someone else holds them.
    fn values_mut(&mut self) -> &mut [f32] {
        let count = self.0.layout().num_elements();
        if self.0.storage::<f32>().len() != count {
            let shape = self.0.layout().shape().clone();
            self.0 = raw(self.values().to_vec(), [count]).reshape(shape);
        }
        self.0.storage_mut()
    }

    fn reshaped<const D: usize>(self, shape: [usize; D]) -> Raw {
        self.0.reshape(shape.into())
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

/// Items of one of the groups into which `total` are cut.
fn group(total: usize) -> usize {
    total.div_ceil(GROUPS).max(1)
}

#[cfg(test)]
mod tests;
