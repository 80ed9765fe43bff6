//! Both kinds of encoder equal PyTorch: outputs, gradients and running averages of small networks.
//!
//! `parity/make.py` (ST-GCN) and `parity/dsta.py` make the fixtures with independent formulations in 64-bit floats.
#![allow(clippy::unwrap_used, reason = "a test")]

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tendon_model::container;
use tendon_model::encoder::{Encoder, EncoderConfig, EncoderKind};
use tendon_model::parameters::{Named, Values, collect, collect_gradients, is_buffer, restore};
use tendon_model::pass::{Pass, absorb};
use tendon_shared::topology::TopologyId;

const TOLERANCE: f32 = 1e-4;

const KINDS: [EncoderKind; 2] = [EncoderKind::StGcn, EncoderKind::Dsta];

fn fixture(kind: EncoderKind) -> Named {
    let bytes: &[u8] = match kind {
        EncoderKind::StGcn => include_bytes!("parity/parity.safetensors"),
        EncoderKind::Dsta => include_bytes!("parity/dsta.safetensors"),
    };
    container::decode(bytes).unwrap().0
}

fn below(fixture: &Named, prefix: &str) -> Named {
    let strip = |(name, values): (&String, &Values)| {
        Some((name.strip_prefix(prefix)?.to_string(), values.clone()))
    };
    fixture.iter().filter_map(strip).collect()
}

fn tensor(fixture: &Named, name: &str, device: &Device) -> Tensor<4> {
    let values = &fixture[name];
    Tensor::from_data(
        TensorData::new(values.data.clone(), values.shape.clone()),
        device,
    )
}

fn encoder(kind: EncoderKind, fixture: &Named, device: &Device) -> Encoder {
    let (width, dim) = match kind {
        EncoderKind::StGcn => (2, 3),
        EncoderKind::Dsta => (4, 8),
    };
    let config = EncoderConfig {
        kind,
        width,
        dim,
        ..EncoderConfig::small(TopologyId::Sbu15, 8, 1)
    };
    restore(config.init(0, device).unwrap(), &below(fixture, "before.")).unwrap()
}

/// Largest difference, relative to the largest expected value or to `floor`.
fn error(found: &[f32], expected: &[f32], floor: f32) -> f32 {
    assert_eq!(found.len(), expected.len());
    let worst = |worst: f32, (a, b): (&f32, &f32)| worst.max((a - b).abs());
    found.iter().zip(expected).fold(0.0, worst) / largest(expected).max(floor)
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}

fn check_tensor(name: &str, found: Tensor<4>, expected: &Values) {
    assert_eq!(found.dims().to_vec(), expected.shape, "{name}");
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    let error = error(&found, &expected.data, 0.0);
    assert!(error < TOLERANCE, "{name}: relative error {error}");
}

/// Biases before a BatchNorm have a gradient of zero but for rounding, so no tensor is held to more
/// than a hundredth of the largest value of all.
fn check_named(found: &Named, expected: &Named) {
    assert!(
        found.keys().eq(expected.keys()),
        "{:?} v {:?}",
        found.keys(),
        expected.keys()
    );
    let floor = 0.01
        * expected
            .values()
            .fold(0.0_f32, |most, values| most.max(largest(&values.data)));
    for (name, values) in found {
        assert_eq!(values.shape, expected[name].shape, "{name}");
        let error = error(&values.data, &expected[name].data, floor);
        assert!(error < TOLERANCE, "{name}: relative error {error}");
    }
}

#[test]
fn training_forward_backward_and_running_averages_equal_pytorch() {
    for kind in KINDS {
        let fixture = fixture(kind);
        let device = Device::flex().autodiff();
        let mut encoder = encoder(kind, &fixture, &device);
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(0));
        let features = encoder.features(tensor(&fixture, "x", &device), &mut pass);
        let output = features.permute([0, 3, 2, 1]);
        let loss = (output.clone() * tensor(&fixture, "loss_weights", &device)).sum();
        let gradients = loss.backward();
        check_tensor("output", output, &fixture["train.output"]);
        check_named(
            &collect_gradients(&encoder, &gradients),
            &below(&fixture, "gradient."),
        );
        absorb(&mut encoder, pass);
        let buffers = collect(&encoder)
            .into_iter()
            .filter(|(name, _)| is_buffer(name))
            .collect();
        check_named(&buffers, &below(&fixture, "after."));
    }
}

#[test]
fn inference_equals_pytorch() {
    for kind in KINDS {
        let fixture = fixture(kind);
        let device = Device::flex();
        let mut values = below(&fixture, "before.");
        values.extend(below(&fixture, "after."));
        let encoder = restore(encoder(kind, &fixture, &device), &values).unwrap();
        check_tensor(
            "output",
            encoder.forward(tensor(&fixture, "x", &device)),
            &fixture["eval.output"],
        );
    }
}
