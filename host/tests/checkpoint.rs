//! Encoders of published PyTorch code compute here what they compute there. `checkpoint/make.py` makes the fixtures.
#![allow(clippy::unwrap_used, reason = "a test")]

use burn::tensor::{Device, Tensor, TensorData};
use std::path::{Path, PathBuf};
use tendon_host::interchange::checkpoint::{CheckpointError, Missing, read};
use tendon_model::container;
use tendon_model::graph::GraphKind;
use tendon_model::parameters::Named;
use tendon_model::pass::Pass;
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/checkpoint")
        .join(name)
}

fn expected() -> Named {
    container::decode(&std::fs::read(fixture("expect.safetensors")).unwrap())
        .unwrap()
        .0
}

fn missing(network: Option<&str>) -> Missing {
    Missing {
        network: network.map(str::to_owned),
        stream: None,
        frames: 12,
        bodies: 1,
    }
}

/// Reads a network, compares what it computes and returns its stream.
fn compare(file: &str, network: Option<&str>, name: &str) -> Stream {
    let device = Device::flex();
    let (encoder, config) = read(&fixture(file), &missing(network), &device).unwrap();
    assert_eq!(
        (config.topology, config.width, config.dim),
        (TopologyId::Ntu25, 2, 3)
    );
    assert_eq!(
        config.graph,
        GraphKind::SpatialHop1 {
            true_distances: false
        }
    );
    let all = expected();
    let body = &all["body"];
    let data = TensorData::new(body.data.clone(), body.shape.clone());
    let map = encoder.features(Tensor::<4>::from_data(data, &device), &mut Pass::Infer);
    let found: Vec<f32> = tendon_model::encoder::pool(map)
        .into_data()
        .try_to_vec()
        .unwrap();
    let expect = &all[name].data;
    let largest = expect
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(largest > 1e-3);
    for (found, expect) in found.iter().zip(expect) {
        assert!(
            (found - expect).abs() < 1e-4 * largest,
            "{found} for {expect}"
        );
    }
    assert_eq!(found.len(), expect.len());
    config.streams[0]
}

#[test]
fn the_online_network_of_a_queue_method_computes_what_pytorch_computes() {
    assert_eq!(compare("aimclr.pt", None, "encoder_q"), Stream::Joint);
}

#[test]
fn networks_of_other_streams_and_old_files_are_read_too() {
    assert_eq!(
        compare("legacy.pt", None, "online_backbone_joint"),
        Stream::Joint
    );
    let name = "online_backbone_motion";
    assert_eq!(compare("legacy.pt", Some(name), name), Stream::Motion);
}

#[test]
fn what_is_no_encoder_is_refused_by_name() {
    let device = Device::flex();
    let error = read(&fixture("aimclr.pt"), &missing(Some("encoder_x")), &device).unwrap_err();
    assert!(error.to_string().contains("encoder_x"), "{error}");
    let error = read(&fixture("make.py"), &missing(None), &device).unwrap_err();
    assert!(matches!(error, CheckpointError::Format { .. }), "{error}");
    let error = read(&fixture("gone.pt"), &missing(None), &device).unwrap_err();
    assert!(error.to_string().contains("gone.pt"), "{error}");
}

#[test]
fn damaged_checkpoints_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    for file in ["aimclr.pt", "legacy.pt"] {
        let whole = std::fs::read(fixture(file)).unwrap();
        for number in 0..120_usize {
            let mut bytes = whole.clone();
            let at = number * 7_919 % bytes.len();
            match number % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 0xff,
                _ => bytes[at..].iter_mut().take(16).for_each(|byte| *byte = 0),
            }
            std::fs::write(&path, bytes).unwrap();
            // Weights that still are numbers are weights; everything else is an error.
            let _ = read(&path, &missing(None), &Device::flex());
        }
    }
}
