//! The record of both slots, stored so that no power cut loses it.
//!
//! Two copies take turns; each carries a sequence number and a CRC-32. A write touches only the older copy, so that the newer
//! one is there whatever happens to the write.

use std::io;

use serde::{Deserialize, Serialize};
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{Digest, Offer};
use tendon_shared::slot::{Side, Slots};

use super::storage::Storage;

/// First byte of a copy. A later layout gets another number, and readers of both.
const FORMAT: u8 = 1;

/// Names of the two copies.
const COPIES: [&str; 2] = ["record.0", "record.1"];

/// What the device knows about its slots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    sequence: u64,
    /// The states.
    pub slots: Slots,
    /// What slot A holds or is being filled with.
    pub a: Option<Offer>,
    /// What slot B holds or is being filled with.
    pub b: Option<Offer>,
    /// Highest model version that was ever confirmed; older ones are refused.
    pub floor: u64,
    /// Starts of the agent over the device's life.
    pub boots: u32,
}

impl Record {
    /// What slot `side` holds or is being filled with.
    pub fn content(&self, side: Side) -> Option<Offer> {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }

    /// Says what slot `side` holds or is being filled with.
    pub fn set_content(&mut self, side: Side, content: Offer) {
        *match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        } = Some(content);
    }

    /// The slot with the bundle of this digest.
    pub fn holding(&self, digest: Digest) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| {
            self.content(*side)
                .is_some_and(|offer| offer.digest == digest)
        })
    }

    /// The newest good copy, or an empty record.
    ///
    /// # Errors
    /// The disk's.
    pub fn load(storage: &dyn Storage) -> io::Result<Self> {
        let mut newest: Option<Self> = None;
        for name in COPIES {
            let copy = storage.read(name)?.and_then(|bytes| Self::decode(&bytes));
            if copy.as_ref().map(|copy| copy.sequence) > newest.as_ref().map(|copy| copy.sequence) {
                newest = copy;
            }
        }
        Ok(newest.unwrap_or_default())
    }

    /// Stores the record over the older copy; durable on return.
    ///
    /// # Errors
    /// The disk's; the newer copy is untouched.
    pub fn save(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        let next = Self {
            sequence: self.sequence + 1,
            ..self.clone()
        };
        let name = if next.sequence.is_multiple_of(2) {
            COPIES[0]
        } else {
            COPIES[1]
        };
        storage.replace(name, &next.encode()?)?;
        *self = next;
        Ok(())
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 512];
        bytes[0] = FORMAT;
        let length = 1 + postcard::to_slice(self, &mut bytes[1..])
            .map_err(io::Error::other)?
            .len();
        bytes.truncate(length);
        bytes.extend(crc32(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk()?;
        if crc32(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (&FORMAT, body) = body.split_first()? else {
            return None;
        };
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::storage::Disk;
    use proptest::prelude::*;

    #[test]
    fn the_newest_good_copy_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(folder.path()).unwrap();
        let mut record = Record::load(&disk).unwrap();
        assert_eq!(record, Record::default());
        for boots in 1..=3 {
            record.boots = boots;
            record.save(&mut disk).unwrap();
        }
        assert_eq!(Record::load(&disk).unwrap().boots, 3);
        // Sequence 3 went to copy 1; without it, sequence 2 counts.
        disk.replace(COPIES[1], b"torn").unwrap();
        assert_eq!(Record::load(&disk).unwrap().boots, 2);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Record::decode(&bytes);
            bytes.insert(0, FORMAT);
            bytes.extend(crc32(&bytes).to_le_bytes());
            Record::decode(&bytes);
        }
    }
}
