//! Writes the chunks of an offered bundle into a slot and remembers what it has.
//!
//! Chunks may come in any order within [`CHUNKS_AHEAD`] of the first missing one. Every `sync_bytes` the data is made durable
//! and then the position is recorded, in this order, so that after a kill or a power cut the transfer goes on from data
//! that is really there.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, CHUNKS_AHEAD, Chunk, Digest, Offer, Progress};
use tendon_shared::protocol::error::WireError;
use tendon_shared::slot::{SlotEvent, SlotState};
use tendon_shared::topology::TopologyId;

use crate::slots::store::{Store, StoreError};
use tendon_bundle::MAX_BUNDLE_BYTES;

/// Free bytes that must remain after a bundle was received: records, adaptation state and logs need some.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// How many bytes are received between two syncs, unless the caller wants it otherwise. A kill costs at most these.
pub const SYNC_BYTES: u32 = 64 << 10;

/// Name of the file with the recorded position.
const POSITION: &str = "incoming.position";

/// The recorded position: everything before `next` is durable.
#[derive(Serialize, Deserialize)]
struct Position {
    digest: Digest,
    next: u32,
}

/// A transfer under way.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    offer: Offer,
    progress: Progress,
    durable: u32,
}

/// Receives bundles into a [`Store`].
pub struct Receiver {
    store: Store,
    topology: Option<TopologyId>,
    sync_bytes: u32,
    transfer: Option<Transfer>,
}

impl Receiver {
    /// Takes up a transfer where it was recorded. `topology`: refuse bundles for another one. `sync_bytes`: see
    /// [`SYNC_BYTES`].
    ///
    /// # Errors
    /// The disk's.
    pub fn open(
        mut store: Store,
        topology: Option<TopologyId>,
        sync_bytes: u32,
    ) -> Result<Self, StoreError> {
        let incoming = store
            .slots()
            .incoming()
            .and_then(|side| store.record().content(side));
        let position = match store.storage().read(POSITION)? {
            Some(bytes) => decode_position(&bytes),
            None => None,
        };
        let transfer = incoming.map(|offer| {
            let next = position
                .filter(|position| position.digest == offer.digest && position.next <= offer.size)
                .map_or(0, |position| position.next);
            Transfer {
                offer,
                progress: Progress { next, ahead: 0 },
                durable: next,
            }
        });
        if transfer.is_some_and(|transfer| transfer.durable == 0) {
            store.empty()?;
        }
        Ok(Self {
            store,
            topology,
            sync_bytes,
            transfer,
        })
    }

    /// The slots.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The slots, to apply the outcome of checks and trials.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// What is there of the bundle under way.
    pub fn progress(&self) -> Option<Progress> {
        self.transfer.map(|transfer| transfer.progress)
    }

    /// Answers an offer: refuses it, or says what is there of it. A bundle that serves already is there as a whole.
    ///
    /// # Errors
    /// Why the bundle is not wanted; nothing changed.
    pub fn offer(&mut self, offer: Offer) -> Result<Progress, WireError> {
        if self.serves(offer.digest) {
            return Ok(Progress {
                next: offer.size,
                ahead: 0,
            });
        }
        let floor = self.store.record().floor;
        if offer.model < floor {
            return Err(WireError::OlderVersion {
                floor,
                offered: offer.model,
            });
        }
        if self
            .topology
            .is_some_and(|topology| topology != offer.topology)
        {
            return Err(WireError::WrongTopology);
        }
        if u64::from(offer.size) > MAX_BUNDLE_BYTES {
            return Err(WireError::TooLarge);
        }
        if self.store.slots().target().is_none() {
            return Err(WireError::Busy);
        }
        match self.transfer {
            Some(transfer) if transfer.offer == offer => Ok(transfer.progress),
            _ => self.begin(offer),
        }
    }

    fn begin(&mut self, offer: Offer) -> Result<Progress, WireError> {
        let free = self.store.free_bytes().map_err(storage)?;
        let needed = u64::from(offer.size) + RESERVE_BYTES;
        if free < needed {
            return Err(WireError::NoSpace { needed, free });
        }
        self.transfer = None;
        self.record_position(offer.digest, 0).map_err(storage)?;
        self.store.begin(offer).map_err(storage)?;
        self.transfer = Some(Transfer {
            offer,
            progress: Progress::default(),
            durable: 0,
        });
        Ok(Progress::default())
    }

    /// Takes a chunk; one that is there already, or too far ahead, changes nothing.
    ///
    /// # Errors
    /// [`WireError::ChunkCorrupt`], [`WireError::ChunkMisplaced`], [`WireError::NoTransfer`], [`WireError::Storage`].
    pub fn chunk(&mut self, chunk: Chunk<'_>) -> Result<Progress, WireError> {
        let mut transfer = self.transfer.ok_or(WireError::NoTransfer)?;
        let size = transfer.offer.size;
        let expected = size.saturating_sub(chunk.offset).min(CHUNK_BYTES as u32);
        if !chunk.offset.is_multiple_of(CHUNK_BYTES as u32)
            || chunk.data.len() as u32 != expected
            || expected == 0
        {
            return Err(WireError::ChunkMisplaced);
        }
        if crc32(chunk.data) != chunk.crc {
            return Err(WireError::ChunkCorrupt);
        }
        let progress = &mut transfer.progress;
        let distance = chunk.offset.saturating_sub(progress.next) / CHUNK_BYTES as u32;
        if progress.has(chunk.offset) || distance > u32::from(CHUNKS_AHEAD) {
            return Ok(*progress);
        }
        self.store
            .write(chunk.offset, chunk.data)
            .map_err(storage)?;
        if let Some(bit) = distance.checked_sub(1) {
            progress.ahead |= 1 << bit;
        } else {
            progress.next += expected;
            while progress.ahead & 1 == 1 {
                progress.ahead >>= 1;
                progress.next = progress.next.saturating_add(CHUNK_BYTES as u32).min(size);
            }
            // The bit of the chunk at `next` itself is implied: it is missing.
            progress.ahead >>= 1;
        }
        let next = progress.next;
        if next - transfer.durable >= self.sync_bytes || next == size {
            self.store.sync().map_err(storage)?;
            self.record_position(transfer.offer.digest, next)
                .map_err(storage)?;
            transfer.durable = next;
        }
        self.transfer = Some(transfer);
        Ok(transfer.progress)
    }

    /// All chunks were sent: returns the whole file, its digest checked; none when that bundle serves already.
    ///
    /// # Errors
    /// [`WireError::Incomplete`]; [`WireError::DigestMismatch`], after which the transfer starts from nothing;
    /// [`WireError::NoTransfer`], [`WireError::Storage`].
    pub fn finish(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, WireError> {
        if self.serves(digest) {
            return Ok(None);
        }
        let transfer = self
            .transfer
            .filter(|transfer| transfer.offer.digest == digest)
            .ok_or(WireError::NoTransfer)?;
        if transfer.progress.next < transfer.offer.size {
            return Err(WireError::Incomplete);
        }
        let side = self.store.slots().incoming().ok_or(WireError::NoTransfer)?;
        let bytes = self.store.read(side).map_err(storage)?;
        if Sha256::digest(&bytes)[..] != digest.0 {
            self.refuse()?;
            return Err(WireError::DigestMismatch);
        }
        Ok(Some(bytes))
    }

    /// A check failed: the slot is rejected and the transfer forgotten.
    ///
    /// # Errors
    /// [`WireError::Storage`].
    pub fn refuse(&mut self) -> Result<(), WireError> {
        self.transfer = None;
        self.store.apply(SlotEvent::Refuse).map_err(storage)
    }

    /// Every check went well: the bundle begins its trial, in the record first, so that a crash during it is counted.
    ///
    /// # Errors
    /// [`WireError::Storage`].
    pub fn begin_trial(&mut self) -> Result<(), WireError> {
        self.transfer = None;
        let slots = self.store.slots();
        let incoming = slots.incoming().map(|side| slots.state(side));
        if incoming == Some(SlotState::Receiving) {
            self.store.apply(SlotEvent::Verify).map_err(storage)?;
        }
        self.store.apply(SlotEvent::Try).map_err(storage)
    }

    fn serves(&self, digest: Digest) -> bool {
        self.store
            .serving()
            .is_some_and(|(_, offer)| offer.digest == digest)
    }

    fn record_position(&mut self, digest: Digest, next: u32) -> Result<(), StoreError> {
        let mut bytes = [0; 64];
        let length = postcard::to_slice(&Position { digest, next }, &mut bytes)
            .map_err(std::io::Error::other)?
            .len();
        let mut bytes = bytes[..length].to_vec();
        bytes.extend(crc32(&bytes).to_le_bytes());
        Ok(self.store.storage().replace(POSITION, &bytes)?)
    }
}

fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (body, crc) = bytes.split_last_chunk()?;
    (crc32(body) == u32::from_le_bytes(*crc)).then(|| postcard::from_bytes(body).ok())?
}

/// The peer learns that the disk failed; what exactly goes to the device's log.
fn storage(error: StoreError) -> WireError {
    match error {
        StoreError::Impossible(_) => WireError::Busy,
        StoreError::Io(_) | StoreError::Missing(_) => WireError::Storage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::fragile::Fragile;
    use proptest::prelude::*;

    const SIZE: usize = 40 * CHUNK_BYTES + 5;

    fn bytes() -> Vec<u8> {
        (0..SIZE).map(|i| (i / 7) as u8).collect()
    }

    fn offer() -> Offer {
        Offer {
            digest: Digest(Sha256::digest(bytes()).into()),
            size: SIZE as u32,
            model: 5,
            topology: TopologyId::Kinect20,
        }
    }

    fn receiver(storage: &Fragile) -> Receiver {
        let store = Store::open(Box::new(storage.clone())).unwrap();
        Receiver::open(store, Some(TopologyId::Kinect20), 4096).unwrap()
    }

    fn send(receiver: &mut Receiver, index: usize) -> Result<Progress, WireError> {
        let bytes = bytes();
        let data = &bytes[index * CHUNK_BYTES..SIZE.min((index + 1) * CHUNK_BYTES)];
        receiver.chunk(Chunk {
            offset: (index * CHUNK_BYTES) as u32,
            crc: crc32(data),
            data,
        })
    }

    proptest! {
        #[test]
        fn chunks_in_any_order_with_repeats_give_the_file(order in proptest::collection::vec(0usize..41, 0..200)) {
            let mut receiver = receiver(&Fragile::default());
            receiver.offer(offer()).unwrap();
            let mut there = std::collections::HashSet::new();
            for index in order.into_iter().chain(0..41) {
                let before = receiver.progress().unwrap();
                let after = send(&mut receiver, index).unwrap();
                if index <= before.next as usize / CHUNK_BYTES + usize::from(CHUNKS_AHEAD) {
                    there.insert(index);
                }
                for index in 0..41 {
                    let near = index * CHUNK_BYTES < after.next as usize + (usize::from(CHUNKS_AHEAD) + 1) * CHUNK_BYTES;
                    prop_assert!(!near || after.has((index * CHUNK_BYTES) as u32) == there.contains(&index), "{index} {after:?}");
                }
            }
            prop_assert_eq!(receiver.finish(offer().digest).unwrap(), Some(bytes()));
        }

        #[test]
        fn any_position_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            decode_position(&bytes);
        }
    }

    #[test]
    fn a_killed_transfer_goes_on_from_what_is_durable() {
        let storage = Fragile::default();
        let mut first = receiver(&storage);
        first.offer(offer()).unwrap();
        for index in 0..10 {
            send(&mut first, index).unwrap();
        }
        storage.restart();
        let mut second = receiver(&storage);
        // Synced after every fourth chunk: chunks 0 to 7 are there.
        assert_eq!(
            second.offer(offer()).unwrap(),
            Progress {
                next: 8192,
                ahead: 0
            }
        );
        assert_eq!(second.finish(offer().digest), Err(WireError::Incomplete));
        for index in 8..41 {
            send(&mut second, index).unwrap();
        }
        assert_eq!(second.finish(offer().digest).unwrap(), Some(bytes()));
    }

    #[test]
    fn refuses_what_it_would_refuse_after_the_transfer_anyway() {
        let mut receiver = receiver(&Fragile::default());
        let topology = Offer {
            topology: TopologyId::Ntu25,
            ..offer()
        };
        assert_eq!(receiver.offer(topology), Err(WireError::WrongTopology));
        let huge = Offer {
            size: MAX_BUNDLE_BYTES as u32 + 1,
            ..offer()
        };
        assert_eq!(receiver.offer(huge), Err(WireError::TooLarge));
        receiver.offer(offer()).unwrap();
        for index in 0..41 {
            send(&mut receiver, index).unwrap();
        }
        receiver.begin_trial().unwrap();
        let next = Offer {
            digest: Digest([1; 32]),
            ..offer()
        };
        assert_eq!(receiver.offer(next), Err(WireError::Busy));
        receiver.store_mut().apply(SlotEvent::Confirm).unwrap();
        let older = Offer { model: 4, ..next };
        assert_eq!(
            receiver.offer(older),
            Err(WireError::OlderVersion {
                floor: 5,
                offered: 4
            })
        );
        assert_eq!(receiver.offer(offer()).unwrap().next, SIZE as u32);
        assert_eq!(receiver.finish(offer().digest), Ok(None));
    }

    #[test]
    fn corrupt_and_misplaced_chunks_change_nothing() {
        let mut receiver = receiver(&Fragile::default());
        let chunk = |offset, crc, data| Chunk { offset, crc, data };
        let data = &bytes()[..CHUNK_BYTES];
        assert_eq!(
            receiver.chunk(chunk(0, crc32(data), data)),
            Err(WireError::NoTransfer)
        );
        receiver.offer(offer()).unwrap();
        assert_eq!(
            receiver.chunk(chunk(0, 1, data)),
            Err(WireError::ChunkCorrupt)
        );
        for (offset, data) in [
            (5, data),
            (0, &data[..9]),
            (u32::MAX - 1023, data),
            (41 * 1024, &[]),
        ] {
            assert_eq!(
                receiver.chunk(chunk(offset, crc32(data), data)),
                Err(WireError::ChunkMisplaced)
            );
        }
        assert_eq!(receiver.progress(), Some(Progress::default()));
    }

    #[test]
    fn a_wrong_digest_starts_over() {
        let mut receiver = receiver(&Fragile::default());
        let wrong = Offer {
            digest: Digest([7; 32]),
            ..offer()
        };
        receiver.offer(wrong).unwrap();
        for index in 0..41 {
            send(&mut receiver, index).unwrap();
        }
        assert_eq!(
            receiver.finish(wrong.digest),
            Err(WireError::DigestMismatch)
        );
        assert_eq!(receiver.offer(wrong).unwrap(), Progress::default());
    }
}
