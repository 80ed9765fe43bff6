//! Messages between a host, an edge device and the microcontroller at the end of its serial line.
//!
//! One payload of [`crate::packet`] is one [`Envelope`]: a version, an id and a typed request, response or event, in postcard.
//! The id of a response is that of its request, so that a repeated request is recognised and late answers find their place.
//! Everything borrows from the packet or has a fixed size.
//!
//! **Wire enums grow only at the end**, and fields are never added to a released variant: a new variant is. The golden bytes
//! in the tests hold this. No message about recognition has a type that can hold a coordinate (see [`telemetry`]); coordinates
//! travel in [`capture`] only, and only towards a device.

pub mod adapt;
pub mod bridge;
pub mod capture;
pub mod deploy;
pub mod error;
pub mod hello;
pub mod telemetry;

#[cfg(test)]
mod golden;

use core::fmt;
use serde::{Deserialize, Serialize};

use crate::packet::{self, PAYLOAD_BYTES, PacketError};
use adapt::{AdaptCommand, AdaptReport, Label, Labelled};
use bridge::{Answer, BridgeReport, BridgeSettings};
use capture::Capture;
use deploy::{Chunk, DeltaOffer, Digest, InstallStatus, Offer, PackOffer, Progress};
use error::WireError;
use hello::{Hello, Welcome};
use telemetry::{Counters, InputCounts, Numbered, Recognition, Subscription};

/// The newest protocol version that this code speaks.
pub const VERSION: u8 = 1;

/// The oldest protocol version that this code speaks.
pub const OLDEST_VERSION: u8 = 1;

/// What one packet carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// Protocol version of `message`; always the first byte of a payload.
    pub version: u8,
    /// Chosen by whoever asks; a response repeats it, an event counts its own.
    pub id: u32,
    /// The message.
    #[serde(borrow)]
    pub message: Message<'a>,
}

/// A request, a response or an event.
#[expect(
    clippy::large_enum_variant,
    reason = "no allocation: messages have a fixed size"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// Asks the peer for something; answered with exactly one response of the same id.
    #[serde(borrow)]
    Request(Request<'a>),
    /// The answer to a request.
    Response(Response),
    /// News that nobody answers.
    Event(Event),
}

/// What a host may ask of a device. Every request may be repeated: the second one changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Opens a session; answered with [`Response::Welcome`].
    Hello(Hello),
    /// Announces a bundle; answered with [`Response::Progress`]: what the device has of it already.
    Offer(Offer),
    /// Carries a piece of the bundle; answered with [`Response::Progress`].
    #[serde(borrow)]
    Chunk(Chunk<'a>),
    /// Says that all chunks were sent; answered with [`Response::Install`].
    Finish(Digest),
    /// Asks how the installation goes; answered with [`Response::Install`].
    InstallStatus,
    /// Asks about adaptation or commands it; answered with [`Response::Adapt`].
    Adapt(AdaptCommand),
    /// Asks for the counters; answered with [`Response::Counters`].
    Counters,
    /// Chooses the events that this connection carries; answered with [`Response::Done`].
    Subscribe(Subscription),
    /// Gives up the confirmed bundle for the one before it; answered with [`Response::Install`].
    RollBack,
    /// Says what a window shows; answered with [`Response::Labelled`].
    Label(Label),
    /// Asks what the input was like; answered with [`Response::Inputs`].
    Inputs,
    /// Announces a bundle by its difference from the one that serves; answered with [`Response::Progress`]: what the device has of the
    /// difference already. Chunks and [`Request::Finish`] with the bundle's digest follow, as after [`Request::Offer`].
    OfferDelta(DeltaOffer),
    /// Tells a pose bridge how to work; answered with [`Response::Bridge`].
    Bridge(BridgeSettings),
    /// Asks a pose bridge about itself; answered with [`Response::Bridge`].
    BridgeReport,
    /// Announces a repository in one file; answered with [`Response::Progress`]: what the device has of it already. Chunks and
    /// [`Request::Finish`] with the pack's digest follow, as after [`Request::Offer`]. Devices from before packs answer
    /// [`WireError::Malformed`], others that take none [`WireError::Unsupported`].
    OfferPack(PackOffer),
}

/// The answer to a request.
#[expect(
    clippy::large_enum_variant,
    reason = "no allocation: messages have a fixed size"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// The session is open.
    Welcome(Welcome),
    /// What the device has of a bundle.
    Progress(Progress),
    /// How the installation goes.
    Install(InstallStatus),
    /// The state of adaptation.
    Adapt(AdaptReport),
    /// Counters since the device started.
    Counters(Counters),
    /// Done; there is nothing to say about it.
    Done,
    /// Not done; the error says what to do next.
    Error(WireError),
    /// What became of a label.
    Labelled(Labelled),
    /// What the input was like.
    Inputs(InputCounts),
    /// How a pose bridge is and works.
    Bridge(BridgeReport),
}

/// News that nobody answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The device recognised an action.
    Recognition(Recognition),
    /// Counters, at the interval that was subscribed to.
    Counters(Counters),
    /// The installation went a step further.
    Install(InstallStatus),
    /// Adaptation changed its state.
    Adapt(AdaptReport),
    /// A pose, from a pose source to a device; devices never send it.
    Capture(Capture),
    /// The device recognised an action in a window that can be named.
    Numbered(Numbered),
    /// How a pose bridge is and works: from the bridge when it starts, and from a device that asked one.
    Bridge(BridgeReport),
    /// A pose bridge recognised an action with an encoder of its own; devices pass it on as [`Event::Recognition`].
    Answer(Answer),
}

/// Why a payload is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The peer speaks another protocol version; answer with [`WireError::UnsupportedVersion`].
    Version {
        /// The version of the payload.
        got: u8,
    },
    /// The payload is not a message of its version, or has bytes left over.
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { got } => write!(
                f,
                "the peer speaks protocol version {got}; this side speaks {OLDEST_VERSION} to {VERSION}"
            ),
            Self::Malformed => f.write_str("not a message of this protocol"),
        }
    }
}

impl core::error::Error for DecodeError {}

impl<'a> Envelope<'a> {
    /// An envelope of the current version.
    pub const fn new(id: u32, message: Message<'a>) -> Self {
        Self {
            version: VERSION,
            id,
            message,
        }
    }

    /// Reads the payload of a packet.
    ///
    /// # Errors
    /// See [`DecodeError`]; the session goes on after either.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        match payload.first() {
            None => return Err(DecodeError::Malformed),
            Some(version) if !(OLDEST_VERSION..=VERSION).contains(version) => {
                return Err(DecodeError::Version { got: *version });
            }
            Some(_) => {}
        }
        match postcard::take_from_bytes(payload) {
            Ok((envelope, [])) => Ok(envelope),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// Writes the envelope as one packet to `out` and returns its length in bytes; [`packet::PACKET_BYTES`] always suffice.
    ///
    /// # Errors
    /// [`PacketError::NoRoom`]: `out` is too small, or a chunk is larger than [`deploy::CHUNK_BYTES`].
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, PacketError> {
        let mut payload = [0; PAYLOAD_BYTES];
        let payload = postcard::to_slice(self, &mut payload).map_err(|_| PacketError::NoRoom)?;
        packet::encode(payload, out)
    }
}
