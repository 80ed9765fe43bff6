//! A file that is received beside the slots, until something goes into a slot from it: a difference, or a pack.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use tendon_shared::protocol::deploy::{Chunk, DeltaOffer, Digest, PackOffer, Progress};
use tendon_shared::protocol::error::WireError;

use super::chunks::Chunks;
use super::position::{record, recorded};
use crate::slots::storage::Storage;

/// Bytes read at a time for the digest.
const PIECE: usize = 64 << 10;

/// What such a file is offered as.
pub(super) trait Announced: Copy + PartialEq + Serialize + for<'a> Deserialize<'a> {
    /// SHA-256 of the file.
    fn digest(&self) -> Digest;

    /// Length of the file in bytes.
    fn size(&self) -> u32;
}

impl Announced for DeltaOffer {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn size(&self) -> u32 {
        self.size
    }
}

impl Announced for PackOffer {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn size(&self) -> u32 {
        self.size
    }
}

/// A file of its own, and the one that says how far it is.
#[derive(Debug)]
pub(super) struct Aside<O> {
    file: &'static str,
    position: &'static str,
    under_way: Option<(O, Chunks)>,
}

impl<O: Announced> Aside<O> {
    /// Takes up what was recorded.
    pub(super) fn open(
        storage: &mut dyn Storage,
        file: &'static str,
        position: &'static str,
    ) -> io::Result<Self> {
        let known = recorded::<O>(storage, position)?;
        let known = known.filter(|known| known.next <= known.offer.size());
        let under_way =
            known.map(|known| (known.offer, Chunks::new(known.offer.size(), known.next)));
        if known_nothing(&under_way) {
            storage.create(file)?;
        }
        Ok(Self {
            file,
            position,
            under_way,
        })
    }

    /// What is received, or was.
    pub(super) fn offer(&self) -> Option<O> {
        self.under_way.map(|(offer, _)| offer)
    }

    /// What is there of this file.
    pub(super) fn progress(&self, offer: O) -> Option<Progress> {
        let (known, chunks) = self.under_way?;
        (known == offer).then(|| chunks.progress())
    }

    /// Whether all of it is there.
    pub(super) fn is_complete(&self) -> bool {
        self.under_way.is_some_and(|(_, chunks)| chunks.complete())
    }

    /// Begins a file with nothing.
    pub(super) fn begin(&mut self, storage: &mut dyn Storage, offer: O) -> io::Result<()> {
        self.forget(storage)?;
        record(storage, self.position, offer, 0)?;
        storage.create(self.file)?;
        self.under_way = Some((offer, Chunks::new(offer.size(), 0)));
        Ok(())
    }

    /// Takes a chunk; one that is there already, or too far ahead, changes nothing.
    pub(super) fn chunk(
        &mut self,
        storage: &mut dyn Storage,
        chunk: Chunk<'_>,
        sync_bytes: u32,
    ) -> Result<Progress, WireError> {
        let (offer, mut chunks) = self.under_way.ok_or(WireError::NoTransfer)?;
        if chunks.wants(&chunk)? {
            let offset = chunk.offset;
            storage
                .write_at(self.file, offset.into(), chunk.data)
                .map_err(failed)?;
            if let Some(next) = chunks.wrote(offset, sync_bytes) {
                storage.sync(self.file).map_err(failed)?;
                record(storage, self.position, offer, next).map_err(failed)?;
                chunks.synced(next);
            }
            self.under_way = Some((offer, chunks));
        }
        Ok(chunks.progress())
    }

    /// Makes sure that all of it is there and is what was offered; what is not is forgotten.
    pub(super) fn check(&mut self, storage: &mut dyn Storage) -> Result<O, WireError> {
        let (offer, chunks) = self.under_way.ok_or(WireError::NoTransfer)?;
        if !chunks.complete() {
            return Err(WireError::Incomplete);
        }
        if self.digest(storage).map_err(failed)? != offer.digest() {
            self.forget(storage).map_err(failed)?;
            return Err(WireError::DigestMismatch);
        }
        Ok(offer)
    }

    /// SHA-256 of what is stored, which is never in memory as a whole.
    fn digest(&self, storage: &dyn Storage) -> io::Result<Digest> {
        let mut digest = Sha256::new();
        let mut buffer = vec![0; PIECE];
        let mut offset = 0;
        loop {
            match storage.read_at(self.file, offset, &mut buffer)? {
                0 => return Ok(Digest(digest.finalize().into())),
                length => {
                    digest.update(&buffer[..length]);
                    offset += length as u64;
                }
            }
        }
    }

    /// Forgets the file: its record first, so that it is never taken for another one.
    pub(super) fn forget(&mut self, storage: &mut dyn Storage) -> io::Result<()> {
        if self.under_way.take().is_some() {
            storage.replace(self.position, &[])?;
            storage.create(self.file)?;
        }
        Ok(())
    }
}

/// Whether something is under way of which nothing is durable: the file may still hold another one.
fn known_nothing<O>(under_way: &Option<(O, Chunks)>) -> bool {
    matches!(under_way, Some((_, chunks)) if chunks.durable() == 0)
}

/// The peer learns that the disk failed; what exactly goes to the device's log.
fn failed(_: io::Error) -> WireError {
    WireError::Storage
}
