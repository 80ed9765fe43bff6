//! The bridge itself: takes bytes from the line and frames from the sensor, gives packets for the line.
//!
//! It answers every request with one response, as any device does. Until it was told how to work it sends nothing but its report, once
//! a second, so that whoever opens the line later finds out that it is there. Time is an argument, and the board's own figures come
//! with each call.

use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::bridge::{Answer, BridgeOutput, BridgeReport, BridgeSettings};
use tendon_shared::protocol::capture::Capture;
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::VersionRange;
use tendon_shared::protocol::{DecodeError, Envelope, Event, Message, Request, Response};

use crate::sensor::Sensor;

/// Time between two reports while nobody has told the bridge what to do, in ms.
const HELLO_MS: u64 = 1000;

/// What only the board knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Time since the start, in ms.
    pub uptime_ms: u64,
    /// Bytes that came faster than they could be taken, and were lost.
    pub overruns: u32,
    /// Memory that the stack may use, in bytes.
    pub stack_bytes: u32,
    /// The most that the stack has used, in bytes.
    pub stack_used: u32,
}

/// A board: its clock and its figures.
pub trait Board {
    /// Time since the start, in ms.
    fn now_ms(&self) -> u64;
    /// Everything that the board knows of itself; may take a while.
    fn gauges(&self) -> Gauges;
}

/// What turns poses into answers.
pub trait Recognise {
    /// How many classes it tells apart; 0 when it cannot answer at all.
    fn classes(&self) -> u16;
    /// Takes what the sensor saw; gives the answer when it completes a window.
    fn take(&mut self, capture: &Capture) -> Option<Answer>;
}

/// An image without an encoder: the bridge sends poses only.
#[derive(Debug, Clone, Copy)]
pub struct NoEncoder;

impl Recognise for NoEncoder {
    fn classes(&self) -> u16 {
        0
    }

    fn take(&mut self, _: &Capture) -> Option<Answer> {
        None
    }
}

/// An encoder that may have turned out not to fit this image.
impl<R: Recognise> Recognise for Option<R> {
    fn classes(&self) -> u16 {
        self.as_ref().map_or(0, R::classes)
    }

    fn take(&mut self, capture: &Capture) -> Option<Answer> {
        self.as_mut()?.take(capture)
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    frames: u64,
    sent: u64,
    sensor_errors: u32,
    configured: u32,
    bad_packets: u32,
    refused: u32,
    window_ms: u32,
}

/// A bridge between a sensor and a line.
#[derive(Debug)]
pub struct Bridge<S, R> {
    sensor: S,
    recogniser: R,
    settings: BridgeSettings,
    /// Frames since the settings were taken.
    given: u32,
    next_frame_ms: u64,
    next_hello_ms: u64,
    /// Whether the sensor's skeleton was told since the settings were taken.
    introduced: bool,
    counts: Counts,
    events: u32,
    decoder: Decoder,
    out: [u8; PACKET_BYTES],
}

impl<S: Sensor, R: Recognise> Bridge<S, R> {
    /// A bridge that waits to be told what to do.
    pub fn new(sensor: S, recogniser: R) -> Self {
        Self {
            sensor,
            recogniser,
            settings: BridgeSettings::default(),
            given: 0,
            next_frame_ms: 0,
            next_hello_ms: 0,
            introduced: false,
            counts: Counts::default(),
            events: 0,
            decoder: Decoder::new(),
            out: [0; PACKET_BYTES],
        }
    }

    /// Takes a byte from the line; gives the packet to send when it completes a request. No bytes can make it panic or stop.
    pub fn receive(&mut self, byte: u8, board: &impl Board) -> Option<&[u8]> {
        let (id, request) = match self.decoder.push(byte)? {
            Err(_) => {
                self.counts.bad_packets = self.counts.bad_packets.wrapping_add(1);
                return None;
            }
            Ok(payload) => match Envelope::decode(payload) {
                Ok(Envelope {
                    id,
                    message: Message::Request(request),
                    ..
                }) => (id, Wanted::from(request)),
                // Responses and events are not for a bridge, and nobody waits for an answer to them.
                Ok(_) => {
                    self.counts.refused = self.counts.refused.wrapping_add(1);
                    return None;
                }
                Err(DecodeError::Malformed) => (0, Wanted::Refuse(WireError::Malformed)),
                Err(DecodeError::Version { .. }) => (
                    0,
                    Wanted::Refuse(WireError::UnsupportedVersion {
                        oldest: VersionRange::OURS.oldest,
                        newest: VersionRange::OURS.newest,
                    }),
                ),
            },
        };
        let response = match self.act(request, board) {
            Ok(()) => Response::Bridge(self.report(board)),
            Err(error) => {
                self.counts.refused = self.counts.refused.wrapping_add(1);
                Response::Error(error)
            }
        };
        self.pack(id, Message::Response(response))
    }

    /// Gives the next packet that is due: a pose, an answer, or the report of a bridge that waits. Call it again at once while it
    /// gives packets, or when [`Self::busy`] says so; else after the next interrupt.
    pub fn step(&mut self, board: &impl Board) -> Option<&[u8]> {
        let now = board.now_ms();
        if self.counts.configured == 0 {
            if now < self.next_hello_ms {
                return None;
            }
            self.next_hello_ms = now + HELLO_MS;
            let report = self.report(board);
            return self.event(Event::Bridge(report));
        }
        if self.settings.output == BridgeOutput::Nothing {
            return None;
        }
        if self.settings.output == BridgeOutput::Poses && !self.introduced {
            self.introduced = true;
            let source = Capture::Source(self.sensor.topology());
            return self.event(Event::Capture(source));
        }
        let rests = self.settings.frames != 0 && self.given >= self.settings.frames;
        if rests || now < self.next_frame_ms {
            return None;
        }
        self.next_frame_ms =
            self.next_frame_ms.max(now.saturating_sub(1000)) + u64::from(self.settings.frame_ms);
        let seen = match self.sensor.read() {
            Ok(seen) => seen?,
            Err(_) => {
                self.counts.sensor_errors = self.counts.sensor_errors.wrapping_add(1);
                return None;
            }
        };
        if matches!(seen, Capture::Pose(_)) {
            self.counts.frames += 1;
            self.given = self.given.saturating_add(1);
        }
        if self.settings.output == BridgeOutput::Answers {
            let answer = self.recognise(&seen, board)?;
            self.counts.sent += 1;
            return self.event(Event::Answer(answer));
        }
        self.counts.sent += u64::from(matches!(seen, Capture::Pose(_)));
        self.event(Event::Capture(seen))
    }

    /// Whether [`Self::step`] has work although it gave no packet: frames go into a window without an answer each.
    pub fn busy(&self) -> bool {
        let works = self.counts.configured > 0 && self.settings.output != BridgeOutput::Nothing;
        works
            && self.settings.frame_ms == 0
            && (self.settings.frames == 0 || self.given < self.settings.frames)
    }

    fn recognise(&mut self, seen: &Capture, board: &impl Board) -> Option<Answer> {
        let started = board.now_ms();
        let answer = self.recogniser.take(seen)?;
        let spent = board.now_ms().saturating_sub(started);
        self.counts.window_ms = u32::try_from(spent).unwrap_or(u32::MAX);
        Some(answer)
    }

    fn act(&mut self, wanted: Wanted, board: &impl Board) -> Result<(), WireError> {
        match wanted {
            Wanted::Report => Ok(()),
            Wanted::Refuse(error) => Err(error),
            Wanted::Configure(settings) => {
                if settings.output == BridgeOutput::Answers && self.recogniser.classes() == 0 {
                    return Err(WireError::NoModel);
                }
                // A repeated request changes nothing.
                if self.counts.configured > 0 && settings == self.settings {
                    return Ok(());
                }
                self.settings = settings;
                self.given = 0;
                self.introduced = false;
                self.next_frame_ms = board.now_ms();
                self.counts.configured = self.counts.configured.wrapping_add(1);
                Ok(())
            }
        }
    }

    fn report(&self, board: &impl Board) -> BridgeReport {
        let Gauges {
            uptime_ms,
            overruns,
            stack_bytes,
            stack_used,
        } = board.gauges();
        BridgeReport {
            settings: self.settings,
            topology: self.sensor.topology(),
            classes: self.recogniser.classes(),
            uptime_ms,
            frames: self.counts.frames,
            sent: self.counts.sent,
            sensor_errors: self.counts.sensor_errors,
            configured: self.counts.configured,
            bad_packets: self.counts.bad_packets,
            refused: self.counts.refused,
            overruns,
            stack_bytes,
            stack_used,
            window_ms: self.counts.window_ms,
        }
    }

    fn event(&mut self, event: Event) -> Option<&[u8]> {
        self.events = self.events.wrapping_add(1);
        self.pack(self.events, Message::Event(event))
    }

    /// The packet of a message; none when it does not fit, which no message of a bridge can bring about.
    fn pack(&mut self, id: u32, message: Message<'_>) -> Option<&[u8]> {
        let length = Envelope::new(id, message).encode(&mut self.out).ok()?;
        self.out.get(..length)
    }
}

/// What a request means to a bridge.
enum Wanted {
    Configure(BridgeSettings),
    Report,
    Refuse(WireError),
}

impl From<Request<'_>> for Wanted {
    fn from(request: Request<'_>) -> Self {
        match request {
            Request::Bridge(settings) => Self::Configure(settings),
            Request::BridgeReport => Self::Report,
            Request::Hello(_)
            | Request::Offer(_)
            | Request::Chunk(_)
            | Request::Finish(_)
            | Request::InstallStatus
            | Request::Adapt(_)
            | Request::Counters
            | Request::Subscribe(_)
            | Request::RollBack
            | Request::Label(_)
            | Request::Inputs
            | Request::OfferDelta(_)
            | Request::OfferPack(_) => Self::Refuse(WireError::Unsupported),
        }
    }
}
