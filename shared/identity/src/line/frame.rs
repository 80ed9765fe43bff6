//! What a payload on an authenticated line looks like. Numbers are little endian; plain messages begin with a version below 160.

/// First byte of a piece of a handshake.
const SHAKE: u8 = 0xA0;
/// First byte of a sealed payload.
const SEALED: u8 = 0xA1;
/// First byte of the word that a session is not known.
const LOST: u8 = 0xA2;
/// Bytes of the tag that authenticates a sealed payload.
const TAG: usize = 16;
/// Bytes that a sealed payload is longer than what is in it.
pub const OVERHEAD: usize = 1 + 8 + 8 + TAG;

/// A payload on an authenticated line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A piece of a handshake, and how much of the other side's was understood.
    Shake {
        /// Chosen by the operator at random.
        session: u64,
        /// Where `data` stands in the sender's stream.
        at: u32,
        /// Bytes of the receiver's stream that the sender has without a gap.
        have: u32,
        /// The piece.
        data: &'a [u8],
    },
    /// A payload for the other side of a session alone.
    Sealed {
        /// As in the handshake.
        session: u64,
        /// Counts from one, in each direction.
        number: u64,
        /// Ciphertext and tag.
        body: &'a [u8],
    },
    /// The device knows no such session: it has restarted, or another operator has come.
    Lost {
        /// The session that was asked for.
        session: u64,
    },
}

impl<'a> Frame<'a> {
    /// Reads a payload; none if it is of another kind.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (kind, rest) = payload.split_first()?;
        let (session, rest) = number(rest)?;
        match *kind {
            SHAKE => {
                let (at, rest) = rest.split_first_chunk()?;
                let (have, data) = rest.split_first_chunk()?;
                Some(Self::Shake {
                    session,
                    at: u32::from_le_bytes(*at),
                    have: u32::from_le_bytes(*have),
                    data,
                })
            }
            SEALED => {
                let (number, body) = number(rest)?;
                (body.len() >= TAG).then_some(Self::Sealed {
                    session,
                    number,
                    body,
                })
            }
            LOST => rest.is_empty().then_some(Self::Lost { session }),
            _ => None,
        }
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Shake {
                session,
                at,
                have,
                data,
            } => [
                &[SHAKE],
                session.to_le_bytes().as_slice(),
                &at.to_le_bytes(),
                &have.to_le_bytes(),
                data,
            ]
            .concat(),
            Self::Sealed {
                session,
                number,
                body,
            } => [&header(session, number), body].concat(),
            Self::Lost { session } => [&[LOST], session.to_le_bytes().as_slice()].concat(),
        }
    }
}

/// What stands before a sealed payload's ciphertext, and is authenticated with it.
pub(super) fn header(session: u64, number: u64) -> [u8; 17] {
    let mut header = [SEALED; 17];
    header[1..9].copy_from_slice(&session.to_le_bytes());
    header[9..].copy_from_slice(&number.to_le_bytes());
    header
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_as_they_were_written_or_not_at_all(payload in prop::collection::vec(any::<u8>(), 0..64), kind in 0x9F..0xA4_u8) {
            let mut payload = payload;
            if let Some(first) = payload.first_mut() {
                *first = kind;
            }
            if let Some(frame) = Frame::parse(&payload) {
                prop_assert_eq!(frame.bytes(), payload);
            }
        }
    }

    #[test]
    fn plain_messages_are_no_frames() {
        assert_eq!(Frame::parse(&[1; 40]), None);
        assert_eq!(Frame::parse(&[]), None);
    }
}
