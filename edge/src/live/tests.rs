//! The pipeline behind the agent's seam, on a small random bundle.

use super::*;
use crate::window::{Policy, WindowConfig};
use tendon_bundle::testing::{Numbers, random_bundle, secret_key};
use tendon_bundle::{Bundle, Floor, TrustedKeys};
use tendon_shared::pose::Pose;

fn bundle(seed: u64) -> Arc<VerifiedBundle> {
    let key = secret_key(1);
    let trusted = TrustedKeys::new([key.public()]);
    Arc::new(Bundle::verify(random_bundle(&key, seed, seed), &trusted, Floor::default()).unwrap())
}

fn live(folder: Option<&Path>) -> Live {
    let window = WindowConfig {
        policy: Policy::Sliding,
        span_ms: 300,
        hop_ms: 100,
        ..WindowConfig::default()
    };
    let mut pipeline = PipelineConfig {
        window,
        ..PipelineConfig::default()
    };
    pipeline.adapt.gate.threshold = 0.0;
    pipeline.adapt.student.skip_agreement = 2.0;
    pipeline.adapt.steps = 1;
    pipeline.adapt.guard.enabled = false;
    // Random movements are far from any action, and their limbs fly about.
    pipeline.adapt.gate.novelty = 0.0;
    pipeline.adapt.gate.max_leap = 1e3;
    Live::new(LiveConfig {
        pipeline,
        folder: folder.map(Path::to_owned),
        shadow: ShadowConfig {
            windows: 4,
            agreement: 0.0,
        },
        seed: 1,
    })
}

/// Shows a person for `count` frames and does all idle work.
fn show(live: &mut Live, from: u64, count: u64) -> Vec<Output> {
    let mut found = Vec::new();
    let mut numbers = Numbers::new(from);
    for frame in from..from + count {
        let joints = (0..20)
            .map(|_| [numbers.unit(), numbers.unit(), 2.0 + numbers.unit()])
            .collect();
        let pose = Pose {
            time_ms: frame * 33,
            track: 1,
            joints,
            confidence: heapless::Vec::new(),
        };
        live.take(Event::Pose(Box::new(pose)), &mut |output| {
            found.push(output)
        });
        while live.idle(&mut |output| found.push(output)) == Idle::More {}
    }
    found
}

fn recognitions(found: &[Output]) -> usize {
    found
        .iter()
        .filter(|output| matches!(output, Output::Recognition(_) | Output::Numbered(_)))
        .count()
}

#[test]
fn without_a_bundle_poses_are_forgotten() {
    let mut live = live(None);
    assert!(show(&mut live, 0, 60).is_empty());
    assert_eq!(live.command(AdaptCommand::Report), Err(WireError::NoModel));
}

#[test]
fn poses_become_recognitions_counters_and_updates() {
    let mut live = live(None);
    live.switch(bundle(1), Standing::Trial).unwrap();
    let found = show(&mut live, 0, 100);
    assert_eq!(recognitions(&found), 23);
    assert!(
        found
            .iter()
            .any(|output| matches!(output, Output::Adapt(report) if report.updates == 1))
    );
    let mut counters = Counters::default();
    live.count(&mut counters);
    assert_eq!(
        (counters.poses, counters.windows, counters.updates),
        (100, 23, 1)
    );
    live.clear();
    assert!(show(&mut live, 100, 60).is_empty());
}

#[test]
fn a_trial_leaves_no_trace_and_a_confirmed_bundle_finds_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = live(Some(dir.path()));
    first.switch(bundle(1), Standing::Trial).unwrap();
    show(&mut first, 0, 100);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    first.switch(bundle(1), Standing::Confirmed).unwrap();
    show(&mut first, 100, 100);
    first.close();
    let mut second = live(Some(dir.path()));
    second.switch(bundle(2), Standing::Confirmed).unwrap();
    assert_eq!(second.command(AdaptCommand::Report).unwrap().updates, 0);
    second.switch(bundle(1), Standing::Confirmed).unwrap();
    let report = second.command(AdaptCommand::Report).unwrap();
    assert_eq!((report.updates, report.serving), (1, Serving::Adapted));
}

#[test]
fn an_operator_can_stop_and_undo_it() {
    let mut live = live(None);
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    assert_eq!(
        live.command(AdaptCommand::Undo),
        Err(WireError::NothingToUndo)
    );
    show(&mut live, 0, 100);
    let report = live.command(AdaptCommand::Undo).unwrap();
    assert_eq!(
        (report.updates, report.serving, report.memory),
        (0, Serving::Base, 0)
    );
    assert!(!live.command(AdaptCommand::Disable).unwrap().enabled);
    show(&mut live, 200, 100);
    assert_eq!(live.command(AdaptCommand::Report).unwrap().updates, 0);
}

#[test]
fn only_the_states_of_recent_bundles_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = live(Some(dir.path()));
    for seed in 1..=6 {
        live.switch(bundle(seed), Standing::Confirmed).unwrap();
        show(&mut live, seed * 1_000, 100);
    }
    live.close();
    let states = std::fs::read_dir(dir.path()).unwrap().flatten();
    let states = states
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "state")
        })
        .count();
    assert!((1..=KEPT_STATES).contains(&states), "{states}");
}

#[test]
fn a_person_names_a_window_by_the_number_that_was_reported() {
    let mut live = live(None);
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    let found = show(&mut live, 0, 40);
    let numbers: Vec<u64> = found
        .iter()
        .filter_map(|output| match output {
            Output::Numbered(found) => Some(found.window),
            _ => None,
        })
        .collect();
    assert!(numbers.len() > 2 && numbers.is_sorted());
    let name = |text: &str| heapless::String::try_from(text).unwrap();
    let known = bundle(1).manifest().classes.first().cloned().unwrap();
    let mut label = Label {
        window: numbers[1],
        class: name(&known),
    };
    let taken = Labelled::Taken {
        window: numbers[1],
        class: 0,
        named: 1,
    };
    assert_eq!(live.label(&label), Ok(taken));
    label.class = name("no such class");
    let refused = live.label(&label);
    assert!(
        matches!(&refused, Ok(Labelled::UnknownClass { known: list }) if list.contains(known.as_str())),
        "{refused:?}"
    );
    label.class = name(&known);
    label.window = 9_999;
    assert!(matches!(
        live.label(&label),
        Ok(Labelled::UnknownWindow { known: Some(_) })
    ));
    live.command(AdaptCommand::Disable).unwrap();
    assert_eq!(live.label(&label), Ok(Labelled::Off));
}

/// The agent's view of ten persons that come, go and swap their tracks, each `count` frames long; does all idle work.
fn crowd(live: &mut Live, frames: std::ops::Range<u64>) -> Vec<u64> {
    let mut windows = vec![0; 10];
    let mut numbers = Numbers::new(frames.start);
    for frame in frames {
        for person in 0..10_u64 {
            if (frame + person * 7) % 60 < 10 {
                continue;
            }
            let track = if frame / 40 % 2 == 0 {
                person
            } else {
                9 - person
            };
            let joints = (0..20)
                .map(|joint| {
                    let sway = 0.3 * numbers.unit();
                    [person as f32 + sway, 0.1 * joint as f32, 3.0 + sway]
                })
                .collect();
            let pose = Pose {
                time_ms: frame * 33,
                track,
                joints,
                confidence: heapless::Vec::new(),
            };
            live.take(Event::Pose(Box::new(pose)), &mut |output| {
                if let Output::Numbered(found) = output {
                    windows[found.recognition.track as usize] += 1;
                }
            });
            while live.idle(&mut |_| {}) == Idle::More {}
        }
    }
    windows
}

#[test]
fn ten_persons_share_one_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = live(Some(dir.path()));
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    let windows = crowd(&mut live, 0..200);
    assert!(windows.iter().all(|count| *count > 5), "{windows:?}");
    let size = |live: &mut Live| {
        live.close();
        let files = std::fs::read_dir(dir.path()).unwrap().flatten();
        files
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "state"))
            .map(|entry| entry.metadata().unwrap().len())
            .sum::<u64>()
    };
    let after_some = size(&mut live);
    crowd(&mut live, 200..500);
    let after_many = size(&mut live);
    // Only counts and names of windows grow, by digits.
    assert!(
        after_many <= after_some + after_some / 20,
        "{after_some}, {after_many}"
    );
    let runner = live.runner.as_ref().unwrap();
    let memory = runner.adapter().memory();
    assert!(memory.entries().len() <= 64 && runner.tracks().len() <= 10);
    // Nobody dominates a class that others show, too.
    for class in 0..5 {
        let held: Vec<u64> = memory
            .entries()
            .iter()
            .filter(|entry| entry.label == class)
            .map(|entry| entry.track)
            .collect();
        let most = (0..10)
            .map(|track| held.iter().filter(|held| **held == track).count())
            .max();
        assert!(
            held.len() < 10 || most <= Some(held.len() * 2 / 3),
            "{held:?}"
        );
    }
}

/// Windows that were said to be healthy, and those that were not.
fn health(found: &[Output]) -> (usize, usize) {
    let count = |wanted| {
        let is = |output: &&Output| **output == Output::Window { healthy: wanted };
        found.iter().filter(is).count()
    };
    (count(true), count(false))
}

#[test]
fn a_new_bundle_is_watched_before_it_serves_and_its_trial_begins_then() {
    let mut live = live(None);
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    show(&mut live, 0, 60);
    live.switch(bundle(2), Standing::Trial).unwrap();
    let (first, second) = (bundle(1).id(), bundle(2).id());
    assert_eq!(live.serving().unwrap().bundle().id(), first);
    let mut watched = Vec::new();
    let mut frame = 60;
    while live.serving().unwrap().bundle().id() == first {
        assert!(frame < 200, "it never serves");
        watched.extend(show(&mut live, frame, 1));
        frame += 1;
    }
    assert!(recognitions(&watched) >= 4, "nobody answers meanwhile");
    assert_eq!(health(&watched), (0, 0));
    assert_eq!(live.serving().unwrap().bundle().id(), second);
    assert!(health(&show(&mut live, frame, 60)).0 > 0);
}

/// What bundle number `seed` says to the first window.
fn first_answer(seed: u64) -> u8 {
    let mut live = live(None);
    live.switch(bundle(seed), Standing::Confirmed).unwrap();
    let found = show(&mut live, 0, 60);
    let classes = found.iter().filter_map(|output| match output {
        Output::Numbered(numbered) => Some(numbered.recognition.class),
        _ => None,
    });
    classes.take(1).next().unwrap()
}

#[test]
fn a_bundle_whose_answers_are_strange_gives_way_to_the_one_before_as_it_was() {
    let strange = (2..50).find(|seed| first_answer(*seed) != first_answer(1));
    let strange = bundle(strange.unwrap());
    let mut live = live(None);
    live.config.shadow = ShadowConfig {
        windows: 12,
        agreement: 1.0,
    };
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    show(&mut live, 0, 120);
    let learnt = live.serving().unwrap().adapter().observed();
    assert!(learnt > 0);
    live.switch(strange, Standing::Trial).unwrap();
    // Every answer is sure.
    for runner in [
        live.runner.as_mut(),
        live.shadow.as_mut().map(|shadow| &mut shadow.before),
    ] {
        runner.unwrap().be_sure();
    }
    let watched = show(&mut live, 120, 120);
    assert!(health(&watched).1 > 0, "{watched:?}");
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    let serving = live.serving().unwrap();
    assert_eq!(serving.bundle().id(), bundle(1).id());
    assert!(
        serving.adapter().observed() > learnt,
        "it went on meanwhile"
    );
}

#[test]
fn a_new_bundle_knows_the_skeleton_that_the_source_named_once() {
    let mut live = live(None);
    live.switch(bundle(1), Standing::Confirmed).unwrap();
    let topology = TopologyId::Ntu25;
    live.take(Event::Hello { topology }, &mut |_| {});
    live.switch(bundle(2), Standing::Trial).unwrap();
    // Poses of twenty joints are foreign to both now.
    show(&mut live, 0, 30);
    let runner = live.runner.as_ref().unwrap();
    assert!(runner.foreign_poses() + runner.tracks().counts().wrong_joints >= 30);
}
