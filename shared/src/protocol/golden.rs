//! The bytes of protocol version 1. **Do not change this test**: devices in the field send and expect these bytes.
//! When it fails, a released variant or field was moved; add new variants at the end of their enum instead, and a line here.

extern crate std;

use super::adapt::{AdaptCommand, AdaptReport, Label, Labelled, Serving};
use super::bridge::{Answer, BridgeOutput, BridgeReport, BridgeSettings};
use super::capture::{Capture, WirePose};
use super::deploy::{Chunk, DeltaOffer, Digest, InstallStatus, Kept, Offer, PackOffer, Progress};
use super::error::{PackRole, WireError};
use super::hello::{Hello, VersionRange, Welcome};
use super::telemetry::{Counters, InputCounts, Numbered, Recognition, Subscription};
use super::{DecodeError, Envelope, Event, Message, Request, Response};
use crate::packet::{PACKET_BYTES, PAYLOAD_BYTES};
use crate::topology::TopologyId;
use proptest::prelude::*;
use std::{format, string::String, vec::Vec};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payload(envelope: &Envelope<'_>) -> Vec<u8> {
    postcard::to_slice(envelope, &mut [0; PAYLOAD_BYTES])
        .unwrap()
        .to_vec()
}

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    heapless::String::try_from(text).unwrap()
}

fn examples() -> Vec<(&'static str, Message<'static>)> {
    use Message::{Event as E, Request as Q, Response as R};
    let digest = Digest([0xAB; 32]);
    std::vec![
        (
            "01050000010103302e31",
            Q(Request::Hello(Hello {
                versions: VersionRange {
                    oldest: 1,
                    newest: 1
                },
                software: text("0.1"),
            }))
        ),
        (
            "01050001ababababababababababababababababababababababababababababababababac020700",
            Q(Request::Offer(Offer {
                digest,
                size: 300,
                model: 7,
                topology: TopologyId::Kinect20
            }))
        ),
        (
            "0105000280088486880803616263",
            Q(Request::Chunk(Chunk {
                offset: 1024,
                crc: 0x01020304,
                data: b"abc"
            }))
        ),
        (
            "01050003abababababababababababababababababababababababababababababababab",
            Q(Request::Finish(digest))
        ),
        ("01050004", Q(Request::InstallStatus)),
        ("0105000503", Q(Request::Adapt(AdaptCommand::Undo))),
        ("01050006", Q(Request::Counters)),
        (
            "010500070100e807",
            Q(Request::Subscribe(Subscription {
                recognitions: true,
                changes: false,
                counters_every_ms: 1000
            }))
        ),
        ("01050008", Q(Request::RollBack)),
        (
            "0105010001016403302e310107010180804020",
            R(Response::Welcome(Welcome {
                version: 1,
                device: text("d"),
                software: text("0.1"),
                model: Some(7),
                topology: Some(TopologyId::Ntu25),
                free_bytes: 1 << 20,
                chunks_ahead: 32,
            }))
        ),
        (
            "01050101801005",
            R(Response::Progress(Progress {
                next: 2048,
                ahead: 5
            }))
        ),
        (
            "0105010203070114",
            R(Response::Install(InstallStatus::Trial {
                model: 7,
                healthy: 1,
                needed: 20
            }))
        ),
        (
            "01050103010103000000000000",
            R(Response::Adapt(AdaptReport {
                enabled: true,
                serving: Serving::Adapted,
                updates: 3,
                ..AdaptReport::default()
            }))
        ),
        (
            "010501040100000000000000000000000000000200",
            R(Response::Counters(Counters {
                uptime_ms: 1,
                boots: 2,
                ..Counters::default()
            }))
        ),
        ("01050105", R(Response::Done)),
        (
            "01050106050908",
            R(Response::Error(WireError::OlderVersion {
                floor: 9,
                offered: 8
            }))
        ),
        ("0105010617", R(Response::Error(WireError::Unsupported))),
        (
            "010502002801020373697484070100",
            E(Event::Recognition(Recognition {
                time_ms: 40,
                track: 1,
                class: 2,
                name: text("sit"),
                confidence: 900,
                sure: true,
                serving: Serving::Base,
            }))
        ),
        (
            "010502010000000000000000000000000000000000",
            E(Event::Counters(Counters::default()))
        ),
        (
            "01050202050d",
            E(Event::Install(InstallStatus::Rejected(WireError::Tampered)))
        ),
        (
            "01050203000000000000000000",
            E(Event::Adapt(AdaptReport::default()))
        ),
        (
            "010502040121010102030601ff",
            E(Event::Capture(Capture::Pose(WirePose {
                time_ms: 33,
                track: 1,
                joints: [[1, -2, 3]].into_iter().collect(),
                confidence: [255].into_iter().collect(),
            })))
        ),
        (
            "01050204020122",
            E(Event::Capture(Capture::End {
                track: 1,
                time_ms: 34
            }))
        ),
        (
            "01050005040109",
            Q(Request::Adapt(AdaptCommand::UndoUpdate { to: Some(9) }))
        ),
        (
            "01050009ac0203736974",
            Q(Request::Label(Label {
                window: 300,
                class: text("sit"),
            }))
        ),
        ("0105000a", Q(Request::Inputs)),
        (
            "0105010700ac020203",
            R(Response::Labelled(Labelled::Taken {
                window: 300,
                class: 2,
                named: 3
            }))
        ),
        (
            "010501070101052a",
            R(Response::Labelled(Labelled::UnknownWindow {
                known: Some((5, 42))
            }))
        ),
        (
            "0105010702097369742c2077617665",
            R(Response::Labelled(Labelled::UnknownClass {
                known: text("sit, wave")
            }))
        ),
        ("0105010703", R(Response::Labelled(Labelled::Off))),
        (
            "01050108010307020000000000000000000500000000",
            R(Response::Inputs(InputCounts {
                nameable: Some((3, 7)),
                tracks: 2,
                poor: 5,
                ..InputCounts::default()
            }))
        ),
        (
            "0105000bababababababababababababababababababababababababababababababababac020700cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefc801",
            Q(Request::OfferDelta(DeltaOffer {
                target: Offer {
                    digest,
                    size: 300,
                    model: 7,
                    topology: TopologyId::Kinect20
                },
                base: Digest([0xCD; 32]),
                digest: Digest([0xEF; 32]),
                size: 200,
            }))
        ),
        ("0105010618", R(Response::Error(WireError::OtherBase))),
        ("0105010619", R(Response::Error(WireError::IdentityNeeded))),
        (
            "01050205092801020373697484070100",
            E(Event::Numbered(Numbered {
                window: 9,
                recognition: Recognition {
                    time_ms: 40,
                    track: 1,
                    class: 2,
                    name: text("sit"),
                    confidence: 900,
                    sure: true,
                    serving: Serving::Base,
                },
            }))
        ),
        (
            "0105000c01210a",
            Q(Request::Bridge(BridgeSettings {
                output: BridgeOutput::Poses,
                frame_ms: 33,
                frames: 10,
            }))
        ),
        ("0105000d", Q(Request::BridgeReport)),
        (
            "01050109021e00000501020304060708090a0b0c",
            R(Response::Bridge(BRIDGE))
        ),
        (
            "01050206021e00000501020304060708090a0b0c",
            E(Event::Bridge(BRIDGE))
        ),
        (
            "01050207280102037369748407010084868808",
            E(Event::Answer(Answer {
                recognition: Recognition {
                    time_ms: 40,
                    track: 1,
                    class: 2,
                    name: text("sit"),
                    confidence: 900,
                    sure: true,
                    serving: Serving::Base,
                },
                logits_crc: 0x01020304,
            }))
        ),
        (
            "0105000eababababababababababababababababababababababababababababababababac02",
            Q(Request::OfferPack(PackOffer { digest, size: 300 }))
        ),
        (
            "010501020600",
            R(Response::Install(InstallStatus::Kept(Kept::NothingOffered)))
        ),
        (
            "01050102060103ac02",
            R(Response::Install(InstallStatus::Kept(Kept::NothingNewer {
                offered: 3,
                floor: 300
            })))
        ),
        (
            "01050202060207",
            E(Event::Install(InstallStatus::Kept(Kept::ClockUnset {
                model: 7
            })))
        ),
        ("010501061a", R(Response::Error(WireError::NoRoot))),
        ("010501061b", R(Response::Error(WireError::NotAPack))),
        (
            "01050102051c03",
            R(Response::Install(InstallStatus::Rejected(
                WireError::Unsigned {
                    role: PackRole::Targets
                }
            )))
        ),
        (
            "01050102051d010908",
            R(Response::Install(InstallStatus::Rejected(
                WireError::RolledBack {
                    role: PackRole::Timestamp,
                    floor: 9,
                    found: 8
                }
            )))
        ),
        (
            "01050102051e02",
            R(Response::Install(InstallStatus::Rejected(
                WireError::Expired {
                    role: PackRole::Snapshot
                }
            )))
        ),
        ("010501061f", R(Response::Error(WireError::PackRefused))),
    ]
}

const BRIDGE: BridgeReport = BridgeReport {
    settings: BridgeSettings {
        output: BridgeOutput::Answers,
        frame_ms: 30,
        frames: 0,
    },
    topology: TopologyId::Kinect20,
    classes: 5,
    uptime_ms: 1,
    frames: 2,
    sent: 3,
    sensor_errors: 4,
    configured: 6,
    bad_packets: 7,
    refused: 8,
    overruns: 9,
    stack_bytes: 10,
    stack_used: 11,
    window_ms: 12,
};

#[test]
fn golden_messages_of_version_1() {
    for (golden, message) in examples() {
        let bytes = payload(&Envelope::new(5, message.clone()));
        assert_eq!(hex(&bytes), golden, "{message:?}");
        assert_eq!(Envelope::decode(&bytes).unwrap(), Envelope::new(5, message));
    }
}

#[test]
fn the_largest_chunk_fits_into_a_packet() {
    let data = [0xFF; super::deploy::CHUNK_BYTES];
    let message = Message::Request(Request::Chunk(Chunk {
        offset: u32::MAX,
        crc: u32::MAX,
        data: &data,
    }));
    let mut out = [0; PACKET_BYTES];
    assert!(Envelope::new(u32::MAX, message).encode(&mut out).is_ok());
}

#[test]
fn another_version_is_told_apart_from_garbage() {
    assert_eq!(
        Envelope::decode(&[9, 1, 2]),
        Err(DecodeError::Version { got: 9 })
    );
    assert_eq!(Envelope::decode(&[1, 1, 77]), Err(DecodeError::Malformed));
    assert_eq!(Envelope::decode(&[]), Err(DecodeError::Malformed));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _ = Envelope::decode(&bytes);
    }

    #[test]
    fn decoding_undoes_encoding(id: u32, offset: u32, crc: u32, data in proptest::collection::vec(any::<u8>(), 0..1024)) {
        let envelope = Envelope::new(id, Message::Request(Request::Chunk(Chunk { offset, crc, data: &data })));
        let bytes = payload(&envelope);
        prop_assert_eq!(Envelope::decode(&bytes).unwrap(), envelope);
    }
}
