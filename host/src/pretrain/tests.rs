mod apart;
mod transfer;

use super::*;
use crate::contrast::{Fill, JointChoice, MixSpec};
use crate::evaluate::pooling::Pooling;
use crate::method::{AimClrConfig, MsMclrConfig, SkeleMixClrConfig, SkeletonClrConfig};
use crate::pretrain::batch::tests::windows;
use crate::pretrain::config::{EncoderSection, MonitorConfig, WindowConfig};
use crate::pretrain::partners::PartnersConfig;
use crate::pretrain::schedule::{Schedule, Shape};
use tendon_model::augment::Recipe;
use tendon_model::ema::TargetNorm;
use tendon_model::encoder::EncoderKind;
use tendon_model::graph::GraphKind;
use tendon_model::motion_attention::MotionAttentionConfig;
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::pyramid::Scale;
use tendon_shared::normalize::Mode;
use tendon_shared::stream::Stream;

fn config() -> PretrainConfig {
    PretrainConfig {
        seed: 5,
        batch: 5,
        epochs: 4,
        checkpoint_steps: 3,
        snapshot_epochs: 2,
        window: WindowConfig {
            mode: Mode::Product,
            frames: 8,
            bodies: 1,
        },
        encoder: EncoderSection {
            kind: EncoderKind::StGcn,
            graph: GraphKind::SpatialHop1 {
                true_distances: true,
            },
            streams: vec![Stream::Joint, Stream::Motion],
            width: 2,
            dim: 4,
            dropout: 0.2,
            body_mask: true,
        },
        method: MethodConfig::SkeletonClr(base()),
        optimizer: OptimizerConfig::adamw(1e-4),
        schedule: Schedule {
            rate: 0.01,
            warmup_epochs: 1.0,
            shape: Shape::Cosine,
        },
        partners: None,
        monitor: MonitorConfig {
            epochs: 2,
            subjects: 1,
            neighbours: 3,
        },
    }
}

fn base() -> SkeletonClrConfig {
    SkeletonClrConfig {
        temperature: 0.1,
        queue: 7,
        ema_decay: 0.9,
        ema_warmup: true,
        target_norm: TargetNorm::OwnTrain,
        head_norm: true,
        projection: 3,
        query: Recipe::normal(),
        key: Recipe::normal(),
    }
}

/// The methods that extend SkeletonCLR.
fn extensions() -> Vec<MethodConfig> {
    let mix = MixSpec {
        fill: Fill::Swap,
        joints: JointChoice::Parts { least: 2, most: 3 },
        lengths: [1, 1],
        each_window: true,
    };
    let mixed = SkeleMixClrConfig {
        base: base(),
        mix,
        repeats: 2,
        weight: 1.0,
        mean: false,
        blank_seeks_partner: false,
    };
    let aim = AimClrConfig {
        base: base(),
        extreme: Recipe::extreme(),
        drop_attention: Some(0.7),
        divergence_weight: 0.5,
        mining_epoch: 2,
    };
    let multi_scale = MsMclrConfig {
        aim: aim.clone(),
        scales: vec![Scale::Joint, Scale::Body],
        attention: Some(MotionAttentionConfig {
            reduced: 2,
            motion: true,
            cross_frame: true,
            cross_node: true,
        }),
        scale_weight: 0.5,
        queue_each_scale: true,
    };
    vec![
        MethodConfig::SkeleMixClr(mixed),
        MethodConfig::AimClr(aim),
        MethodConfig::MsMclr(multi_scale),
    ]
}

/// Runs in `folder`; the run is killed, without any farewell, when `kill` steps of this call are done.
fn go(
    folder: &Path,
    config: &PretrainConfig,
    resume: bool,
    kill: Option<u64>,
) -> Result<Outcome, PretrainError> {
    go_on(&[Device::flex()], folder, config, resume, kill)
}

/// The same on the given devices.
fn go_on(
    devices: &[Device],
    folder: &Path,
    config: &PretrainConfig,
    resume: bool,
    kill: Option<u64>,
) -> Result<Outcome, PretrainError> {
    let windows = windows(24);
    let run = Run {
        config,
        windows: &windows,
        split: "all",
        devices,
        folder,
        start: None,
        teacher: None,
        resume,
        clock: &|| 1_000.0,
    };
    let mut done = 0;
    pretrain(&run, |progress| {
        done += u64::from(matches!(progress, Progress::Step { .. }));
        if kill == Some(done) {
            Wish::Abandon
        } else {
            Wish::Continue
        }
    })
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("encoder.safetensors")).unwrap()
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log.jsonl")).unwrap()
}

#[test]
fn a_run_killed_at_any_step_and_resumed_ends_with_the_same_bytes() {
    let straight = tempfile::tempdir().unwrap();
    let outcome = go(straight.path(), &config(), false, None).unwrap();
    // 24 windows in batches of 5: 4 steps an epoch, 4 epochs.
    assert_eq!((outcome.step, outcome.steps), (16, 16));
    for kill in 1..=16 {
        let folder = tempfile::tempdir().unwrap();
        let killed = go(folder.path(), &config(), false, Some(kill)).unwrap();
        assert!(killed.encoders.is_empty());
        go(folder.path(), &config(), true, None).unwrap();
        assert_eq!(
            bytes(folder.path()),
            bytes(straight.path()),
            "killed after step {kill}"
        );
        assert_eq!(
            log(folder.path()),
            log(straight.path()),
            "killed after step {kill}"
        );
    }
}

#[test]
fn a_run_on_several_devices_killed_and_resumed_ends_with_the_same_bytes() {
    let devices = [Device::flex(), Device::flex()];
    let straight = tempfile::tempdir().unwrap();
    go_on(&devices, straight.path(), &config(), false, None).unwrap();
    for kill in [1, 5, 16] {
        let folder = tempfile::tempdir().unwrap();
        go_on(&devices, folder.path(), &config(), false, Some(kill)).unwrap();
        go_on(&devices, folder.path(), &config(), true, None).unwrap();
        assert_eq!(bytes(folder.path()), bytes(straight.path()));
        assert_eq!(log(folder.path()), log(straight.path()));
    }
}

#[test]
fn every_method_killed_and_resumed_ends_with_the_same_bytes_on_one_and_on_two_devices() {
    for method in extensions() {
        let config = PretrainConfig { method, ..config() };
        for (devices, kills) in [(1, [1, 9]), (2, [5, 12])] {
            let devices = vec![Device::flex(); devices];
            let straight = tempfile::tempdir().unwrap();
            go_on(&devices, straight.path(), &config, false, None).unwrap();
            for kill in kills {
                let folder = tempfile::tempdir().unwrap();
                go_on(&devices, folder.path(), &config, false, Some(kill)).unwrap();
                go_on(&devices, folder.path(), &config, true, None).unwrap();
                let name = config.method.name();
                assert_eq!(bytes(folder.path()), bytes(straight.path()), "{name}");
                assert_eq!(log(folder.path()), log(straight.path()), "{name}");
            }
            for figure in ["spread", "accuracy", "knn"] {
                assert!(!logged(straight.path(), figure).is_empty(), "{figure}");
            }
        }
    }
}

#[test]
fn a_run_with_partners_killed_at_any_step_and_resumed_ends_with_the_same_bytes() {
    let partners = PartnersConfig {
        probability: 0.7,
        nearest: 3,
        across_persons: true,
        pooling: Pooling::Joints,
        epochs: 2,
    };
    let config = PretrainConfig {
        partners: Some(partners),
        ..config()
    };
    let straight = tempfile::tempdir().unwrap();
    go(straight.path(), &config, false, None).unwrap();
    // Looked for at the start and after two of four epochs.
    assert_eq!(logged(straight.path(), "precision").len(), 2);
    let alone = tempfile::tempdir().unwrap();
    go(alone.path(), &self::config(), false, None).unwrap();
    assert_ne!(bytes(straight.path()), bytes(alone.path()));
    for kill in 1..=16 {
        let folder = tempfile::tempdir().unwrap();
        go(folder.path(), &config, false, Some(kill)).unwrap();
        go(folder.path(), &config, true, None).unwrap();
        let after = format!("killed after step {kill}");
        assert_eq!(bytes(folder.path()), bytes(straight.path()), "{after}");
        assert_eq!(log(folder.path()), log(straight.path()), "{after}");
    }
}

#[test]
fn every_method_has_the_same_first_losses_on_several_devices() {
    for method in extensions() {
        let config = PretrainConfig {
            method,
            batch: 11,
            epochs: 1,
            encoder: EncoderSection {
                width: 8,
                dim: 32,
                ..config().encoder
            },
            optimizer: OptimizerConfig::sgd(1e-4),
            schedule: Schedule {
                rate: 1e-6,
                ..config().schedule
            },
            ..config()
        };
        let losses = |devices: usize| {
            let folder = tempfile::tempdir().unwrap();
            let devices = vec![Device::flex(); devices];
            go_on(&devices, folder.path(), &config, false, None).unwrap();
            logged(folder.path(), "loss")
        };
        let expected = losses(1);
        assert_eq!(expected.len(), 2);
        for (a, b) in losses(3).iter().zip(&expected) {
            let name = config.method.name();
            assert!(((a - b) / b).abs() < 1e-4, "{name}: {a} v {b}");
        }
    }
}

/// What is written under `"name":` in every line of the log that has it.
fn logged(folder: &Path, name: &str) -> Vec<f64> {
    let key = format!("\"{name}\":");
    let value = |line: &str| {
        let (_, rest) = line.split_once(&key)?;
        rest.split([',', '}']).next()?.parse().ok()
    };
    log(folder).lines().filter_map(value).collect()
}

#[test]
fn several_devices_train_as_one_does_with_the_same_batch() {
    // Small steps of SGD, because new networks have gradients in the hundreds, and AdamW's first steps have the size of the
    // rate even where a gradient is nothing but rounding.
    let config = PretrainConfig {
        batch: 11,
        epochs: 2,
        encoder: EncoderSection {
            width: 8,
            dim: 32,
            ..config().encoder
        },
        optimizer: OptimizerConfig::sgd(1e-4),
        schedule: Schedule {
            rate: 1e-6,
            ..config().schedule
        },
        ..config()
    };
    let run = |devices: usize| {
        let folder = tempfile::tempdir().unwrap();
        let devices = vec![Device::flex(); devices];
        go_on(&devices, folder.path(), &config, false, None).unwrap();
        ["loss", "gradient_norm"].map(|name| logged(folder.path(), name))
    };
    let [losses, norms] = run(1);
    assert_eq!(losses.len(), 4);
    // Eleven windows a step: shares of 6 and 5; of 4, 4 and 3.
    for devices in [2, 3] {
        let [found, found_norms] = run(devices);
        let error = |a: f64, b: f64| (a - b).abs() / b;
        assert!(error(found[0], losses[0]) < 1e-5);
        // A value on the edge of a ReLU may fall on either side.
        assert!(error(found_norms[0], norms[0]) < 1e-2);
        for (a, b) in found.iter().zip(&losses) {
            assert!(error(*a, *b) < 1e-4, "{a} v {b}");
        }
    }
}

#[test]
fn a_run_without_a_device_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = go_on(&[], folder.path(), &config(), false, None).unwrap_err();
    assert!(matches!(error, PretrainError::NoDevice));
}

#[test]
fn a_run_killed_again_and_again_still_ends_with_the_same_bytes() {
    let straight = tempfile::tempdir().unwrap();
    go(straight.path(), &config(), false, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &config(), false, Some(4)).unwrap();
    let mut step = 0;
    while step < 16 {
        step = go(folder.path(), &config(), true, Some(5)).unwrap().step;
    }
    assert_eq!(bytes(folder.path()), bytes(straight.path()));
}

#[test]
fn asking_to_save_writes_a_checkpoint_at_that_step() {
    let folder = tempfile::tempdir().unwrap();
    let (windows, device, config) = (windows(24), Device::flex(), config());
    let run = Run {
        config: &config,
        windows: &windows,
        split: "all",
        devices: &[device],
        folder: folder.path(),
        start: None,
        teacher: None,
        resume: false,
        clock: &|| 0.0,
    };
    let outcome = pretrain(&run, |progress| match progress {
        Progress::Step { step: 2, .. } => Wish::Save,
        _ => Wish::Continue,
    });
    assert_eq!(outcome.unwrap().step, 2);
    assert_eq!(go(folder.path(), &config, true, None).unwrap().step, 16);
}

#[test]
fn a_folder_with_a_run_is_neither_wiped_nor_continued_unasked() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &config(), false, None).unwrap();
    let before = bytes(folder.path());
    assert!(matches!(
        go(folder.path(), &config(), false, None),
        Err(PretrainError::Occupied { .. })
    ));
    let other = PretrainConfig {
        seed: 6,
        ..config()
    };
    assert!(matches!(
        go(folder.path(), &other, true, None),
        Err(PretrainError::Checkpoint(_))
    ));
    assert_eq!(bytes(folder.path()), before);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        go(empty.path(), &config(), true, None),
        Err(PretrainError::NothingToResume { .. })
    ));
}

#[test]
fn a_run_writes_snapshots_events_and_an_encoder_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    go(folder.path(), &config(), false, None).unwrap();
    for step in [0, 8, 16] {
        assert!(
            folder
                .path()
                .join(format!("snapshots/encoder-{step:07}.safetensors"))
                .exists()
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("tensorboard"))
            .unwrap()
            .count(),
        1
    );
    let loaded =
        tendon_model::weights::load(&folder.path().join("encoder.safetensors"), &Device::flex())
            .unwrap();
    let origin = loaded.description.provenance;
    assert_eq!(
        (origin.steps, origin.seed, origin.method.as_str()),
        (16, 5, "skeletonclr")
    );
    assert_eq!(
        (origin.subjects, origin.split.as_str()),
        (vec![1, 2, 3, 4], "all")
    );
    assert_eq!(
        log(folder.path()).matches("\"kind\":\"monitor\"").count(),
        3
    );
}

#[test]
fn the_monitor_sees_windows_as_they_are() {
    let first = |query: Recipe| {
        let folder = tempfile::tempdir().unwrap();
        let method = MethodConfig::SkeletonClr(SkeletonClrConfig {
            key: query.clone(),
            query,
            ..base()
        });
        let config = PretrainConfig { method, ..config() };
        go(folder.path(), &config, false, Some(1)).unwrap();
        logged(folder.path(), "knn")
    };
    assert_eq!(first(Recipe::extreme()), first(Recipe::normal()));
}

#[test]
fn too_few_windows_for_a_batch_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = PretrainConfig {
        batch: 25,
        ..config()
    };
    let error = go(folder.path(), &config, false, None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("there are 24 windows, a batch has 25"),
        "{error}"
    );
}
