//! Packets: how messages are cut out of a stream of bytes that may lose, flip or invent some.
//!
//! A packet is `0, COBS(payload, CRC-32 of the payload, little endian), 0`. COBS keeps zero out of the body, so that a zero
//! always means "a packet ends here": after any garbage the decoder is in step again at the next zero. The leading zero
//! separates a packet from garbage before it and costs one byte.
//!
//! No reader, no writer, no clock: bytes in, payloads out. Links live in the host and in the edge; what a payload means is
//! said in [`crate::protocol`].

use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc};

/// Largest payload of one packet, in bytes: a chunk of a bundle with the message around it.
pub const PAYLOAD_BYTES: usize = 1200;

/// Bytes of the CRC-32 behind the payload.
const CRC_BYTES: usize = 4;

/// Largest COBS body, in bytes: one byte of overhead in every 254 begun.
const BODY_BYTES: usize = cobs::max_encoding_length(PAYLOAD_BYTES + CRC_BYTES);

/// Largest packet on the wire, in bytes, both zeros counted.
pub const PACKET_BYTES: usize = BODY_BYTES + 2;

/// CRC-32 as in Ethernet and zip, so that other languages have it at hand.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Why bytes did not give a packet. The payload is lost; the decoder is already in step for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketError {
    /// More bytes came without a zero than a packet may have.
    TooLong,
    /// The body is not COBS, or too short to hold a checksum.
    Malformed,
    /// The checksum does not match: bits were flipped or bytes lost.
    Checksum,
    /// The payload is larger than [`PAYLOAD_BYTES`], or the output is too small for it.
    NoRoom,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "more bytes than a packet may have",
            Self::Malformed => "not a packet",
            Self::Checksum => "the packet's checksum does not match",
            Self::NoRoom => "the payload does not fit",
        })
    }
}

impl core::error::Error for PacketError {}

/// CRC-32 (ISO-HDLC) of `bytes`: also used for the chunks of a bundle and the records on disk.
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Writes `payload` as one packet to `out` and returns its length in bytes; [`PACKET_BYTES`] always suffice.
///
/// # Errors
/// [`PacketError::NoRoom`]: the payload is larger than [`PAYLOAD_BYTES`] or `out` is too small; send less at a time.
pub fn encode(payload: &[u8], out: &mut [u8]) -> Result<usize, PacketError> {
    if payload.len() > PAYLOAD_BYTES {
        return Err(PacketError::NoRoom);
    }
    let needed = cobs::max_encoding_length(payload.len() + CRC_BYTES) + 2;
    let out = out.get_mut(..needed).ok_or(PacketError::NoRoom)?;
    let (first, rest) = out.split_first_mut().ok_or(PacketError::NoRoom)?;
    *first = 0;
    let mut encoder = cobs::CobsEncoder::new(rest);
    encoder.push(payload).map_err(|_| PacketError::NoRoom)?;
    encoder
        .push(&crc32(payload).to_le_bytes())
        .map_err(|_| PacketError::NoRoom)?;
    let body = encoder.finalize();
    *rest.get_mut(body).ok_or(PacketError::NoRoom)? = 0;
    Ok(body + 2)
}

/// Cuts payloads out of a stream of bytes. Its memory is fixed, and no input can make it panic.
#[derive(Debug, Clone)]
pub struct Decoder {
    body: [u8; BODY_BYTES],
    length: usize,
    too_long: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub const fn new() -> Self {
        Self {
            body: [0; BODY_BYTES],
            length: 0,
            too_long: false,
        }
    }

    /// Takes one byte; returns a payload when this byte completes one.
    ///
    /// An error says that a packet was lost. Whoever waits for an answer notices by time; the error is for counting.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], PacketError>> {
        if byte != 0 {
            match self.body.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length += 1;
                }
                None => self.too_long = true,
            }
            return None;
        }
        let length = core::mem::take(&mut self.length);
        if core::mem::take(&mut self.too_long) {
            return Some(Err(PacketError::TooLong));
        }
        if length == 0 {
            return None;
        }
        Some(self.finish(length))
    }

    /// Undoes COBS for the first `length` bytes of the body and checks the checksum.
    fn finish(&mut self, length: usize) -> Result<&[u8], PacketError> {
        let body = self.body.get_mut(..length).ok_or(PacketError::Malformed)?;
        let decoded = cobs::decode_in_place(body).map_err(|_| PacketError::Malformed)?;
        let (payload, checksum) = body
            .get(..decoded)
            .and_then(|body| body.split_last_chunk::<CRC_BYTES>())
            .ok_or(PacketError::Malformed)?;
        if crc32(payload) != u32::from_le_bytes(*checksum) {
            return Err(PacketError::Checksum);
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut out = [0; PACKET_BYTES];
        let length = encode(payload, &mut out).unwrap();
        out[..length].to_vec()
    }

    fn decode_all(bytes: &[u8]) -> Vec<Result<Vec<u8>, PacketError>> {
        let mut decoder = Decoder::new();
        bytes
            .iter()
            .filter_map(|byte| decoder.push(*byte).map(|result| result.map(<[u8]>::to_vec)))
            .collect()
    }

    // Do not change this test: devices in the field send these bytes.
    // CRC-32 of "123456789" is the published check value 0xCBF43926.
    #[test]
    fn golden_packet() {
        let expected = [&[0, 14][..], b"123456789", &[0x26, 0x39, 0xF4, 0xCB, 0]].concat();
        assert_eq!(packet(b"123456789"), expected);
    }

    #[test]
    fn is_in_step_again_after_garbage_and_a_lost_delimiter() {
        let mut bytes = std::vec![7; 5000];
        bytes.extend(packet(b"one"));
        bytes.extend([1, 2, 3]);
        bytes.extend(packet(b"two"));
        let good: Vec<_> = decode_all(&bytes).into_iter().flatten().collect();
        assert_eq!(good, [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn rejects_a_payload_that_is_too_large() {
        let mut out = [0; PACKET_BYTES * 2];
        assert_eq!(
            encode(&[1; PAYLOAD_BYTES + 1], &mut out),
            Err(PacketError::NoRoom)
        );
        assert_eq!(encode(&[1; 10], &mut [0; 12]), Err(PacketError::NoRoom));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(payload in proptest::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES)) {
            prop_assert_eq!(decode_all(&packet(&payload)), [Ok(payload)]);
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..4000)) {
            decode_all(&bytes);
        }

        #[test]
        fn one_flipped_bit_never_gives_another_payload(
            payload in proptest::collection::vec(any::<u8>(), 1..200), place in any::<proptest::sample::Index>(), bit in 0u8..8,
        ) {
            let mut bytes = packet(&payload);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            for decoded in decode_all(&bytes).into_iter().flatten() {
                prop_assert_eq!(&decoded, &payload);
            }
        }
    }
}
