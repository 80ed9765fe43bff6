//! Writes the chunks of an offered bundle into a slot, or those of a delta or a pack beside it, and remembers what it has.
//!
//! Chunks may come in any order within [`CHUNKS_AHEAD`](tendon_shared::protocol::deploy::CHUNKS_AHEAD) of the first missing one. Every
//! `sync_bytes` the data is made durable and then the position is recorded, in this order, so that after a kill or a power cut the
//! transfer goes on from data that is really there.
//!
//! A delta is kept in a file of its own until it is complete. Only then is the slot begun, filled with what the delta leads to, and
//! treated as if it had arrived whole: it is verified by the same code. A pack is kept likewise, until an update has taken a bundle out of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use tendon_shared::protocol::deploy::{Chunk, DeltaOffer, Digest, Offer, PackOffer, Progress};
use tendon_shared::protocol::error::WireError;
use tendon_shared::slot::{SlotEvent, SlotState};
use tendon_shared::topology::TopologyId;

use super::aside::Aside;
use super::chunks::Chunks;
use super::position::{self, Position};
use crate::slots::store::{Store, StoreError};
use tendon_bundle::MAX_BUNDLE_BYTES;
use tendon_trust::archive::MAX_PACK_BYTES;

/// Free bytes that must remain after a bundle was received: records, adaptation state and logs need some.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// How many bytes are received between two syncs, unless the caller wants it otherwise. A kill costs at most these.
pub const SYNC_BYTES: u32 = 64 << 10;

/// Name of the file with the recorded position.
const POSITION: &str = "incoming.position";
/// Names of the file that a delta is received into, and of the one with its position.
const DELTA: [&str; 2] = ["incoming.delta", "delta.position"];
/// Names of the file that a pack is received into, and of the one with its position.
const PACK: [&str; 2] = ["incoming.pack", "pack.position"];
/// Name of the file that says which bundle was taken out of which pack.
const TAKEN: &str = "pack.taken";

/// A transfer into a slot under way.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    offer: Offer,
    chunks: Chunks,
}

/// A pack that came to its end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Taken {
    pack: Digest,
    bundle: Digest,
}

/// What a pack is that a peer has sent all of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pack {
    /// It is there, its digest checked, and an update may read it.
    Arrived(PackOffer),
    /// This bundle was taken out of it before.
    Taken(Digest),
}

/// Receives bundles into a [`Store`].
pub struct Receiver {
    store: Store,
    topology: Option<TopologyId>,
    sync_bytes: u32,
    transfer: Option<Transfer>,
    /// Comes before `transfer` while there is one.
    delta: Aside<DeltaOffer>,
    /// Comes before both while there is one.
    pack: Aside<PackOffer>,
    taken: Option<Taken>,
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
        let position: Option<Position<Digest>> = position::recorded(store.storage(), POSITION)?;
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
        let delta = Aside::open(store.storage(), DELTA[0], DELTA[1])?;
        let pack = Aside::open(store.storage(), PACK[0], PACK[1])?;
        let taken = position::load(store.storage(), TAKEN)?;
        Ok(Self {
            store,
            topology,
            sync_bytes,
            transfer,
            delta,
            pack,
            taken,
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
        self.forget_asides()?;
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
        if let Some(progress) = self.delta.progress(offer) {
            return Ok(progress);
        }
        self.room(u64::from(offer.target.size) + u64::from(offer.size))?;
        self.forget_asides()?;
        let begun = self.delta.begin(self.store.storage(), offer);
        begun.map_err(disk)?;
        Ok(Progress::default())
    }

    /// Answers the offer of a pack: refuses it, or says what is there of it. One whose bundle serves already is there as a whole.
    ///
    /// # Errors
    /// Why the pack is not wanted; nothing changed.
    pub fn offer_pack(&mut self, offer: PackOffer) -> Result<Progress, WireError> {
        if self.taken_from(offer.digest).is_some() {
            return Ok(whole(offer.size));
        }
        if u64::from(offer.size) > MAX_PACK_BYTES {
            return Err(WireError::TooLarge);
        }
        if self.store.slots().target().is_none() {
            return Err(WireError::Busy);
        }
        if let Some(progress) = self.pack.progress(offer) {
            return Ok(progress);
        }
        // The bundle in it is no larger than the pack, and then lies beside it.
        let size = u64::from(offer.size);
        self.room(size + size.min(MAX_BUNDLE_BYTES))?;
        self.forget_asides()?;
        let begun = self.pack.begin(self.store.storage(), offer);
        begun.map_err(disk)?;
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
        self.record(offer, 0)?;
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
        let sync_bytes = self.sync_bytes;
        if self.pack.offer().is_some() {
            return self.pack.chunk(self.store.storage(), chunk, sync_bytes);
        }
        if self.delta.offer().is_some() {
            return self.delta.chunk(self.store.storage(), chunk, sync_bytes);
        }
        let mut transfer = self.transfer.ok_or(WireError::NoTransfer)?;
        if transfer.chunks.wants(&chunk)? {
            let offset = chunk.offset;
            self.store.write(offset, chunk.data).map_err(storage)?;
            if let Some(next) = transfer.chunks.wrote(offset, self.sync_bytes) {
                self.store.sync().map_err(storage)?;
                self.record(transfer.offer, next)?;
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
        let delta = self.delta.offer();
        if delta.is_some_and(|delta| delta.target.digest == digest) {
            self.apply()?;
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

    /// All chunks of a pack were sent; none when `digest` is no pack's.
    ///
    /// # Errors
    /// [`WireError::Incomplete`]; [`WireError::DigestMismatch`], after which the transfer starts from nothing; [`WireError::Storage`].
    pub fn finish_pack(&mut self, digest: Digest) -> Result<Option<Pack>, WireError> {
        if let Some(bundle) = self.taken_from(digest) {
            return Ok(Some(Pack::Taken(bundle)));
        }
        if self.pack.offer().is_none_or(|pack| pack.digest != digest) {
            return Ok(None);
        }
        let arrived = self.pack.check(self.store.storage())?;
        Ok(Some(Pack::Arrived(arrived)))
    }

    /// Whether all of this pack is there, or came to its end: what there is of it then.
    pub fn has_pack(&self, offer: PackOffer) -> Option<Progress> {
        let there = self.waiting_pack() == Some(offer) || self.taken_from(offer.digest).is_some();
        there.then_some(whole(offer.size))
    }

    /// The pack of which everything is there and nothing was decided.
    pub fn waiting_pack(&self) -> Option<PackOffer> {
        self.pack.offer().filter(|_| self.pack.is_complete())
    }

    /// Reads from byte `offset` of the pack into `buffer`, and returns how many bytes; 0 at its end.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_pack(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.store.storage().read_at(PACK[0], offset, buffer)
    }

    /// Puts the bundle that an update has taken out of the pack into the slot, as if it had been received.
    ///
    /// # Errors
    /// Why the bundle is not wanted, and [`WireError::Storage`]. It can be done again.
    pub fn place(&mut self, offer: Offer, bytes: &[u8]) -> Result<(), WireError> {
        self.check(offer)?;
        let there = self.transfer.filter(|there| there.offer == offer);
        if there.is_some_and(|there| there.chunks.complete()) {
            return Ok(());
        }
        self.fill(offer, bytes)
    }

    /// The pack came to its end, and is forgotten; `bundle` is the one that serves, or will, when it is offered again.
    ///
    /// # Errors
    /// [`WireError::Storage`].
    pub fn settle_pack(&mut self, pack: Digest, bundle: Option<Digest>) -> Result<(), WireError> {
        if let Some(bundle) = bundle {
            let taken = Taken { pack, bundle };
            position::store(self.store.storage(), TAKEN, &taken).map_err(disk)?;
            self.taken = Some(taken);
        }
        self.pack.forget(self.store.storage()).map_err(disk)
    }

    /// The bundle that was taken out of a pack, if it serves or waits in its slot.
    fn taken_from(&self, pack: Digest) -> Option<Digest> {
        let bundle = self.taken.filter(|taken| taken.pack == pack)?.bundle;
        let waits = self
            .transfer
            .is_some_and(|transfer| transfer.offer.digest == bundle && transfer.chunks.complete());
        (waits || self.serves(bundle)).then_some(bundle)
    }

    /// Fills the slot with what a complete delta leads to. Cut anywhere, it can be done again.
    fn apply(&mut self) -> Result<(), WireError> {
        let delta = self.delta.check(self.store.storage())?;
        let received = self.store.storage().read(DELTA[0]).map_err(disk)?;
        let received = received.unwrap_or_default();
        let base = match self.store.serving() {
            Some((side, _)) => self.store.read(side).map_err(storage)?,
            None => Vec::new(),
        };
        let target = delta.target;
        let bytes = tendon_delta::apply(&base, &received, target.size.into());
        let Some(bytes) = bytes.ok().filter(|bytes| {
            bytes.len() as u64 == u64::from(target.size)
                && Sha256::digest(bytes)[..] == target.digest.0
        }) else {
            self.forget_asides()?;
            return Err(WireError::OtherBase);
        };
        self.fill(target, &bytes)?;
        self.forget_asides()
    }

    /// Fills the slot with a whole bundle.
    fn fill(&mut self, offer: Offer, bytes: &[u8]) -> Result<(), WireError> {
        self.begin(offer)?;
        self.store.write(0, bytes).map_err(storage)?;
        self.store.sync().map_err(storage)?;
        self.record(offer, offer.size)?;
        self.transfer = Some(Transfer {
            offer,
            chunks: Chunks::new(offer.size, offer.size),
        });
        Ok(())
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

    /// Forgets what is received beside the slots.
    fn forget_asides(&mut self) -> Result<(), WireError> {
        self.delta.forget(self.store.storage()).map_err(disk)?;
        self.pack.forget(self.store.storage()).map_err(disk)
    }

    /// Records how much of a bundle is durable.
    fn record(&mut self, offer: Offer, next: u32) -> Result<(), WireError> {
        position::record(self.store.storage(), POSITION, offer.digest, next).map_err(disk)
    }
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

fn disk(error: io::Error) -> WireError {
    storage(error.into())
}

#[cfg(test)]
mod tests;
