//! Finetuning as a whole, on windows small enough for a test.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{FinetuneConfig, Progress, Run, Trained, predict_both, train};
use burn::tensor::Device;
use std::path::Path;
use tendon_data::windows::WindowSet;
use tendon_model::classifier::Classifier;
use tendon_model::encoder::EncoderConfig;
use tendon_model::parameters::{Named, collect, is_buffer};
use tendon_shared::normalize::{Mode, NormalizeSpec};
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

const FRAMES: usize = 8;
const JOINTS: usize = 20;

/// Two classes: the joints move up, or to the side.
fn windows(count: usize) -> WindowSet {
    let mut data = Vec::new();
    for window in 0..count {
        for axis in 0..3 {
            for frame in 0..FRAMES {
                for joint in 0..JOINTS {
                    let moves = axis == 1 - window % 2;
                    let place = ((window * 7 + joint * 3 + axis) % 11) as f32 * 0.02;
                    data.push(place + if moves { frame as f32 * 0.2 } else { 0.0 });
                }
            }
        }
    }
    WindowSet {
        topology: TopologyId::Kinect20,
        spec: NormalizeSpec {
            mode: Mode::Paper,
            frames: FRAMES as u16,
            bodies: 1,
        },
        data,
        presence: vec![Presence::FIRST; count],
        labels: (0..count).map(|window| (window % 2) as u16).collect(),
        subjects: vec![1; count],
        cameras: vec![1; count],
        classes: vec!["up".into(), "aside".into()],
        digests: vec!["0".into()],
        recordings: Vec::new(),
        names: Vec::new(),
    }
}

fn settings() -> (FinetuneConfig, EncoderConfig) {
    let mut config =
        FinetuneConfig::parse(include_str!("../../../../configs/eval/finetune.toml")).unwrap();
    (config.batch, config.dropout) = (4, 0.1);
    let encoder = EncoderConfig {
        width: 2,
        dim: 4,
        dropout: 0.1,
        ..EncoderConfig::small(TopologyId::Kinect20, FRAMES, 1)
    };
    (config, encoder)
}

fn run(epochs: usize, checkpoint: &Path, watch: &mut dyn FnMut(Progress)) -> Trained {
    let (config, encoder) = settings();
    let (all, held) = (windows(10), windows(6));
    let device = Device::flex();
    let run = Run {
        config: &config,
        epochs,
        encoder: &encoder,
        start: encoder.init(1, &device.clone().autodiff()).unwrap(),
        train: &all,
        validation: Some(&held),
        seed: 1,
        identity: "test".into(),
        checkpoint,
        device: &device,
    };
    train(run, watch).unwrap()
}

fn weights(model: &Classifier) -> Named {
    collect(model)
}

#[test]
fn a_run_resumed_from_any_epoch_ends_with_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.checkpoint");
    let mut stored = Vec::new();
    let straight = run(3, &path, &mut |progress| {
        if let Progress::Epoch { .. } = progress {
            stored.push(std::fs::read(&path).unwrap());
        }
    });
    assert_eq!(stored.len(), 3);
    for bytes in stored {
        std::fs::write(&path, bytes).unwrap();
        let resumed = run(3, &path, &mut |_| {});
        assert_eq!(weights(&resumed.last), weights(&straight.last));
        assert_eq!(resumed.epochs, straight.epochs);
        let best = |trained: &Trained| {
            trained
                .best
                .as_ref()
                .map(|(epoch, model)| (*epoch, weights(model)))
        };
        assert_eq!(best(&resumed), best(&straight));
    }
}

#[test]
fn the_best_epoch_is_the_one_that_held_out_windows_say() {
    let folder = tempfile::tempdir().unwrap();
    let trained = run(6, &folder.path().join("run.checkpoint"), &mut |_| {});
    let epoch = trained.best.as_ref().unwrap().0;
    let most = trained
        .epochs
        .iter()
        .filter_map(|epoch| epoch.validation)
        .fold(0.0, f64::max);
    assert_eq!(trained.epochs[epoch].validation, Some(most));
    let (_, best) = predict_both(&trained, &settings().1, &windows(6), &Device::flex()).unwrap();
    assert_eq!(best.unwrap().top1(), most);
}

#[test]
fn windows_of_another_length_are_refused() {
    let (config, encoder) = settings();
    let encoder = EncoderConfig {
        frames: 16,
        ..encoder
    };
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let run = Run {
        config: &config,
        epochs: 1,
        encoder: &encoder,
        start: encoder.init(1, &device.clone().autodiff()).unwrap(),
        train: &windows(4),
        validation: None,
        seed: 1,
        identity: String::new(),
        checkpoint: &folder.path().join("run.checkpoint"),
        device: &device,
    };
    let error = train(run, &mut |_| {}).err().unwrap().to_string();
    assert!(
        error.contains("16 frames") && error.contains("have 8"),
        "{error}"
    );
}

#[test]
fn the_recipe_for_nw_ucla_parses() {
    let text = include_str!("../../../../configs/eval/finetune-small.toml");
    let config = FinetuneConfig::parse(text).unwrap();
    assert_eq!((config.epochs, config.augment.0.len()), (30, 5));
}

// Published finetuning leaves the network in evaluation mode: averages as they came, no dropout.
#[test]
fn finetuning_trains_with_batch_norm_and_dropout_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let trained = run(1, &folder.path().join("run.checkpoint"), &mut |_| {});
    let (_, encoder) = settings();
    let before = collect(&encoder.init(1, &Device::flex()).unwrap());
    let after = collect(&trained.last.encoder);
    let averages: Vec<&String> = before.keys().filter(|name| is_buffer(name)).collect();
    assert!(averages.len() >= 20);
    assert!(averages.iter().all(|name| before[*name] != after[*name]));
    let folder = tempfile::tempdir().unwrap();
    let (mut config, _) = settings();
    config.dropout = 0.0;
    let (all, device) = (windows(10), Device::flex());
    let encoder = EncoderConfig {
        dropout: 0.0,
        ..encoder
    };
    let without = Run {
        config: &config,
        epochs: 1,
        encoder: &encoder,
        start: encoder.init(1, &device.clone().autodiff()).unwrap(),
        train: &all,
        validation: None,
        seed: 1,
        identity: "test".into(),
        checkpoint: &folder.path().join("run.checkpoint"),
        device: &device,
    };
    let without = train(without, &mut |_| {}).unwrap();
    assert_ne!(weights(&without.last), weights(&trained.last));
}
