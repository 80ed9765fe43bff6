//! A microcontroller with a sensor at the end of a serial line: emulated boards, a real line, a real agent, and faults on the line.
//!
//! `TENDON_POSES=1000000` makes the long run. Skipped where there is no QEMU for it; `.ci/firmware` brings one.
#![allow(clippy::print_stdout, reason = "the runs' figures are what is shown")]

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;
use tendon_bridge::bridge::Recognise as _;
use tendon_bridge::recognise::{Buffers, Recogniser};
use tendon_bridge::sensor::Sensor as _;
use tendon_bridge::simulated::{FRAME_MS, Simulated};
use tendon_bundle::testing::{Shape, usual_encoder};
use tendon_shared::protocol::bridge::Answer;
use tendon_shared::protocol::capture::Capture;
use tendon_shared::protocol::telemetry::Counters;
use tendon_shared::protocol::{Event, Message, Request, Response};
use tendon_shared::topology::TopologyId;

use super::deploy::deploy;
use super::support::board::{Arrived, BadLine, Board, Ends, M3, M4F, M7, M55, Running};
use super::support::bundles::{bundle, tracks};
use super::support::edge::{Edge, Home};

/// Poses without the variable.
const POSES: u64 = 20_000;

/// Reports within which a bridge must have told of everything that was on the line.
const REPORTS: usize = 60;

/// What arrived at one end.
#[derive(Default, Clone, Copy, Debug)]
struct Seen {
    poses: u64,
    settings: u64,
    broken: u64,
    nonsense: u64,
}

/// Every pose that arrives is one that the sensor saw, to the bit.
fn check(seen: &mut Seen, arrived: Arrived<'_>) {
    match arrived {
        Arrived::Broken => seen.broken += 1,
        Arrived::Nonsense => seen.nonsense += 1,
        Arrived::Message(Message::Event(Event::Capture(Capture::Pose(pose)))) => {
            assert_eq!(pose, Simulated::pose(pose.time_ms / FRAME_MS));
            seen.poses += 1;
        }
        Arrived::Message(Message::Request(Request::Bridge(_))) => seen.settings += 1,
        Arrived::Message(_) => {}
    }
}

/// A line that is watched at both ends.
fn watch(ends: Ends, board: &Running, seed: u64) -> (BadLine, Arc<Mutex<Seen>>, Arc<Mutex<Seen>>) {
    let (at_agent, at_board) = (Arc::<Mutex<Seen>>::default(), Arc::<Mutex<Seen>>::default());
    let inspect = |seen: &Arc<Mutex<Seen>>| {
        let seen = seen.clone();
        Box::new(move |arrived: Arrived<'_>| check(&mut seen.lock().unwrap(), arrived))
    };
    let line = ends.join(board, Some(seed), inspect(&at_agent), inspect(&at_board));
    (line, at_agent, at_board)
}

fn counters(edge: &Edge) -> Counters {
    match edge.client().ask(&Request::Counters).unwrap() {
        Response::Counters(counters) => counters,
        other => panic!("{other:?}"),
    }
}

/// The next report of a bridge that has sent so much.
fn report(edge: &Edge, sent: u64) -> Value {
    edge.wait_for(|line| line["event"] == "bridge" && line["sent"] == sent)
}

/// A home whose agent has a bundle that proved itself.
fn install(home: &Home) {
    let mut edge = home.start(&[]);
    deploy(&edge, &bundle(1)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    edge.terminate();
}

fn poses_over_a_bad_line(board: Board, seed: u64) {
    let Some(emulator) = board.emulator() else {
        return;
    };
    let poses = std::env::var("TENDON_POSES").map_or(POSES, |poses| poses.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let image = board.build(folder.path(), None);
    let ends = Ends::new();
    let home = Home::new();
    let frames = format!("bridge.frames={poses}");
    let settings: Vec<&str> = [
        "window.policy=sliding",
        "adapt.enabled=false",
        "bridge.frame_ms=0",
        "bridge.report_s=1",
        &frames,
    ]
    .into_iter()
    .flat_map(|value| ["--set", value])
    .collect();
    install(&home);
    let edge = home.start_on(&format!("serial:{}", ends.device()), &settings);
    let running = Running::start(&emulator, board, &image);
    let (line, at_agent, at_board) = watch(ends, &running, seed);
    let started = Instant::now();
    report(&edge, poses);
    let took = started.elapsed().as_secs_f64();
    line.calm();
    // Some reports were on their way already; those that follow tell of everything.
    let last = (0..REPORTS)
        .map(|_| report(&edge, poses))
        .find(|last| {
            let there = at_board.lock().unwrap();
            last["bad_packets"] == there.broken && last["refused"] == there.nonsense
        })
        .expect("the bridge counts what arrives");
    let counted = counters(&edge);
    let (agent, there) = (*at_agent.lock().unwrap(), *at_board.lock().unwrap());
    println!(
        "{}: {poses} poses sent in {took:.1} s, {} faults on the line; at the agent {agent:?}, at the board {there:?}; \
         the agent took {} and dropped {}; the bridge: {last}",
        board.name,
        line.faults(),
        counted.poses,
        counted.dropped_poses
    );

    // Most arrive, and some do not, or the test is too easy.
    assert!(agent.poses > poses * 3 / 4 && agent.poses < poses);
    assert!(agent.broken > 0 && agent.nonsense > 0 && there.broken > 0 && there.nonsense > 0);
    // The agent took what arrived whole, and nothing else.
    assert_eq!(counted.poses + counted.dropped_poses, agent.poses);
    assert_eq!(counted.bad_poses, 0);
    assert_eq!(
        u64::from(counted.bad_packets),
        agent.broken + agent.nonsense
    );
    // So did the bridge.
    assert_eq!(last["overruns"], 0);
    assert!(there.settings >= 1 && last["configured"] == 1);
    let (used, room) = (&last["stack_used"], &last["stack_bytes"]);
    assert!(
        used.as_u64().unwrap() < room.as_u64().unwrap() / 2,
        "{used} of {room}"
    );
}

#[test]
fn a_cortex_m4f_sends_poses_over_a_bad_line() {
    poses_over_a_bad_line(M4F, 1);
}

#[test]
fn a_cortex_m3_sends_poses_over_a_bad_line() {
    poses_over_a_bad_line(M3, 2);
}

/// Frames that a board with an encoder sees.
const FRAMES: u64 = 1200;

/// What this machine's engine answers to the frames that the board sees.
fn expected(blob: &[u8], classes: &str) -> Vec<Answer> {
    let mut buffers = Box::new(Buffers::new());
    let mut recogniser =
        Recogniser::new(blob, classes, TopologyId::Kinect20, &mut buffers).unwrap();
    let mut sensor = Simulated::default();
    let mut answers = Vec::new();
    let mut frames = 0;
    while frames < FRAMES {
        let seen = sensor.read().unwrap().unwrap();
        frames += u64::from(matches!(seen, Capture::Pose(_)));
        answers.extend(recogniser.take(&seen));
    }
    answers
}

fn answers_as_on_the_host(board: Board) {
    let Some(emulator) = board.emulator() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let blob = usual_encoder(&Shape::small(20, 32, 5), 3);
    let classes = "sit\nstand\nwave\n";
    let (encoder, names) = (folder.path().join("encoder"), folder.path().join("classes"));
    std::fs::write(&encoder, &blob).unwrap();
    std::fs::write(&names, classes).unwrap();
    let image = board.build(folder.path(), Some((&encoder, &names)));
    let expected = expected(&blob, classes);

    let ends = Ends::new();
    let frames = format!("bridge.frames={FRAMES}");
    let settings: Vec<&str> = [
        "bridge.output=answers",
        "bridge.frame_ms=0",
        "bridge.report_s=1",
        &frames,
    ]
    .into_iter()
    .flat_map(|value| ["--set", value])
    .collect();
    let home = Home::new();
    let edge = home.start_on(&format!("serial:{}", ends.device()), &settings);
    let running = Running::start(&emulator, board, &image);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let taken = answers.clone();
    let at_agent = move |arrived: Arrived<'_>| match arrived {
        Arrived::Message(Message::Event(Event::Answer(answer))) => {
            taken.lock().unwrap().push(answer);
        }
        Arrived::Message(Message::Event(Event::Capture(capture))) => {
            panic!("{capture:?} left the bridge")
        }
        Arrived::Message(_) => {}
        Arrived::Broken | Arrived::Nonsense => panic!("on a good line"),
    };
    let line = ends.join(&running, None, Box::new(at_agent), Box::new(|_| ()));
    let told = RefCell::new(Vec::new());
    let last = edge.wait_for(|line| {
        if line["event"] == "recognition" {
            told.borrow_mut().push(line["name"].clone());
        }
        line["event"] == "bridge" && line["sent"] == expected.len()
    });
    println!(
        "{}: {} answers; the bridge: {last}",
        board.name,
        expected.len()
    );
    drop(line);
    // Time, class, confidence and the checksum of all logits.
    assert_eq!(*answers.lock().unwrap(), expected);
    let names: Vec<_> = expected
        .iter()
        .map(|answer| answer.recognition.name.as_str())
        .collect();
    assert_eq!(told.into_inner(), names);
    let different: HashSet<_> = expected.iter().map(|answer| answer.logits_crc).collect();
    assert!(different.len() > expected.len() / 2, "the test is too easy");
    let (used, room) = (&last["stack_used"], &last["stack_bytes"]);
    assert!(
        used.as_u64().unwrap() < room.as_u64().unwrap() / 2,
        "{used} of {room}"
    );
}

#[test]
fn a_cortex_m7_answers_as_the_host_does_and_sends_no_pose() {
    answers_as_on_the_host(M7);
}

#[test]
fn a_cortex_m55_answers_as_the_host_does_and_sends_no_pose() {
    answers_as_on_the_host(M55);
}
