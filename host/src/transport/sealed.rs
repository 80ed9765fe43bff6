//! A link on which this side says that it is an operator, and the other that it is a device of the same fleet: over any link that
//! carries packets, also one that loses some.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tendon_identity::identity::Identity;
use tendon_identity::line::{self, Frame, LineError, Sealing, Shake};
use tendon_identity::tls;
use tendon_shared::packet::{self, Decoder, PACKET_BYTES};

use super::client::Patience;
use super::{Link, LinkError};

/// Bytes received at a time.
const RECEIVE_BYTES: usize = 4096;

/// How long a device may take to answer a piece of a handshake, besides the line.
const THINKING: Duration = Duration::from_millis(500);

/// How long to wait in a handshake over a line on which the largest packet takes `packet`: an answer that was lost is to be asked for
/// again soon, and asking again costs nothing.
#[must_use]
pub fn patience(packet: Duration) -> Patience {
    Patience {
        reply: THINKING + 2 * packet,
        tries: 20,
    }
}

/// An authenticated link over `L`.
#[derive(Debug)]
pub struct Sealed<L> {
    inner: L,
    incoming: Decoder,
    outgoing: Decoder,
    sealing: Sealing,
    /// Packets of the device, opened.
    ready: VecDeque<u8>,
}

impl<L: Link> Sealed<L> {
    /// Shakes hands over `inner`, called `what`, as the operator in a file, and makes sure that the device `device`, or one of the
    /// fleet, answers. `session` is a random number.
    ///
    /// # Errors
    /// [`LinkError::Open`].
    pub fn open(
        mut inner: L,
        what: &str,
        identity: &Path,
        device: Option<&str>,
        patience: Patience,
        session: u64,
    ) -> Result<Self, LinkError> {
        let failed = |hint, error: MeetError| LinkError::Open {
            what: what.to_owned(),
            hint,
            source: io::Error::other(error.to_string()),
        };
        let mut shake = introduce(identity, device, session)
            .map_err(|error| failed("`tendon fleet operator` makes an identity", error))?;
        let mut incoming = Decoder::new();
        let sealing = meet(&mut inner, &mut incoming, &mut shake, patience).map_err(|error| {
            failed(
                "is it a device of this fleet, of that name, and run with --tls? Is the speed right?",
                error,
            )
        })?;
        Ok(Self {
            inner,
            incoming,
            outgoing: Decoder::new(),
            sealing,
            ready: VecDeque::new(),
        })
    }

    /// Takes bytes of the device.
    fn take(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        for byte in bytes {
            let Some(Ok(payload)) = self.incoming.push(*byte) else {
                continue;
            };
            let ours = self.sealing.session();
            match Frame::parse(payload) {
                Some(Frame::Sealed {
                    session,
                    number,
                    body,
                }) if session == ours => {
                    if let Some(payload) = self.sealing.open(number, body) {
                        self.ready.extend(packed(&payload)?);
                    }
                }
                Some(Frame::Lost { session }) if session == ours => return Err(LinkError::Closed),
                // Of an earlier session, or of somebody who may not say anything here.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Why the two sides did not meet.
#[derive(Debug, thiserror::Error)]
enum MeetError {
    #[error(transparent)]
    Identity(#[from] tendon_identity::IdentityError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("nobody answered, though asked {0} times")]
    NoAnswer(u32),
    #[error("the device talks to everybody on this line and does not say who it is")]
    Plain,
    #[error("the device begins anew all the time")]
    Lost,
}

fn introduce(identity: &Path, device: Option<&str>, session: u64) -> Result<Shake, MeetError> {
    let identity = Identity::read(identity)?;
    Ok(line::dial(tls::client(&identity)?, device, session)?)
}

/// The handshake: asks until both know each other.
fn meet(
    link: &mut impl Link,
    decoder: &mut Decoder,
    shake: &mut Shake,
    patience: Patience,
) -> Result<Sealing, MeetError> {
    let (mut vain, mut lost, mut plain) = (0, 0, false);
    while !shake.is_done() {
        link.send(&packed(&shake.next().bytes())?)?;
        let deadline = Instant::now() + patience.reply;
        let mut answered = false;
        while !answered {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut buffer = [0; RECEIVE_BYTES];
            let length = link.receive(&mut buffer, left)?;
            if length == 0 && left.is_zero() {
                break;
            }
            for byte in buffer.iter().take(length) {
                let Some(Ok(payload)) = decoder.push(*byte) else {
                    continue;
                };
                match Frame::parse(payload) {
                    Some(Frame::Shake {
                        session,
                        at,
                        have,
                        data,
                    }) if session == shake.session() => {
                        shake.take(at, have, data)?;
                        answered = true;
                    }
                    Some(Frame::Lost { session }) if session == shake.session() => {
                        lost += 1;
                        answered = true;
                    }
                    Some(_) => {}
                    // Maybe left over from before: only who gives no other answer is such a device.
                    None => plain = true,
                }
            }
        }
        vain = if answered { 0 } else { vain + 1 };
        if lost >= patience.tries {
            return Err(MeetError::Lost);
        }
        if vain >= patience.tries {
            let silent = MeetError::NoAnswer(vain);
            return Err(if plain { MeetError::Plain } else { silent });
        }
    }
    Ok(shake.sealing()?)
}

fn packed(payload: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut out = vec![0; PACKET_BYTES];
    let length = packet::encode(payload, &mut out).map_err(io::Error::other)?;
    out.truncate(length);
    Ok(out)
}

impl<L: Link> Link for Sealed<L> {
    /// `bytes` are packets, whole or in pieces.
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        for byte in bytes {
            let Some(Ok(payload)) = self.outgoing.push(*byte) else {
                continue;
            };
            let sealed = self.sealing.seal(payload).ok_or(LinkError::Closed)?;
            self.inner.send(&packed(&sealed)?)?;
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        if self.ready.is_empty() {
            let mut received = [0; RECEIVE_BYTES];
            let length = self.inner.receive(&mut received, timeout)?;
            self.take(received.get(..length).unwrap_or_default())?;
        }
        let length = self.ready.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.ready.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }
}

#[cfg(test)]
pub(super) mod tests;
