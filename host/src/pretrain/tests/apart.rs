//! Runs that train several encoders at once.

use super::*;
use crate::method::{CmcsConfig, Objective};

fn cmcs() -> PretrainConfig {
    let objective = Objective::Cscl {
        push: 0.5,
        from_epoch: 2,
        weight: 10.0,
        neighbours: 2,
        votes: 2,
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
