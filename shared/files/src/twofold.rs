//! A small record that no power cut loses: two copies that take turns, each with a sequence number and a CRC-32.
//!
//! A write touches the older copy only, so that the newer one is there whatever happens to the write. Only the bytes are made
//! and judged here; who keeps them replaces a file as a whole.

use tendon_shared::packet::crc32;

/// Bytes before the content: format and sequence number.
const HEAD: usize = 1 + 8;

/// A copy that was read: what it holds, and which one it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Grows with every write.
    pub sequence: u64,
    /// What was stored.
    pub content: Vec<u8>,
}

/// Which of the two files is written with this sequence number: 0 or 1.
#[must_use]
pub const fn turn(sequence: u64) -> usize {
    (sequence % 2) as usize
}

/// The bytes of a copy.
#[must_use]
pub fn seal(format: u8, sequence: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + content.len() + 4);
    bytes.push(format);
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(content);
    bytes.extend(crc32(&bytes).to_le_bytes());
    bytes
}

/// What a copy's bytes hold; nothing when they are torn or of another format.
#[must_use]
pub fn open(format: u8, bytes: &[u8]) -> Option<Copy> {
    let (body, crc) = bytes.split_last_chunk()?;
    if crc32(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (found, rest) = body.split_first()?;
    let (sequence, content) = rest.split_first_chunk()?;
    (*found == format).then(|| Copy {
        sequence: u64::from_le_bytes(*sequence),
        content: content.to_vec(),
    })
}

/// The newer good one of both files' contents.
#[must_use]
pub fn newest(format: u8, files: [Option<&[u8]>; 2]) -> Option<Copy> {
    files
        .into_iter()
        .flatten()
        .filter_map(|bytes| open(format, bytes))
        .max_by_key(|copy| copy.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_good_copy_counts() {
        let (old, new) = (seal(1, 4, b"old"), seal(1, 5, b"new"));
        assert_ne!(turn(4), turn(5));
        let content = |files| newest(1, files).map(|copy| copy.content);
        assert_eq!(content([Some(&old), Some(&new)]), Some(b"new".to_vec()));
        for cut in 0..new.len() {
            let torn = content([Some(&old), Some(&new[..cut])]);
            assert_eq!(torn, Some(b"old".to_vec()), "{cut}");
        }
        assert_eq!(content([None, Some(&new)]), Some(b"new".to_vec()));
        assert_eq!(content([None, None]), None);
        assert_eq!(newest(2, [Some(&old), Some(&new)]), None);
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let good = seal(1, 7, b"content");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(1, &bad), None, "{bit}");
        }
    }
}
