//! Who is at the other end of a line that loses bytes: what [`crate::tls`] is for TCP, for packets.
//!
//! TLS needs a stream on which nothing is lost, and a serial line is none. So only its handshake is taken: the operator asks, and each
//! question and answer says how much of the other's stream is there and carries the next piece of one's own ([`Shake`]). Whatever is
//! lost is asked for again. Both ends then take keys out of the handshake (RFC 5705, RFC 8446 section 7.5), and every packet is encrypted
//! and authenticated by itself, under a number that only grows ([`Sealing`]): a lost packet costs that packet, and one that is
//! played again, changed or made up is dropped.
//!
//! Bytes in, bytes out: no clock, no port. The random session number is an argument.
//!
//! # Source
//! The handshake is TLS 1.3 with certificates on both sides, by rustls. Records that stand by themselves are the idea of DTLS
//! (RFC 9147); here each has its whole number, because a session's packets do not come out of order.

mod frame;
mod seal;
mod shake;

pub use frame::{Frame, OVERHEAD};
pub use seal::Sealing;
pub use shake::Shake;

use crate::error::IdentityError;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;

/// Why nothing comes of a handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// TLS refuses the peer, or cannot be set up with this identity.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The peer's name cannot be asked for.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The peer says more than any handshake is long.
    #[error("the other side says more than a handshake is long")]
    TooLong,
    /// What came is no TLS.
    #[error("what came is no TLS: {0}")]
    Stream(#[from] std::io::Error),
    /// The handshake is not at its end.
    #[error("the handshake is not at its end")]
    Unfinished,
}

/// The operator's side: a handshake with the device `device`, or with any of the fleet.
///
/// # Errors
/// [`LineError`].
pub fn dial(
    config: Arc<ClientConfig>,
    device: Option<&str>,
    session: u64,
) -> Result<Shake, LineError> {
    Shake::client(config, crate::tls::peer(device)?, session)
}

/// What to do with a payload that came over a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing.
    Nothing,
    /// Send this payload back.
    Answer(Vec<u8>),
    /// An operator sent this.
    Payload(Vec<u8>),
    /// Somebody who has not said who they are sent something; it was not looked at.
    Unknown,
}

/// The device's side of a line: whoever opens it must be an operator of the fleet.
#[derive(Debug)]
pub struct Answering {
    config: Arc<ServerConfig>,
    shake: Option<Shake>,
    sealing: Option<Sealing>,
}

impl Answering {
    /// A line on which nobody has said who they are. `config` is that of [`crate::tls::server`].
    #[must_use]
    pub fn new(config: &Arc<ServerConfig>) -> Self {
        let mut config = ServerConfig::clone(config);
        // A session is never taken up again, and tickets would be sent after the handshake's end.
        config.send_tls13_tickets = 0;
        Self {
            config: Arc::new(config),
            shake: None,
            sealing: None,
        }
    }

    /// Takes a payload as it came.
    pub fn take(&mut self, payload: &[u8]) -> Taken {
        match Frame::parse(payload) {
            None => Taken::Unknown,
            Some(Frame::Lost { .. }) => Taken::Nothing,
            Some(Frame::Sealed {
                session,
                number,
                body,
            }) => match &mut self.sealing {
                Some(sealing) if sealing.session() == session => sealing
                    .open(number, body)
                    .map_or(Taken::Nothing, Taken::Payload),
                _ => Taken::Answer(Frame::Lost { session }.bytes()),
            },
            Some(Frame::Shake {
                session,
                at,
                have,
                data,
            }) => self.answer(session, at, have, data),
        }
    }

    /// Goes on with a handshake, or begins a new one. What serves goes on until a new one is complete.
    fn answer(&mut self, session: u64, at: u32, have: u32, data: &[u8]) -> Taken {
        if self
            .shake
            .as_ref()
            .is_none_or(|shake| shake.session() != session)
        {
            if at != 0 {
                return Taken::Answer(Frame::Lost { session }.bytes());
            }
            self.shake = Shake::server(self.config.clone(), session).ok();
        }
        let Some(shake) = &mut self.shake else {
            return Taken::Nothing;
        };
        // An error is in the answer, too: as an alert of TLS.
        let went_well = shake.take(at, have, data).is_ok();
        let serves = self.sealing.as_ref().map(Sealing::session);
        if went_well && serves != Some(session) && shake.is_done() {
            self.sealing = shake.sealing().ok();
        }
        Taken::Answer(shake.next().bytes())
    }

    /// Makes a payload readable for the operator alone; none while there is nobody.
    pub fn seal(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.sealing.as_mut()?.seal(payload)
    }
}

#[cfg(test)]
mod tests;
