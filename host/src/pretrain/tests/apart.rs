//! Runs that write several encoders, and runs that start from one.

use super::*;
use crate::contrast::Threshold;
use crate::evaluate::labels::Amount;
use crate::method::{ClassRule, CmcsConfig, Objective, PspConfig, SkeleMoClrConfig, Statistics};
use crate::pretrain::start::Start;

fn cmcs() -> PretrainConfig {
    let objective = Objective::Cscl {
        push: 0.5,
        from_epoch: 2,
        weight: 10.0,
        neighbours: 2,
        votes: 2,
        opposite: true,
        freeze_target: false,
    };
    let method = MethodConfig::Cmcs(CmcsConfig {
        objective,
        apart: true,
        hidden: 5,
        projection: 3,
        ema_decay: 0.9,
        ema_warmup: true,
        target_norm: TargetNorm::OwnTrain,
        views: [Recipe::normal(), Recipe::normal()],
    });
    PretrainConfig { method, ..config() }
}

/// The files of both encoders.
fn encoders(folder: &Path) -> [Vec<u8>; 2] {
    ["joint", "motion"]
        .map(|stream| std::fs::read(folder.join(format!("encoder-{stream}.safetensors"))).unwrap())
}

#[test]
fn streams_apart_killed_and_resumed_end_with_the_same_bytes_on_one_and_on_two_devices() {
    // Votes begin with step 8.
    for (devices, kills) in [(1, [1, 9]), (2, [5, 16])] {
        let devices = vec![Device::flex(); devices];
        let straight = tempfile::tempdir().unwrap();
        go_on(&devices, straight.path(), &cmcs(), false, None).unwrap();
        for kill in kills {
            let folder = tempfile::tempdir().unwrap();
            go_on(&devices, folder.path(), &cmcs(), false, Some(kill)).unwrap();
            go_on(&devices, folder.path(), &cmcs(), true, None).unwrap();
            assert_eq!(encoders(folder.path()), encoders(straight.path()));
            assert_eq!(log(folder.path()), log(straight.path()));
        }
        assert_eq!(logged(straight.path(), "agreed_neighbours").len(), 8);
        for stream in ["knnjoint", "knnmotion"] {
            assert_eq!(logged(straight.path(), stream).len(), 3);
        }
    }
}

#[test]
fn each_encoder_says_which_stream_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = go(folder.path(), &cmcs(), false, None).unwrap();
    let streams = outcome.encoders.iter().map(|path| {
        let loaded = tendon_model::weights::load(path, &Device::flex()).unwrap();
        loaded.description.config.streams
    });
    let streams: Vec<_> = streams.collect();
    assert_eq!(streams, [vec![Stream::Joint], vec![Stream::Motion]]);
}

fn skelemoclr() -> PretrainConfig {
    let method = MethodConfig::SkeleMoClr(SkeleMoClrConfig {
        base: base(),
        labels: Amount::PerClass(2),
        draw: 1,
        labelled: 4,
        together: false,
        statistics: Statistics::Weak,
        threshold: Threshold::Flex {
            confidence: 0.4,
            floor: 0.3,
            warmup: true,
        },
        pseudo_weight: 1.0,
        ramp_steps: 4,
        contrast_weight: 0.5,
        classes: ClassRule::NoNegatives,
        classifier_rate: 2.0,
    });
    PretrainConfig { method, ..config() }
}

/// A run from `start`, killed after so many steps.
fn second_stage(
    folder: &Path,
    start: Option<&Start>,
    resume: bool,
    kill: Option<u64>,
) -> Result<Outcome, PretrainError> {
    let windows = windows(24);
    let config = skelemoclr();
    let run = Run {
        config: &config,
        windows: &windows,
        split: "all",
        devices: &[Device::flex()],
        folder,
        start,
        teacher: None,
        resume,
        clock: &|| 1_000.0,
    };
    let mut done = 0;
    pretrain(&run, |progress| {
        done += u64::from(matches!(progress, Progress::Step { .. }));
        match kill == Some(done) {
            true => Wish::Abandon,
            false => Wish::Continue,
        }
    })
}

#[test]
fn a_second_stage_starts_from_the_first_ones_encoder_and_resumes_to_the_same_bytes() {
    let first = tempfile::tempdir().unwrap();
    go(first.path(), &config(), false, None).unwrap();
    let start = Start::read(&first.path().join("encoder.safetensors"), &Device::flex()).unwrap();
    let files = |folder: &Path| {
        ["student", "teacher"]
            .map(|name| std::fs::read(folder.join(format!("encoder-{name}.safetensors"))).unwrap())
    };
    let straight = tempfile::tempdir().unwrap();
    let outcome = second_stage(straight.path(), Some(&start), false, None).unwrap();
    for kill in [1, 9] {
        let folder = tempfile::tempdir().unwrap();
        second_stage(folder.path(), Some(&start), false, Some(kill)).unwrap();
        // Without the encoder, or with another, it would be another run.
        assert!(second_stage(folder.path(), None, true, None).is_err());
        second_stage(folder.path(), Some(&start), true, None).unwrap();
        assert_eq!(files(folder.path()), files(straight.path()));
        assert_eq!(log(folder.path()), log(straight.path()));
    }
    // The neighbours' monitor sees the encoder as it came; later it has changed.
    let monitor = |folder: &Path, name: &str| logged(folder, name);
    let last = *monitor(first.path(), "knn").last().unwrap();
    assert_eq!(monitor(straight.path(), "knnstudent")[0], last);
    assert_eq!(monitor(straight.path(), "knnteacher")[0], last);

    let loaded = tendon_model::weights::load(&outcome.encoders[1], &Device::flex()).unwrap();
    assert!(loaded.classifier.is_some());
    assert_eq!(loaded.description.classes, ["a", "b", "c"]);
    let base = loaded.description.provenance.base.unwrap();
    assert_eq!(base.method, "skeletonclr");
}

#[test]
fn an_encoder_of_another_shape_is_no_start() {
    let first = tempfile::tempdir().unwrap();
    let wide = PretrainConfig {
        encoder: EncoderSection {
            width: 3,
            ..config().encoder
        },
        epochs: 1,
        ..config()
    };
    go(first.path(), &wide, false, None).unwrap();
    let start = Start::read(&first.path().join("encoder.safetensors"), &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = second_stage(folder.path(), Some(&start), false, None).unwrap_err();
    assert!(error.to_string().contains("its encoder is"), "{error}");
}

fn psp(kind: EncoderKind) -> PretrainConfig {
    let method = MethodConfig::Psp(PspConfig {
        labels: Amount::PerClass(2),
        draw: 1,
        labelled: 4,
        together: kind == EncoderKind::StGcn,
        temperature: 0.1,
        contrast_weight: 0.2,
        view: Recipe::normal(),
    });
    let encoder = EncoderSection {
        kind,
        width: 4,
        ..config().encoder
    };
    PretrainConfig {
        method,
        encoder,
        ..config()
    }
}

#[test]
fn psp_killed_and_resumed_ends_with_the_same_bytes_with_either_encoder() {
    let files = |folder: &Path| {
        ["encoder", "encoder-joint"]
            .map(|name| std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap())
    };
    for (kind, devices) in [
        (EncoderKind::Dsta, 1),
        (EncoderKind::StGcn, 1),
        (EncoderKind::StGcn, 2),
    ] {
        let devices = vec![Device::flex(); devices];
        let straight = tempfile::tempdir().unwrap();
        go_on(&devices, straight.path(), &psp(kind), false, None).unwrap();
        for kill in [1, 9] {
            let folder = tempfile::tempdir().unwrap();
            go_on(&devices, folder.path(), &psp(kind), false, Some(kill)).unwrap();
            go_on(&devices, folder.path(), &psp(kind), true, None).unwrap();
            assert_eq!(files(folder.path()), files(straight.path()));
            assert_eq!(log(folder.path()), log(straight.path()));
        }
    }
}

#[test]
fn psp_writes_both_streams_and_the_joints_alone_without_what_only_pretraining_needs() {
    let folder = tempfile::tempdir().unwrap();
    let kind = EncoderKind::Dsta;
    let outcome = go(folder.path(), &psp(kind), false, None).unwrap();
    let [both, joint] = &outcome.encoders[..] else {
        unreachable!("two files")
    };
    for (path, streams) in [(both, 2), (joint, 1)] {
        let loaded = tendon_model::weights::load(path, &Device::flex()).unwrap();
        let config = loaded.description.config;
        assert_eq!((config.kind, config.streams.len()), (kind, streams));
        assert_eq!(config.shared_streams, streams == 2);
        assert_eq!(loaded.classifier.unwrap().weight.dims(), [4, 3]);
        let bytes = std::fs::read(path).unwrap();
        let (tensors, _) = tendon_model::container::decode(&bytes).unwrap();
        let dropped = |name: &String| name.starts_with("attention.") || name.starts_with("head.");
        assert!(!tensors.keys().any(dropped));
        assert!(tensors.contains_key("layers.7.query.weight"));
    }
}

#[test]
fn a_dsta_encoder_runs_on_one_device_only() {
    let folder = tempfile::tempdir().unwrap();
    let devices = [Device::flex(), Device::flex()];
    let error = go_on(
        &devices,
        folder.path(),
        &psp(EncoderKind::Dsta),
        false,
        None,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "a dsta encoder runs on one device only");
}
