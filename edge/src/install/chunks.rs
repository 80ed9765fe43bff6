//! Which chunks of a file are there.

use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, CHUNKS_AHEAD, Chunk, Progress};
use tendon_shared::protocol::error::WireError;

/// The chunks of one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    size: u32,
    progress: Progress,
    durable: u32,
}

impl Chunks {
    /// Of a file of `size` bytes, of which the first `durable` are there for good.
    pub(super) const fn new(size: u32, durable: u32) -> Self {
        Self {
            size,
            progress: Progress {
                next: durable,
                ahead: 0,
            },
            durable,
        }
    }

    pub(super) const fn progress(&self) -> Progress {
        self.progress
    }

    /// Bytes that are there for good, from the file's beginning.
    pub(super) const fn durable(&self) -> u32 {
        self.durable
    }

    pub(super) const fn complete(&self) -> bool {
        self.progress.next >= self.size
    }

    /// Whether a chunk is to be written: it is neither there already nor too far ahead.
    ///
    /// # Errors
    /// [`WireError::ChunkCorrupt`], [`WireError::ChunkMisplaced`].
    pub(super) fn wants(&self, chunk: &Chunk<'_>) -> Result<bool, WireError> {
        let expected = self.expected(chunk.offset);
        if !chunk.offset.is_multiple_of(CHUNK_BYTES as u32)
            || chunk.data.len() as u32 != expected
            || expected == 0
        {
            return Err(WireError::ChunkMisplaced);
        }
        if crc32(chunk.data) != chunk.crc {
            return Err(WireError::ChunkCorrupt);
        }
        let near = self.distance(chunk.offset) <= u32::from(CHUNKS_AHEAD);
        Ok(near && !self.progress.has(chunk.offset))
    }

    /// Notes that the wanted chunk at `offset` was written. Returns what is then to be made durable, if `sync_bytes` have come since
    /// the last time or the file is complete.
    pub(super) fn wrote(&mut self, offset: u32, sync_bytes: u32) -> Option<u32> {
        let distance = self.distance(offset);
        let expected = self.expected(offset);
        let progress = &mut self.progress;
        if let Some(bit) = distance.checked_sub(1) {
            progress.ahead |= 1 << bit;
        } else {
            progress.next += expected;
            while progress.ahead & 1 == 1 {
                progress.ahead >>= 1;
                progress.next = progress.next.saturating_add(CHUNK_BYTES as u32);
                progress.next = progress.next.min(self.size);
            }
            // The bit of the chunk at `next` itself is implied: it is missing.
            progress.ahead >>= 1;
        }
        let next = progress.next;
        (next - self.durable >= sync_bytes || next == self.size).then_some(next)
    }

    /// Notes that the first `next` bytes are there for good.
    pub(super) const fn synced(&mut self, next: u32) {
        self.durable = next;
    }

    /// Bytes of the chunk at `offset`.
    fn expected(&self, offset: u32) -> u32 {
        self.size.saturating_sub(offset).min(CHUNK_BYTES as u32)
    }

    /// Chunks from the first missing one to the one at `offset`.
    fn distance(&self, offset: u32) -> u32 {
        offset.saturating_sub(self.progress.next) / CHUNK_BYTES as u32
    }
}
