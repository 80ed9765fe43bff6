//! The slots: the state machine, its record, and the two bundle files.
//!
//! Every change is in the record, durably, before it takes effect. While a slot is being filled the record says so, so that
//! half a file is never taken for a bundle.

use std::io;

use tendon_shared::protocol::deploy::Offer;
use tendon_shared::slot::{Impossible, Side, SlotEvent, Slots};

use super::record::Record;
use super::storage::Storage;

/// Why a slot could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed: see whether it is full, read-only or broken.
    #[error("the data folder cannot be used")]
    Io(#[from] io::Error),
    /// The step makes no sense now.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The record names a bundle whose file is gone: deploy the bundle again.
    #[error("the bundle file of slot {0:?} is gone")]
    Missing(Side),
}

/// Both slots on a storage.
pub struct Store {
    storage: Box<dyn Storage>,
    record: Record,
}

impl Store {
    /// Reads the record; changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(storage: Box<dyn Storage>) -> Result<Self, StoreError> {
        let record = Record::load(&*storage)?;
        Ok(Self { storage, record })
    }

    /// Counts a start of the agent; a trial with too many of them ends here.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn boot(&mut self) -> Result<(), StoreError> {
        let slots = self.record.slots.apply(SlotEvent::Boot)?;
        self.change(|record| {
            record.slots = slots;
            record.boots = record.boots.saturating_add(1);
        })
    }

    /// The states of both slots.
    pub fn slots(&self) -> Slots {
        self.record.slots
    }

    /// Everything that is recorded.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the serving slot holds.
    pub fn serving(&self) -> Option<(Side, Offer)> {
        let side = self.record.slots.serving()?;
        Some((side, self.record.content(side)?))
    }

    /// The bytes of a slot's bundle file.
    ///
    /// # Errors
    /// [`StoreError::Missing`] and [`StoreError::Io`].
    pub fn read(&self, side: Side) -> Result<Vec<u8>, StoreError> {
        self.storage
            .read(file(side))?
            .ok_or(StoreError::Missing(side))
    }

    /// Begins to fill the slot that does not serve.
    ///
    /// # Errors
    /// [`StoreError::Impossible`] during a trial; [`StoreError::Io`].
    pub fn begin(&mut self, offer: Offer) -> Result<(), StoreError> {
        let slots = self.record.slots.apply(SlotEvent::Begin)?;
        self.change(|record| {
            record.slots = slots;
            if let Some(side) = slots.incoming() {
                record.set_content(side, offer);
            }
        })?;
        self.empty()
    }

    /// Empties the file of the slot that is being filled: after a crash it may still hold what the slot held before.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn empty(&mut self) -> Result<(), StoreError> {
        let side = self.filling()?;
        Ok(self.storage.create(file(side))?)
    }

    /// Writes a piece of the bundle to the slot that is being filled. Durable after [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError::Impossible`] when no slot is being filled; [`StoreError::Io`].
    pub fn write(&mut self, offset: u32, data: &[u8]) -> Result<(), StoreError> {
        let side = self.filling()?;
        Ok(self.storage.write_at(file(side), offset.into(), data)?)
    }

    /// Makes the pieces written so far durable.
    ///
    /// # Errors
    /// [`StoreError::Impossible`] when no slot is being filled; [`StoreError::Io`].
    pub fn sync(&mut self) -> Result<(), StoreError> {
        let side = self.filling()?;
        Ok(self.storage.sync(file(side))?)
    }

    /// Applies an event and stores the outcome. A confirmed bundle raises the floor.
    ///
    /// # Errors
    /// [`StoreError::Impossible`] when it makes no sense now; [`StoreError::Io`].
    pub fn apply(&mut self, event: SlotEvent) -> Result<(), StoreError> {
        let slots = self.record.slots.apply(event)?;
        if slots == self.record.slots {
            return Ok(());
        }
        self.change(|record| {
            record.slots = slots;
            if event == SlotEvent::Confirm
                && let Some(offer) = slots.confirmed().and_then(|side| record.content(side))
            {
                record.floor = record.floor.max(offer.model);
            }
        })
    }

    /// The storage, for records that belong to the slots.
    pub fn storage(&mut self) -> &mut dyn Storage {
        &mut *self.storage
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.storage.free_bytes()?)
    }

    fn filling(&self) -> Result<Side, StoreError> {
        self.record.slots.incoming().ok_or_else(|| {
            StoreError::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no slot is being filled",
            ))
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), StoreError> {
        let mut record = self.record.clone();
        change(&mut record);
        record.save(&mut *self.storage)?;
        self.record = record;
        Ok(())
    }
}

/// Name of a slot's bundle file.
fn file(side: Side) -> &'static str {
    match side {
        Side::A => "a.tendon",
        Side::B => "b.tendon",
    }
}
