//! Writes the chunks of an offered bundle into a slot, or those of a delta beside it, and remembers what it has.
//!
//! Chunks may come in any order within [`CHUNKS_AHEAD`](tendon_shared::protocol::deploy::CHUNKS_AHEAD) of the first missing one. Every
//! `sync_bytes` the data is made durable and then the position is recorded, in this order, so that after a kill or a power cut the
//! transfer goes on from data that is really there.
//!
//! A delta is kept in a file of its own until it is complete. Only then is the slot begun, filled with what the delta leads to, and
//! treated as if it had arrived whole: it is verified by the same code.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{Chunk, DeltaOffer, Digest, Offer, Progress};
use tendon_shared::protocol::error::WireError;
use tendon_shared::slot::{SlotEvent, SlotState};
use tendon_shared::topology::TopologyId;

use super::chunks::Chunks;
use crate::slots::store::{Store, StoreError};
use tendon_bundle::MAX_BUNDLE_BYTES;

/// Free bytes that must remain after a bundle was received: records, adaptation state and logs need some.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// How many bytes are received between two syncs, unless the caller wants it otherwise. A kill costs at most these.
pub const SYNC_BYTES: u32 = 64 << 10;

/// Name of the file with the recorded position.
const POSITION: &str = "incoming.position";
/// Name of the file that a delta is received into.
const DELTA: &str = "incoming.delta";
/// Name of the file with the recorded position in a delta.
const DELTA_POSITION: &str = "delta.position";

/// The recorded position: everything before `next` is durable.
#[derive(Serialize, Deserialize)]
struct Position<O> {
    offer: O,
    next: u32,
}

/// A transfer under way.
#[derive(Debug, Clone, Copy)]
struct Transfer<O> {
    offer: O,
    chunks: Chunks,
}

/// Receives bundles into a [`Store`].
pub struct Receiver {
    store: Store,
    topology: Option<TopologyId>,
    sync_bytes: u32,
    transfer: Option<Transfer<Offer>>,
    /// Comes before `transfer` while there is one.
    delta: Option<Transfer<DeltaOffer>>,
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
        let position: Option<Position<Digest>> = recorded(&mut store, POSITION)?;
        let transfer = incoming.map(|offer| {
            let next = position
                .filter(|position| position.offer == offer.digest && position.next <= offer.size)
                .map_or(0, |position| position.next);
            Transfer {
                offer,
                chunks: Chunks::new(offer.size, next),
            }
        });
        if transfer.is_some_and(|transfer| transfer.chunks.durable() == 0) {
            store.empty()?;
        }
        let delta: Option<Position<DeltaOffer>> = recorded(&mut store, DELTA_POSITION)?;
        let delta = delta
            .filter(|position| position.next <= position.offer.size)
            .map(|position| Transfer {
                offer: position.offer,
                chunks: Chunks::new(position.offer.size, position.next),
            });
        if delta.is_some_and(|delta| delta.chunks.durable() == 0) {
            store.storage().create(DELTA)?;
        }
        Ok(Self {
            store,
            topology,
            sync_bytes,
            transfer,
            delta,
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
        self.transfer.map(|transfer| transfer.chunks.progress())
    }

    /// Answers an offer: refuses it, or says what is there of it. A bundle that serves already is there as a whole.
    ///
    /// # Errors
    /// Why the bundle is not wanted; nothing changed.
    pub fn offer(&mut self, offer: Offer) -> Result<Progress, WireError> {
        if self.serves(offer.digest) {
            return Ok(whole(offer.size));
        }
        self.check(offer)?;
        self.forget_delta().map_err(storage)?;
        match self.transfer {
            Some(transfer) if transfer.offer == offer => Ok(transfer.chunks.progress()),
            _ => self.begin(offer),
        }
    }

    /// Answers the offer of a delta: refuses it, or says what is there of the delta.
    ///
    /// # Errors
    /// Why the delta is not wanted; nothing changed. [`WireError::OtherBase`]: the bundle is wanted as a whole.
    pub fn offer_delta(&mut self, offer: DeltaOffer) -> Result<Progress, WireError> {
        if self.serves(offer.target.digest) {
            return Ok(whole(offer.size));
        }
        self.check(offer.target)?;
        if !self.serves(offer.base) {
            return Err(WireError::OtherBase);
        }
        if u64::from(offer.size) > MAX_BUNDLE_BYTES {
            return Err(WireError::TooLarge);
        }
        let there = self.transfer.filter(|there| there.offer == offer.target);
        if there.is_some_and(|there| there.chunks.complete()) {
            return Ok(whole(offer.size));
        }
        if let Some(delta) = self.delta.filter(|delta| delta.offer == offer) {
            return Ok(delta.chunks.progress());
        }
        self.room(u64::from(offer.target.size) + u64::from(offer.size))?;
        self.forget_delta().map_err(storage)?;
        let begun = self.record(DELTA_POSITION, offer, 0);
        begun.map_err(storage)?;
        let emptied = self.store.storage().create(DELTA);
        emptied.map_err(|error| storage(error.into()))?;
        self.delta = Some(Transfer {
            offer,
            chunks: Chunks::new(offer.size, 0),
        });
        Ok(Progress::default())
    }

    /// Refuses what would be refused after the transfer anyway.
    fn check(&self, offer: Offer) -> Result<(), WireError> {
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
        match self.store.slots().target() {
            Some(_) => Ok(()),
            None => Err(WireError::Busy),
        }
    }

    fn room(&self, bytes: u64) -> Result<(), WireError> {
        let free = self.store.free_bytes().map_err(storage)?;
        let needed = bytes + RESERVE_BYTES;
        if free < needed {
            return Err(WireError::NoSpace { needed, free });
        }
        Ok(())
    }

    fn begin(&mut self, offer: Offer) -> Result<Progress, WireError> {
        self.room(u64::from(offer.size))?;
        self.transfer = None;
        let begun = self.record(POSITION, offer.digest, 0);
        begun.map_err(storage)?;
        self.store.begin(offer).map_err(storage)?;
        self.transfer = Some(Transfer {
            offer,
            chunks: Chunks::new(offer.size, 0),
        });
        Ok(Progress::default())
    }

    /// Takes a chunk; one that is there already, or too far ahead, changes nothing.
    ///
    /// # Errors
    /// [`WireError::ChunkCorrupt`], [`WireError::ChunkMisplaced`], [`WireError::NoTransfer`], [`WireError::Storage`].
    pub fn chunk(&mut self, chunk: Chunk<'_>) -> Result<Progress, WireError> {
        if let Some(mut delta) = self.delta {
            if delta.chunks.wants(&chunk)? {
                let offset = chunk.offset;
                let written = self.store.storage();
                let written = written.write_at(DELTA, offset.into(), chunk.data);
                written.map_err(|error| storage(error.into()))?;
                if let Some(next) = delta.chunks.wrote(offset, self.sync_bytes) {
                    let synced = self.store.storage().sync(DELTA);
                    synced.map_err(|error| storage(error.into()))?;
                    self.record(DELTA_POSITION, delta.offer, next)
                        .map_err(storage)?;
                    delta.chunks.synced(next);
                }
                self.delta = Some(delta);
            }
            return Ok(delta.chunks.progress());
        }
        let mut transfer = self.transfer.ok_or(WireError::NoTransfer)?;
        if transfer.chunks.wants(&chunk)? {
            let offset = chunk.offset;
            self.store.write(offset, chunk.data).map_err(storage)?;
            if let Some(next) = transfer.chunks.wrote(offset, self.sync_bytes) {
                self.store.sync().map_err(storage)?;
                self.record(POSITION, transfer.offer.digest, next)
                    .map_err(storage)?;
                transfer.chunks.synced(next);
            }
            self.transfer = Some(transfer);
        }
        Ok(transfer.chunks.progress())
    }

    /// All chunks were sent: returns the whole file, its digest checked; none when that bundle serves already. `digest` is the bundle's,
    /// also when a delta was sent.
    ///
    /// # Errors
    /// [`WireError::Incomplete`]; [`WireError::DigestMismatch`], after which the transfer starts from nothing;
    /// [`WireError::OtherBase`] when the delta leads nowhere; [`WireError::NoTransfer`], [`WireError::Storage`].
    pub fn finish(&mut self, digest: Digest) -> Result<Option<Vec<u8>>, WireError> {
        if self.serves(digest) {
            return Ok(None);
        }
        if let Some(delta) = self
            .delta
            .filter(|delta| delta.offer.target.digest == digest)
        {
            self.apply(delta)?;
        }
        let transfer = self
            .transfer
            .filter(|transfer| transfer.offer.digest == digest)
            .ok_or(WireError::NoTransfer)?;
        if !transfer.chunks.complete() {
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

    /// Fills the slot with what a complete delta leads to. Cut anywhere, it can be done again.
    fn apply(&mut self, delta: Transfer<DeltaOffer>) -> Result<(), WireError> {
        if !delta.chunks.complete() {
            return Err(WireError::Incomplete);
        }
        let received = self.store.storage().read(DELTA);
        let received = received.map_err(|error| storage(error.into()))?;
        let received = received.unwrap_or_default();
        if Sha256::digest(&received)[..] != delta.offer.digest.0 {
            self.forget_delta().map_err(storage)?;
            return Err(WireError::DigestMismatch);
        }
        let base = match self.store.serving() {
            Some((side, _)) => self.store.read(side).map_err(storage)?,
            None => Vec::new(),
        };
        let target = delta.offer.target;
        let bytes = tendon_delta::apply(&base, &received, target.size.into());
        let Some(bytes) = bytes.ok().filter(|bytes| {
            bytes.len() as u64 == u64::from(target.size)
                && Sha256::digest(bytes)[..] == target.digest.0
        }) else {
            self.forget_delta().map_err(storage)?;
            return Err(WireError::OtherBase);
        };
        self.begin(target)?;
        self.store.write(0, &bytes).map_err(storage)?;
        self.store.sync().map_err(storage)?;
        self.record(POSITION, target.digest, target.size)
            .map_err(storage)?;
        self.transfer = Some(Transfer {
            offer: target,
            chunks: Chunks::new(target.size, target.size),
        });
        self.forget_delta().map_err(storage)
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

    /// Forgets the delta under way: its record first, so that the file is never taken for another one.
    fn forget_delta(&mut self) -> Result<(), StoreError> {
        if self.delta.take().is_some() {
            self.store.storage().replace(DELTA_POSITION, &[])?;
            self.store.storage().create(DELTA)?;
        }
        Ok(())
    }

    fn record<O: Serialize>(&mut self, name: &str, offer: O, next: u32) -> Result<(), StoreError> {
        let mut bytes = [0; 256];
        let length = postcard::to_slice(&Position { offer, next }, &mut bytes)
            .map_err(std::io::Error::other)?
            .len();
        let mut bytes = bytes[..length].to_vec();
        bytes.extend(crc32(&bytes).to_le_bytes());
        Ok(self.store.storage().replace(name, &bytes)?)
    }
}

/// The position that was recorded under `name`, if it is whole.
fn recorded<O: for<'a> Deserialize<'a>>(
    store: &mut Store,
    name: &str,
) -> Result<Option<Position<O>>, StoreError> {
    let bytes = store.storage().read(name)?;
    Ok(bytes.and_then(|bytes| decode_position(&bytes)))
}

fn decode_position<O: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<Position<O>> {
    let (body, crc) = bytes.split_last_chunk()?;
    (crc32(body) == u32::from_le_bytes(*crc)).then(|| postcard::from_bytes(body).ok())?
}

/// All of a file is there.
const fn whole(size: u32) -> Progress {
    Progress {
        next: size,
        ahead: 0,
    }
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
    use tendon_shared::protocol::deploy::{CHUNK_BYTES, CHUNKS_AHEAD};

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
            decode_position::<Digest>(&bytes);
            decode_position::<DeltaOffer>(&bytes);
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

    /// A device that serves the bundle of [`bytes`], and another bundle with the delta that leads there.
    fn confirmed() -> (Receiver, Vec<u8>, Vec<u8>, DeltaOffer) {
        let mut receiver = receiver(&Fragile::default());
        receiver.offer(offer()).unwrap();
        for index in 0..41 {
            send(&mut receiver, index).unwrap();
        }
        receiver.begin_trial().unwrap();
        receiver.store_mut().apply(SlotEvent::Confirm).unwrap();
        let target: Vec<u8> = bytes().iter().map(|byte| byte.wrapping_mul(3)).collect();
        let delta = tendon_delta::make(&bytes(), &target).unwrap();
        let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
        let announced = DeltaOffer {
            target: Offer {
                digest: digest(&target),
                model: 6,
                ..offer()
            },
            base: offer().digest,
            digest: digest(&delta),
            size: delta.len() as u32,
        };
        (receiver, target, delta, announced)
    }

    fn send_all(receiver: &mut Receiver, bytes: &[u8]) {
        for (index, data) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let chunk = Chunk {
                offset: (index * CHUNK_BYTES) as u32,
                crc: crc32(data),
                data,
            };
            receiver.chunk(chunk).unwrap();
        }
    }

    #[test]
    fn a_delta_leads_to_the_bundle_and_is_not_asked_for_again() {
        let (mut receiver, target, delta, announced) = confirmed();
        assert_eq!(receiver.offer_delta(announced).unwrap().next, 0);
        let digest = announced.target.digest;
        assert_eq!(receiver.finish(digest), Err(WireError::Incomplete));
        send_all(&mut receiver, &delta);
        assert_eq!(receiver.finish(digest).unwrap(), Some(target));
        let again = receiver.offer_delta(announced).unwrap();
        assert_eq!(again.next, announced.size);
    }

    #[test]
    fn a_delta_from_another_bundle_is_refused_before_it_is_sent() {
        let (mut receiver, _, _, announced) = confirmed();
        let other = DeltaOffer {
            base: Digest([1; 32]),
            ..announced
        };
        assert_eq!(receiver.offer_delta(other), Err(WireError::OtherBase));
        let older = DeltaOffer {
            target: Offer {
                model: 4,
                ..announced.target
            },
            ..announced
        };
        assert!(matches!(
            receiver.offer_delta(older),
            Err(WireError::OlderVersion { .. })
        ));
    }

    #[test]
    fn a_delta_that_does_not_lead_to_what_was_announced_makes_way_for_the_whole_bundle() {
        let (mut receiver, target, delta, announced) = confirmed();
        let forged = DeltaOffer {
            target: Offer {
                digest: Digest([9; 32]),
                ..announced.target
            },
            ..announced
        };
        receiver.offer_delta(forged).unwrap();
        send_all(&mut receiver, &delta);
        assert_eq!(
            receiver.finish(forged.target.digest),
            Err(WireError::OtherBase)
        );
        assert_eq!(receiver.offer(announced.target).unwrap().next, 0);
        send_all(&mut receiver, &target);
        assert_eq!(
            receiver.finish(announced.target.digest).unwrap(),
            Some(target)
        );
    }

    #[test]
    fn a_damaged_delta_starts_over() {
        let (mut receiver, _, mut delta, announced) = confirmed();
        receiver.offer_delta(announced).unwrap();
        delta[70] ^= 1;
        send_all(&mut receiver, &delta);
        assert_eq!(
            receiver.finish(announced.target.digest),
            Err(WireError::DigestMismatch)
        );
        assert_eq!(receiver.offer_delta(announced).unwrap().next, 0);
    }
}
