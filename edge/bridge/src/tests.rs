//! The bridge on any machine: what it answers, what it sends, and that nothing on the line stops it.

use std::cell::Cell;
use std::vec::Vec;

use proptest::prelude::*;
use tendon_shared::packet::{self, Decoder, PACKET_BYTES};
use tendon_shared::protocol::bridge::{BridgeOutput, BridgeReport, BridgeSettings};
use tendon_shared::protocol::capture::Capture;
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::{Envelope, Event, Message, Request, Response};

use crate::bridge::{Board, Bridge, Gauges, NoEncoder};
use crate::sensor::{Sensor, SensorError};
use crate::simulated::{Simulated, TRACK_FRAMES};
use tendon_shared::topology::TopologyId;

/// A board whose clock stands where it is put.
#[derive(Default)]
struct Desk {
    now_ms: Cell<u64>,
}

impl Board for Desk {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            uptime_ms: self.now_ms.get(),
            stack_bytes: 1000,
            stack_used: 10,
            overruns: 0,
        }
    }
}

const POSES: BridgeSettings = BridgeSettings {
    output: BridgeOutput::Poses,
    frame_ms: 0,
    frames: 0,
};

fn packed(message: Message<'_>) -> Vec<u8> {
    let mut out = [0; PACKET_BYTES];
    let length = Envelope::new(9, message).encode(&mut out).unwrap();
    out[..length].to_vec()
}

/// What is in a packet of the bridge.
fn unpacked(packet: &[u8]) -> (u32, Result<Response, Event>) {
    let mut decoder = Decoder::new();
    for byte in packet {
        if let Some(payload) = decoder.push(*byte) {
            let envelope = Envelope::decode(payload.unwrap()).unwrap();
            return match envelope.message {
                Message::Response(response) => (envelope.id, Ok(response)),
                Message::Event(event) => (envelope.id, Err(event)),
                Message::Request(_) => panic!("a bridge asks nothing"),
            };
        }
    }
    panic!("no packet")
}

fn send<S: Sensor>(bridge: &mut Bridge<S, NoEncoder>, bytes: &[u8], desk: &Desk) -> Vec<Response> {
    let mut answers = Vec::new();
    for byte in bytes {
        if let Some(packet) = bridge.receive(*byte, desk) {
            answers.push(unpacked(packet).1.unwrap());
        }
    }
    answers
}

fn ask<S: Sensor>(
    bridge: &mut Bridge<S, NoEncoder>,
    request: Request<'_>,
    desk: &Desk,
) -> Response {
    let mut answers = send(bridge, &packed(Message::Request(request)), desk);
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn report<S: Sensor>(bridge: &mut Bridge<S, NoEncoder>, desk: &Desk) -> BridgeReport {
    let Response::Bridge(report) = ask(bridge, Request::BridgeReport, desk) else {
        panic!("no report")
    };
    report
}

fn step<S: Sensor>(bridge: &mut Bridge<S, NoEncoder>, desk: &Desk) -> Option<Event> {
    bridge
        .step(desk)
        .map(|packet| unpacked(packet).1.unwrap_err())
}

#[test]
fn says_that_it_is_there_until_it_is_told_what_to_do() {
    let (mut bridge, desk) = (
        Bridge::new(Simulated::default(), NoEncoder),
        Desk::default(),
    );
    assert!(matches!(step(&mut bridge, &desk), Some(Event::Bridge(_))));
    assert_eq!(step(&mut bridge, &desk), None);
    desk.now_ms.set(1000);
    assert!(matches!(step(&mut bridge, &desk), Some(Event::Bridge(_))));
    let quiet = BridgeSettings::default();
    ask(&mut bridge, Request::Bridge(quiet), &desk);
    desk.now_ms.set(9000);
    assert_eq!(step(&mut bridge, &desk), None);
}

#[test]
fn sends_as_many_poses_as_wanted_in_their_time() {
    let (mut bridge, desk) = (
        Bridge::new(Simulated::default(), NoEncoder),
        Desk::default(),
    );
    let settings = BridgeSettings {
        frame_ms: 40,
        frames: 2,
        ..POSES
    };
    let Response::Bridge(told) = ask(&mut bridge, Request::Bridge(settings), &desk) else {
        panic!()
    };
    assert_eq!((told.settings, told.configured), (settings, 1));
    let source = Event::Capture(Capture::Source(TopologyId::Kinect20));
    assert_eq!(step(&mut bridge, &desk), Some(source));
    let pose = |frame| Some(Event::Capture(Capture::Pose(Simulated::pose(frame))));
    assert_eq!(step(&mut bridge, &desk), pose(0));
    assert_eq!(step(&mut bridge, &desk), None);
    desk.now_ms.set(40);
    assert_eq!(step(&mut bridge, &desk), pose(1));
    desk.now_ms.set(80);
    assert_eq!(step(&mut bridge, &desk), None);
    let report = report(&mut bridge, &desk);
    assert_eq!((report.frames, report.sent, report.uptime_ms), (2, 2, 80));
}

#[test]
fn says_when_a_person_is_gone() {
    let (mut bridge, desk) = (
        Bridge::new(Simulated::default(), NoEncoder),
        Desk::default(),
    );
    ask(&mut bridge, Request::Bridge(POSES), &desk);
    let mut ended = Vec::new();
    for _ in 0..2 * TRACK_FRAMES + 5 {
        if let Some(Event::Capture(Capture::End { track, .. })) = step(&mut bridge, &desk) {
            ended.push(track);
        }
    }
    assert_eq!(ended, [1, 2]);
}

#[test]
fn refuses_what_it_cannot_do_and_goes_on() {
    let (mut bridge, desk) = (
        Bridge::new(Simulated::default(), NoEncoder),
        Desk::default(),
    );
    let unsupported = Response::Error(WireError::Unsupported);
    assert_eq!(ask(&mut bridge, Request::Counters, &desk), unsupported);
    let answers = BridgeSettings {
        output: BridgeOutput::Answers,
        ..POSES
    };
    let no_model = Response::Error(WireError::NoModel);
    assert_eq!(ask(&mut bridge, Request::Bridge(answers), &desk), no_model);
    let mut nonsense = [0; PACKET_BYTES];
    let length = packet::encode(&[1, 1, 99], &mut nonsense).unwrap();
    let malformed = Response::Error(WireError::Malformed);
    assert_eq!(send(&mut bridge, &nonsense[..length], &desk), [malformed]);
    let report = report(&mut bridge, &desk);
    assert_eq!((report.refused, report.configured), (3, 0));
}

#[test]
fn counts_a_sensor_that_fails_and_reads_on() {
    struct Flaky(Simulated, bool);
    impl Sensor for Flaky {
        fn topology(&self) -> TopologyId {
            self.0.topology()
        }

        fn read(&mut self) -> Result<Option<Capture>, SensorError> {
            self.1 = !self.1;
            if self.1 {
                Err(SensorError)
            } else {
                self.0.read()
            }
        }
    }
    let desk = Desk::default();
    let mut bridge = Bridge::new(Flaky(Simulated::default(), false), NoEncoder);
    ask(&mut bridge, Request::Bridge(POSES), &desk);
    let poses = (0..9).filter_map(|_| step(&mut bridge, &desk)).count();
    assert_eq!(poses, 1 + 4);
    assert_eq!(report(&mut bridge, &desk).sensor_errors, 4);
}

proptest! {
    #[test]
    fn any_bytes_never_stop_it(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..4000)) {
        let (mut bridge, desk) = (Bridge::new(Simulated::default(), NoEncoder), Desk::default());
        for byte in bytes {
            bridge.receive(byte, &desk);
            bridge.step(&desk);
        }
        // The end of whatever began.
        bridge.receive(0, &desk);
        prop_assert_eq!(report(&mut bridge, &desk).configured, 0);
        ask(&mut bridge, Request::Bridge(POSES), &desk);
        prop_assert_eq!(report(&mut bridge, &desk).configured, 1);
    }

    #[test]
    fn the_simulated_person_stays_a_person(frame in 0..10_000_000u64) {
        let pose = Simulated::pose(frame);
        prop_assert!(pose.joints.iter().flatten().all(|value| value.unsigned_abs() < 4000));
        prop_assert_eq!(pose.confidence.len(), pose.joints.len());
    }
}
