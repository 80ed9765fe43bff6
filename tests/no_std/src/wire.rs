//! A message into a packet and back, byte by byte, and a step of the install state machine.

use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::hello::{Hello, VersionRange};
use tendon_shared::protocol::{Envelope, Message, Request};
use tendon_shared::slot::{SlotEvent, Slots};

/// Whether a message survives the way through a packet.
pub fn touch() -> bool {
    let hello = Hello {
        versions: VersionRange::OURS,
        software: heapless::String::new(),
    };
    let sent = Envelope::new(7, Message::Request(Request::Hello(hello)));
    let mut packet = [0; PACKET_BYTES];
    let Ok(length) = sent.encode(&mut packet) else {
        return false;
    };
    let mut decoder = Decoder::new();
    let arrived = packet.into_iter().take(length).any(|byte| {
        let Some(Ok(payload)) = decoder.push(byte) else {
            return false;
        };
        Envelope::decode(payload).is_ok_and(|envelope| envelope == sent)
    });
    arrived && Slots::default().apply(SlotEvent::Begin).is_ok()
}
