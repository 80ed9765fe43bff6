//! The fused operations against the plain ones that other backends run, at sizes that need several chunks and groups.

use super::*;
use crate::block::{Block, BlockSpec};
use crate::graph::{Adjacency, GraphKind};
use crate::init::Initializer;
use crate::norm::EPSILON;
use burn::tensor::activation::relu;
use burn::tensor::module::batch_norm_train;
use tendon_shared::topology::TopologyId;

const JOINTS: usize = 20;
const FRAMES: usize = 31;
const CHANNELS: usize = 64;

fn device() -> Device {
    Device::flex().autodiff()
}

/// Values that look random and do not depend on a generator.
fn values<const D: usize>(shape: [usize; D], phase: f32) -> Tensor<D> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|index| (index as f32 * 1.37 + phase).sin())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn block() -> Block {
    let device = device();
    let mut init = Initializer::new(3, &device);
    let spec = BlockSpec {
        input: CHANNELS,
        output: 48,
        stride: 2,
        residual: true,
    };
    Block::new(spec, JOINTS, 0.0, &mut init)
}

fn close<const D: usize>(name: &str, found: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{name}");
    let scale: f32 = expected.clone().abs().max().into_scalar();
    let error: f32 = (found - expected).abs().max().into_scalar();
    assert!(
        error <= 1e-4 * scale.max(1e-6),
        "{name}: {error} of {scale}"
    );
}

/// Outputs and gradients of both ways for the same input.
fn compare<const D: usize, const E: usize>(
    shape: [usize; D],
    fused: impl Fn(Tensor<D>) -> Tensor<E>,
    plain: impl Fn(Tensor<D>) -> Tensor<E>,
) -> (burn::tensor::Gradients, burn::tensor::Gradients) {
    let run = |way: &dyn Fn(Tensor<D>) -> Tensor<E>| {
        let x = values(shape, 0.0).require_grad();
        let output = way(x.clone());
        let weights = values(output.dims(), 2.0);
        let gradients = (output.clone() * weights).sum().backward();
        let dx = x.grad(&gradients).unwrap();
        (output, dx, gradients)
    };
    let (output, dx, gradients) = run(&fused);
    let (expected, expected_dx, expected_gradients) = run(&plain);
    close("output", output, expected);
    close("input gradient", dx, expected_dx);
    (gradients, expected_gradients)
}

#[test]
fn temporal_convolution_equals_the_plain_one() {
    let block = block();
    for stride in [1, 2, 3] {
        let conv = &block.temporal;
        let shape = [7, JOINTS, FRAMES, 48];
        let (found, expected) = compare(
            shape,
            |x| super::temporal(x, conv.weight.val(), conv.bias.val(), stride),
            |x| conv.plain(x, stride),
        );
        let (weight, bias) = (conv.weight.val(), conv.bias.val());
        close(
            "weight",
            weight.grad(&found).unwrap(),
            weight.grad(&expected).unwrap(),
        );
        close(
            "bias",
            bias.grad(&found).unwrap(),
            bias.grad(&expected).unwrap(),
        );
    }
}

#[test]
fn graph_convolution_equals_the_plain_one() {
    let block = block();
    let kind = GraphKind::SpatialHop1 {
        true_distances: true,
    };
    let adjacency = Adjacency::new(TopologyId::Kinect20.topology(), kind);
    let adjacency = TensorData::new(adjacency.values, [3, JOINTS, JOINTS]);
    let adjacency = Tensor::<3>::from_data(adjacency, &device());
    let (conv, edge) = (&block.graph, block.edge.val());
    let (found, expected) = compare(
        [19, JOINTS, FRAMES, CHANNELS],
        |x| {
            super::graph(
                x,
                conv.weight.val(),
                conv.bias.val(),
                adjacency.clone(),
                edge.clone(),
            )
        },
        |x| conv.forward(x, adjacency.clone() * edge.clone()),
    );
    let (weight, bias) = (conv.weight.val(), conv.bias.val());
    close(
        "weight",
        weight.grad(&found).unwrap(),
        weight.grad(&expected).unwrap(),
    );
    close(
        "bias",
        bias.grad(&found).unwrap(),
        bias.grad(&expected).unwrap(),
    );
    close(
        "edge",
        edge.grad(&found).unwrap(),
        edge.grad(&expected).unwrap(),
    );
}

#[test]
fn normalisation_equals_the_plain_one() {
    for with_relu in [false, true] {
        let (gamma, beta) = (
            values([CHANNELS], 1.0).require_grad(),
            values([CHANNELS], 3.0).require_grad(),
        );
        let (found, expected) = compare(
            [1_234, CHANNELS],
            |x: Tensor<2>| {
                let found = Tensor::from_inner(super::statistics(x.clone()));
                super::norm(x, gamma.clone(), beta.clone(), found, with_relu)
            },
            |x: Tensor<2>| {
                let found = batch_norm_train(x, gamma.clone(), beta.clone(), EPSILON).output;
                if with_relu { relu(found) } else { found }
            },
        );
        close(
            "gamma",
            gamma.grad(&found).unwrap(),
            gamma.grad(&expected).unwrap(),
        );
        close(
            "beta",
            beta.grad(&found).unwrap(),
            beta.grad(&expected).unwrap(),
        );
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let block = block();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let (weight, bias) = (block.temporal.weight.val(), block.temporal.bias.val());
            let output = super::temporal(
                values([7, JOINTS, FRAMES, 48], 0.0),
                weight.clone(),
                bias,
                1,
            );
            let gradients = output.powi_scalar(2).sum().backward();
            weight
                .grad(&gradients)
                .unwrap()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        })
    };
    assert_eq!(run(1), run(2));
}
