//! The fused operations against the plain ones that other backends run, at sizes that need several chunks and groups.

use super::*;
use crate::block::{Block, BlockSpec};
use crate::graph::{Adjacency, GraphKind};
use crate::init::Initializer;
use crate::leaky::SLOPE;
use crate::norm::EPSILON;
use crate::parameters::collect_gradients;
use crate::pass::Pass;
use crate::temporal::TemporalConv;
use burn::module::{Module as _, Param};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module::batch_norm_train;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
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

/// As [`close`] for all but one of 200 values: one on the edge of a ReLU may fall on either side, and
/// the gradients of its neighbours with it. A frame, joint, channel or window that is wrong is more than that.
fn mostly_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
    let scale: f32 = expected.clone().abs().max().into_scalar();
    let errors: Vec<f32> = (found - expected).abs().into_data().try_to_vec().unwrap();
    let wrong = errors.iter().filter(|error| **error > 1e-4 * scale).count();
    assert!(
        wrong * 200 <= errors.len(),
        "{wrong} of {} gradients",
        errors.len()
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
        // Squares: what lies on the edge of the last ReLU, on either side of it, has no weight.
        let gradients = (output.clone().powi_scalar(2) * weights).sum().backward();
        let dx = x.grad(&gradients).unwrap();
        (output, dx, gradients)
    };
    let (output, dx, gradients) = run(&fused);
    let (expected, expected_dx, expected_gradients) = run(&plain);
    close("output", output, expected);
    mostly_close(dx, expected_dx);
    (gradients, expected_gradients)
}

#[test]
fn temporal_convolution_equals_the_plain_one() {
    let device = device();
    let seven = TemporalConv::with([7, 48, 48], 0.1, &mut Initializer::new(4, &device));
    let nine = block().temporal;
    let each = [1, 2, 3].map(|stride| [(&nine, stride), (&seven, stride)]);
    for (conv, stride) in each.into_iter().flatten() {
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

/// A block of one kind, with parameters that are not at their neutral start.
fn some_block(spec: BlockSpec, dropout: f64) -> Block {
    let device = device();
    let block = Block::new(spec, JOINTS, dropout, &mut Initializer::new(3, &device));
    struct Spread(f32);
    impl burn::module::ModuleMapper for Spread {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let phase = self.0;
            param.map(|old| {
                let trained = old.is_require_grad();
                let shape = old.dims();
                let scale = if trained { 0.3 } else { 0.0 };
                let new = old.without_autodiff() + values(shape, phase).without_autodiff() * scale;
                Tensor::from_inner(new).set_require_grad(trained)
            })
        }
    }
    block.map(&mut Spread(0.0))
}

fn adjacency() -> Tensor<3> {
    let kind = GraphKind::SpatialHop1 {
        true_distances: true,
    };
    let adjacency = Adjacency::new(TopologyId::Kinect20.topology(), kind);
    Tensor::from_data(
        TensorData::new(adjacency.values, [3, JOINTS, JOINTS]),
        &device(),
    )
}

fn train() -> Pass {
    Pass::train(ChaCha8Rng::seed_from_u64(5))
}

fn check_block(spec: BlockSpec, dropout: f64, pass: impl Fn() -> Pass) {
    let block = some_block(spec, dropout);
    // Enough windows for several groups, and for several parts of one.
    let shape = [19, JOINTS, FRAMES, spec.input];
    let (found, expected) = compare(
        shape,
        |x| block.forward(x, adjacency(), &mut pass()),
        |x| block.plain(x, adjacency(), &mut pass()),
    );
    let found = collect_gradients(&block, &found);
    let expected = collect_gradients(&block, &expected);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, expected) in expected {
        let train = matches!(pass(), Pass::Train(_));
        // Convolutions' biases cancel in BatchNorm: their gradients are rounding errors.
        let neutral = name.ends_with("bias") && train;
        let scale = expected.data.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let scale = if neutral { scale.max(1e3) } else { scale };
        let tolerance = if train { 5e-4 } else { 5e-3 };
        for (found, expected) in found[&name].data.iter().zip(&expected.data) {
            let error = (found - expected).abs();
            assert!(
                error <= tolerance * scale,
                "{spec:?} {name}: {error} of {scale}"
            );
        }
    }
}

const KINDS: [BlockSpec; 4] = [
    BlockSpec {
        input: 9,
        output: 16,
        stride: 1,
        residual: false,
    },
    BlockSpec {
        input: 32,
        output: 32,
        stride: 1,
        residual: true,
    },
    BlockSpec {
        input: 16,
        output: 40,
        stride: 1,
        residual: true,
    },
    BlockSpec {
        input: 32,
        output: 48,
        stride: 2,
        residual: true,
    },
];

#[test]
fn a_block_in_training_equals_the_plain_one() {
    for spec in KINDS {
        check_block(spec, 0.0, train);
    }
}

#[test]
fn a_block_with_dropout_equals_the_plain_one() {
    for spec in KINDS {
        check_block(spec, 0.3, train);
    }
}

#[test]
fn a_block_with_running_averages_equals_the_plain_one() {
    for spec in KINDS {
        check_block(spec, 0.3, || Pass::Infer);
    }
}

#[test]
fn running_averages_of_both_ways_agree() {
    let mut block = some_block(KINDS[3], 0.0);
    let x = || values([19, JOINTS, FRAMES, 32], 0.0);
    let (mut one, mut other) = (train(), train());
    block.forward(x(), adjacency(), &mut one);
    block.plain(x(), adjacency(), &mut other);
    let (Pass::Train(one), Pass::Train(other)) = (one, other) else {
        panic!("both train")
    };
    let mut copy = block.clone();
    for (norm, found) in block.norms().into_iter().zip(one.statistics) {
        norm.absorb(found);
    }
    for (norm, found) in copy.norms().into_iter().zip(other.statistics) {
        norm.absorb(found);
    }
    for (norm, expected) in block.norms().into_iter().zip(copy.norms()) {
        close("mean", norm.mean.val(), expected.mean.val());
        close("variance", norm.var.val(), expected.var.val());
    }
}

#[test]
fn a_block_over_frozen_features_asks_for_no_gradient_of_them() {
    for spec in KINDS {
        let block = some_block(spec, 0.0);
        let x = values([3, JOINTS, FRAMES, spec.input], 0.0);
        let gradients = block
            .forward(x.clone(), adjacency(), &mut train())
            .sum()
            .backward();
        assert!(x.grad(&gradients).is_none());
        assert!(block.graph.weight.val().grad(&gradients).is_some());
    }
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
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            KINDS.map(|spec| {
                let block = some_block(spec, 0.2);
                let x = values([21, JOINTS, FRAMES, spec.input], 0.0);
                let output = block.forward(x, adjacency(), &mut train());
                let gradients = output.clone().powi_scalar(2).sum().backward();
                let output: Vec<f32> = output.into_data().try_to_vec().unwrap();
                (output, collect_gradients(&block, &gradients))
            })
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn a_leaky_sum_equals_the_plain_one() {
    let other = values([1_234, CHANNELS], 3.0).require_grad();
    let (found, expected) = compare(
        [1_234, CHANNELS],
        |x: Tensor<2>| super::leaky_sum(x, other.clone()),
        |x: Tensor<2>| leaky_relu(x + other.clone(), f64::from(SLOPE)),
    );
    let gradient = |of| other.grad(of).unwrap();
    close("other summand", gradient(&found), gradient(&expected));
}
