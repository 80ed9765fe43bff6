//! A pose bridge at the end of a serial line: a microcontroller beside the sensor (`edge/firmware`).
//!
//! The device is the one who asks here: it tells the bridge how to work until the bridge says that it does, asks for a report now and
//! then, and tells it anew when it has started anew. Poses and answers go to the pipeline like those of any source.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::bridge::{BridgeOutput, BridgeReport, BridgeSettings};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::{Envelope, Event as WireEvent, Message, Request, Response};
use tokio::time::{MissedTickBehavior, interval};

use super::Event;
use super::counters::Counters;
use super::reader::{Overflow, forward};
use super::source::Inlet;
use crate::transport::Wire;

/// Time between two looks at whether something has to be asked.
const TICK: Duration = Duration::from_millis(500);

/// Ticks of silence after which the bridge is told even though it was never heard: some chips mind bytes that come before they are ready.
const SILENT_TICKS: u32 = 10;

/// Reports asked for in vain after which the bridge is told anew.
const UNANSWERED: u32 = 3;

/// The `[bridge]` section of `configs/edge.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeConfig {
    /// What it sends.
    pub output: BridgeOutput,
    /// Time between two frames, in ms; 0: as fast as sensor and line can.
    pub frame_ms: u16,
    /// Frames after which it rests; 0: never.
    pub frames: u32,
    /// Time between two reports, in s; 0: none is asked for.
    pub report_s: u32,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            output: BridgeOutput::Poses,
            frame_ms: 33,
            frames: 0,
            report_s: 60,
        }
    }
}

/// What was heard of a bridge.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Something for the pipeline.
    Event(Event),
    /// A packet that arrived broken, or is none of a bridge's.
    Broken,
    /// The bridge does not do what it was told.
    Refused(WireError),
}

/// One bridge as the device sees it. No clock: [`Self::tick`] is called every half second.
#[derive(Debug)]
pub struct Keeper {
    config: BridgeConfig,
    decoder: Decoder,
    /// Id of the last request.
    id: u32,
    /// Whether anything whole has come.
    heard: bool,
    /// Whether it works as it was told.
    settled: bool,
    /// Reports asked for since the last one came.
    unanswered: u32,
    /// Ticks since something was asked, or while nothing is heard.
    ticks: u32,
}

impl Keeper {
    /// A bridge that has not been heard of.
    #[must_use]
    pub fn new(config: BridgeConfig) -> Self {
        Self {
            config,
            decoder: Decoder::new(),
            id: 0,
            heard: false,
            settled: false,
            unanswered: 0,
            ticks: 0,
        }
    }

    fn settings(&self) -> BridgeSettings {
        BridgeSettings {
            output: self.config.output,
            frame_ms: self.config.frame_ms,
            frames: self.config.frames,
        }
    }

    /// Takes a byte from the line.
    pub fn take(&mut self, byte: u8) -> Option<Heard> {
        let Ok(payload) = self.decoder.push(byte)? else {
            return Some(Heard::Broken);
        };
        let Ok(Envelope { id, message, .. }) = Envelope::decode(payload) else {
            return Some(Heard::Broken);
        };
        let event = match message {
            Message::Event(WireEvent::Capture(capture)) => capture.into(),
            Message::Event(WireEvent::Answer(answer)) => {
                Event::Answer(Box::new(answer.recognition))
            }
            Message::Event(WireEvent::Bridge(report))
            | Message::Response(Response::Bridge(report)) => self.report(report),
            Message::Response(Response::Error(error)) => {
                return (id == self.id).then_some(Heard::Refused(error));
            }
            Message::Request(_) | Message::Response(_) | Message::Event(_) => {
                return Some(Heard::Broken);
            }
        };
        self.heard = true;
        Some(Heard::Event(event))
    }

    fn report(&mut self, report: BridgeReport) -> Event {
        self.unanswered = 0;
        self.settled = report.configured > 0 && report.settings == self.settings();
        Event::Bridge(Box::new(report))
    }

    /// Half a second has passed: gives the packet to send, if one is due.
    pub fn tick(&mut self) -> Option<Vec<u8>> {
        self.ticks += 1;
        if !self.settled {
            if !self.heard && self.ticks < SILENT_TICKS {
                return None;
            }
            self.ticks = 0;
            return self.ask(Request::Bridge(self.settings()));
        }
        let due = u64::from(self.config.report_s) * 1000 / TICK.as_millis() as u64;
        if due == 0 || u64::from(self.ticks) < due {
            return None;
        }
        self.ticks = 0;
        self.unanswered += 1;
        if self.unanswered > UNANSWERED {
            (self.heard, self.settled) = (false, false);
            return None;
        }
        self.ask(Request::BridgeReport)
    }

    fn ask(&mut self, request: Request<'_>) -> Option<Vec<u8>> {
        self.id = self.id.wrapping_add(1);
        let mut out = vec![0; PACKET_BYTES];
        let envelope = Envelope::new(self.id, Message::Request(request));
        let length = envelope.encode(&mut out).ok()?;
        out.truncate(length);
        Some(out)
    }
}

/// Talks with the bridge at the other end of `wire` until the line is gone.
pub async fn talk(mut wire: Wire, inlet: Inlet) {
    let mut keeper = Keeper::new(inlet.bridge);
    let mut ticker = interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refused = None;
    loop {
        let bytes = tokio::select! {
            bytes = wire.incoming.recv() => bytes,
            _ = ticker.tick() => {
                // A line that takes nothing at the moment is asked again later.
                if let Some(packet) = keeper.tick() {
                    let _ = wire.outgoing.try_send(packet);
                }
                continue;
            }
        };
        let Some(bytes) = bytes else { return };
        for byte in bytes {
            let event = match keeper.take(byte) {
                None => continue,
                Some(Heard::Event(event)) => event,
                Some(Heard::Broken) => {
                    Counters::add(&inlet.counters.broken, 1);
                    continue;
                }
                Some(Heard::Refused(error)) => {
                    if refused.replace(error) != Some(error) {
                        (inlet.log)(&format!("the pose bridge refuses [bridge]: {error}"));
                    }
                    continue;
                }
            };
            if !forward(event, &inlet, Overflow::DropPoses).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tendon_shared::protocol::adapt::Serving;
    use tendon_shared::protocol::bridge::Answer;
    use tendon_shared::protocol::capture::Capture;
    use tendon_shared::protocol::telemetry::Recognition;
    use tendon_shared::topology::TopologyId;

    fn packet(id: u32, message: Message<'_>) -> Vec<u8> {
        let mut out = vec![0; PACKET_BYTES];
        let length = Envelope::new(id, message).encode(&mut out).unwrap();
        out.truncate(length);
        out
    }

    fn hear(keeper: &mut Keeper, message: Message<'_>) -> Vec<Heard> {
        let id = keeper.id;
        packet(id, message)
            .into_iter()
            .filter_map(|byte| keeper.take(byte))
            .collect()
    }

    fn report(settings: BridgeSettings, configured: u32) -> BridgeReport {
        BridgeReport {
            settings,
            topology: TopologyId::Kinect20,
            classes: 0,
            uptime_ms: 5,
            frames: 0,
            sent: 0,
            sensor_errors: 0,
            configured,
            bad_packets: 0,
            refused: 0,
            overruns: 0,
            stack_bytes: 9,
            stack_used: 1,
            window_ms: 0,
        }
    }

    /// What the keeper asks at the next tick.
    fn asked(keeper: &mut Keeper) -> Option<String> {
        let bytes = keeper.tick()?;
        let mut decoder = Decoder::new();
        bytes.iter().find_map(|byte| {
            let payload = decoder.push(*byte)?.unwrap();
            let message = Envelope::decode(payload).unwrap().message;
            Some(format!("{message:?}").chars().take(20).collect())
        })
    }

    const SETTINGS: &str = "Request(Bridge(Bridg";
    const REPORT: &str = "Request(BridgeReport";

    fn config() -> BridgeConfig {
        BridgeConfig {
            report_s: 1,
            ..BridgeConfig::default()
        }
    }

    #[test]
    fn a_bridge_is_told_until_it_works_so_and_again_when_it_started_anew() {
        let mut keeper = Keeper::new(config());
        assert_eq!(asked(&mut keeper), None);
        let begun = report(BridgeSettings::default(), 0);
        hear(&mut keeper, Message::Event(WireEvent::Bridge(begun)));
        assert_eq!(asked(&mut keeper).as_deref(), Some(SETTINGS));
        assert_eq!(asked(&mut keeper).as_deref(), Some(SETTINGS));
        let works = report(keeper.settings(), 1);
        hear(&mut keeper, Message::Response(Response::Bridge(works)));
        assert_eq!(asked(&mut keeper), None);
        assert_eq!(asked(&mut keeper).as_deref(), Some(REPORT));
        hear(&mut keeper, Message::Event(WireEvent::Bridge(begun)));
        assert_eq!(asked(&mut keeper).as_deref(), Some(SETTINGS));
    }

    #[test]
    fn a_silent_bridge_is_told_after_a_while() {
        let mut keeper = Keeper::new(config());
        let waited = (0..).position(|_| asked(&mut keeper).is_some());
        assert_eq!(waited, Some(SILENT_TICKS as usize - 1));
        // It works, then goes silent: three reports are asked for, then it is told anew.
        let works = report(keeper.settings(), 1);
        hear(&mut keeper, Message::Response(Response::Bridge(works)));
        let asked: Vec<_> = (0..20).filter_map(|_| asked(&mut keeper)).collect();
        assert_eq!(asked, [REPORT, REPORT, REPORT, SETTINGS]);
    }

    #[test]
    fn poses_answers_and_reports_reach_the_pipeline() {
        let mut keeper = Keeper::new(config());
        let end = Capture::End {
            track: 3,
            time_ms: 9,
        };
        let heard = hear(&mut keeper, Message::Event(WireEvent::Capture(end.clone())));
        assert_eq!(heard, [Heard::Event(end.into())]);
        let recognition = Recognition {
            time_ms: 1,
            track: 2,
            class: 0,
            name: heapless::String::try_from("sit").unwrap(),
            confidence: 800,
            sure: true,
            serving: Serving::Base,
        };
        let answer = Answer {
            recognition: recognition.clone(),
            logits_crc: 5,
        };
        let heard = hear(&mut keeper, Message::Event(WireEvent::Answer(answer)));
        assert_eq!(heard, [Heard::Event(Event::Answer(Box::new(recognition)))]);
        let error = Message::Response(Response::Error(WireError::NoModel));
        assert_eq!(
            hear(&mut keeper, error),
            [Heard::Refused(WireError::NoModel)]
        );
        let request = Message::Request(Request::Counters);
        assert_eq!(hear(&mut keeper, request), [Heard::Broken]);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..2000)) {
            let mut keeper = Keeper::new(config());
            for byte in bytes {
                if let Some(heard) = keeper.take(byte) {
                    prop_assert_eq!(heard, Heard::Broken);
                }
            }
        }
    }
}
