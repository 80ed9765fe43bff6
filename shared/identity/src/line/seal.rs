//! Payloads that only the other side of a session can read or could have written.

use super::frame::{Frame, header};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// The keys of a session, one for each direction, and how far each has counted.
#[derive(Debug)]
pub struct Sealing {
    session: u64,
    seal: LessSafeKey,
    open: LessSafeKey,
    sent: u64,
    seen: u64,
}

impl Sealing {
    /// `seal` and `open` are keys of 32 bytes; none if they are not.
    pub(super) fn new(session: u64, seal: &[u8], open: &[u8]) -> Option<Self> {
        let key = |bytes| {
            let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?;
            Some(LessSafeKey::new(key))
        };
        Some(Self {
            session,
            seal: key(seal)?,
            open: key(open)?,
            sent: 0,
            seen: 0,
        })
    }

    /// The session's number.
    #[must_use]
    pub const fn session(&self) -> u64 {
        self.session
    }

    /// Seals a payload under the next number; none after 2^64 of them, because no number may come twice.
    pub fn seal(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.sent = self.sent.checked_add(1)?;
        let mut body = payload.to_vec();
        let aad = Aad::from(header(self.session, self.sent));
        self.seal
            .seal_in_place_append_tag(nonce(self.sent), aad, &mut body)
            .ok()?;
        let frame = Frame::Sealed {
            session: self.session,
            number: self.sent,
            body: &body,
        };
        Some(frame.bytes())
    }

    /// What is in a sealed payload; none if it was there before, was changed, or is of another session.
    pub fn open(&mut self, number: u64, body: &[u8]) -> Option<Vec<u8>> {
        if number <= self.seen {
            return None;
        }
        let mut body = body.to_vec();
        let aad = Aad::from(header(self.session, number));
        let length = self
            .open
            .open_in_place(nonce(number), aad, &mut body)
            .ok()?
            .len();
        body.truncate(length);
        self.seen = number;
        Some(body)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}
