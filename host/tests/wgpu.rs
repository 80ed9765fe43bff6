//! wgpu computes what the CPU computes: encoder, projection head, InfoNCE and a whole step of SkeletonCLR.
//!
//! The CPU runs its fused blocks, wgpu the plain formulations, and both sum in another order: every tensor may differ
//! by [`TOLERANCE`] of its largest value, in two of three networks with different weights: in the third a value may lie so
//! close to the edge of a ReLU that it falls on either side, which gradients show. Without an adapter (a GPU, or Mesa's software adapter lavapipe) each test
//! says so and checks nothing.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "a test")]

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::io::Write as _;
use tendon_host::backend;
use tendon_host::contrast::InfoNce;
use tendon_host::method::{Drawn, Method as _, Moment, SkeletonClr, SkeletonClrConfig};
use tendon_model::augment::Recipe;
use tendon_model::ema::TargetNorm;
use tendon_model::encoder::EncoderConfig;
use tendon_model::head::{HeadConfig, unit_rows};
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{Named, Values, collect, collect_gradients};
use tendon_model::pass::{Pass, absorb};
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

/// Largest error: a difference relative to the largest value of its tensor or to a hundredth of the largest of all tensors (biases
/// before a BatchNorm have gradients of zero but for rounding).
const TOLERANCE: f32 = 2e-4;

const WINDOWS: usize = 6;
const FRAMES: usize = 16;
const JOINTS: usize = 20;

/// An adapter, or nothing after a word on stderr that the test harness does not swallow.
fn adapter() -> Option<Device> {
    let found = std::panic::catch_unwind(|| backend::device("wgpu"));
    let reason = match found {
        Ok(Ok(device)) => return Some(device),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "looking for an adapter panicked".to_string(),
    };
    let name = std::thread::current().name().unwrap_or("wgpu").to_string();
    let word = format!("SKIPPED {name}: {reason}\n");
    std::io::stderr().write_all(word.as_bytes()).unwrap();
    None
}

/// Values that look random and do not depend on a generator.
fn values<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|index| (index as f32 * 1.37 + phase).sin())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Values {
    Values {
        shape: tensor.dims().to_vec(),
        data: tensor.without_autodiff().into_data().try_to_vec().unwrap(),
    }
}

fn encoder() -> EncoderConfig {
    EncoderConfig {
        width: 8,
        dim: 24,
        dropout: 0.2,
        ..EncoderConfig::small(TopologyId::Kinect20, FRAMES, 2)
    }
}

/// Both bodies, one of them, the other, none.
fn presence() -> Vec<Presence> {
    let both = Presence::FIRST.with(1);
    vec![both, Presence::FIRST, both, Presence::NONE, both, both]
}

fn largest(values: &Values) -> f32 {
    let data = values.data.iter();
    data.fold(0.0, |most, value| most.max(value.abs()))
}

/// The largest error of any tensor; see [`TOLERANCE`].
fn worst(found: &Named, expected: &Named) -> f32 {
    assert!(found.keys().eq(expected.keys()));
    let most = expected.values().map(largest).fold(0.0, f32::max);
    let error = |(name, expected): (&String, &Values)| {
        let found = &found[name];
        assert_eq!(found.shape, expected.shape, "{name}");
        let pairs = found.data.iter().zip(&expected.data);
        let error = pairs.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        error / largest(expected).max(0.01 * most)
    };
    expected.iter().map(error).fold(0.0, f32::max)
}

/// Runs `work` on the CPU and on wgpu with three seeds and compares all that it names.
fn same(work: impl Fn(&Device, u64) -> Vec<(&'static str, Named)>) {
    let Some(device) = adapter() else { return };
    let mut errors: Vec<(f32, &str)> = [3, 4, 5]
        .map(|seed| {
            let (expected, found) = (work(&Device::flex(), seed), work(&device, seed));
            let errors = expected
                .iter()
                .zip(&found)
                .map(|((kind, expected), found)| {
                    assert!(!expected.is_empty(), "{kind}");
                    (worst(&found.1, expected), *kind)
                });
            errors.fold(
                (0.0, ""),
                |most, one| if one.0 > most.0 { one } else { most },
            )
        })
        .into();
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(errors[1].0 <= TOLERANCE && errors[2].0 < 0.5, "{errors:?}");
}

fn one(name: &str, values: Values) -> Named {
    Named::from([(name.to_string(), values)])
}

/// A loss that no symmetry makes trivial: squares of the outputs with weights of either sign.
fn gradients(module: &impl Module, output: Tensor<2>, device: &Device) -> Named {
    let weights = values(output.dims(), 2.0, device);
    let found: Gradients = (output.powi_scalar(2) * weights).sum().backward();
    collect_gradients(module, &found)
}

#[test]
fn the_encoder_computes_the_same_features_gradients_and_running_averages() {
    same(|device, seed| {
        let device = device.clone().autodiff();
        let mut encoder = encoder().init(seed, &device).unwrap();
        let x = values([WINDOWS, 2, 3, FRAMES, JOINTS], 0.0, &device);
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(7));
        let trained = encoder.embed(x.clone(), &presence(), &mut pass);
        let gradients = gradients(&encoder, trained.clone(), &device);
        absorb(&mut encoder, pass);
        let inferred = encoder.embed(x, &presence(), &mut Pass::Infer);
        vec![
            ("training", one("features", read(trained))),
            ("gradients", gradients),
            ("weights and running averages", collect(&encoder)),
            ("inference", one("features", read(inferred))),
        ]
    });
}

#[test]
fn the_projection_head_computes_the_same_rows_and_gradients() {
    for norm in [false, true] {
        same(|device, seed| {
            let device = device.clone().autodiff();
            let config = HeadConfig {
                input: 24,
                hidden: 32,
                output: 16,
                norm,
            };
            let head = config.init(seed, &device);
            let x = values([WINDOWS, 24], 1.0, &device);
            let rows = unit_rows(head.forward(x, &mut Pass::train(ChaCha8Rng::seed_from_u64(0))));
            vec![
                ("rows", one("rows", read(rows.clone()))),
                ("gradients", gradients(&head, rows, &device)),
            ]
        });
    }
}

#[test]
fn info_nce_computes_the_same_loss_and_gradient() {
    same(|device, seed| {
        let device = device.clone().autodiff();
        let query = values([WINDOWS, 16], seed as f32, &device).require_grad();
        let rows = |phase, count| unit_rows(values([count, 16], phase, &device));
        let nce = InfoNce::new(
            unit_rows(query.clone()),
            rows(0.3, WINDOWS),
            rows(5.0, 40),
            0.1,
        );
        let loss = nce.loss();
        let gradient = query.grad(&loss.backward()).unwrap();
        vec![
            ("loss", one("loss", read(loss))),
            ("gradient", one("gradient", read(gradient))),
        ]
    });
}

/// Figures and state after a step of SkeletonCLR, its windows shared among `devices`.
fn step(devices: &[Device], seed: u64) -> Vec<(&'static str, Named)> {
    let config = SkeletonClrConfig {
        temperature: 0.1,
        queue: 10,
        ema_decay: 0.9,
        ema_warmup: false,
        target_norm: TargetNorm::OwnTrain,
        head_norm: true,
        projection: 16,
        query: Recipe::normal(),
        key: Recipe::normal(),
    };
    let moment = Moment {
        seed: 1,
        epoch: 0,
        step: 0,
    };
    let (optimizer, device) = (OptimizerConfig::sgd(1e-4), &devices[0]);
    let mut method =
        SkeletonClr::new(config, &encoder(), optimizer, WINDOWS, seed, device).unwrap();
    for encoder in method.encoders() {
        encoder.share(devices);
    }
    let view = |phase| vec![values([WINDOWS, 2, 3, FRAMES, JOINTS], phase, device)];
    let drawn = Drawn {
        views: vec![view(0.0), view(0.4)],
        presence: presence(),
        labels: vec![],
    };
    let loss = method.loss(&[drawn], &moment).unwrap();
    let value = read(loss.value.clone());
    let norm = method.learn(&loss.value.backward(), 0.1);
    let norm = Values {
        shape: vec![1],
        data: vec![norm as f32],
    };
    let figures = Named::from([("loss".to_string(), value), ("norm".to_string(), norm)]);
    vec![("figures", figures), ("state", method.state().tensors)]
}

#[test]
fn a_step_of_skeletonclr_ends_with_the_same_networks_queue_and_optimiser() {
    same(|device, seed| step(std::slice::from_ref(device), seed));
}

#[test]
fn a_step_shared_by_two_devices_ends_as_on_one() {
    // Two adapters where there are two; one stands for both otherwise.
    let second = backend::device("wgpu:1").or_else(|_| backend::device("wgpu"));
    same(|device, seed| {
        let cpu = Device::flex();
        let (first, second) = match &second {
            Ok(second) if *device != cpu => (device, second),
            _ => (&cpu, &cpu),
        };
        let mut all = step(&[first.clone(), second.clone()], seed);
        all.extend(step(&[cpu, device.clone()], seed));
        all
    });
}
