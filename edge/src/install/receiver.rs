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
mod tests;
