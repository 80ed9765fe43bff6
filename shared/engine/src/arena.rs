//! The caller's memory, cut into the engine's regions.

use crate::error::BufferError;
use crate::spec::{ARENA_ALIGN, Spec};

/// The regions of an arena. Nothing in them is read before it is written.
pub(crate) struct Arena<'m> {
    /// Pooled sums, `[body, dim]`.
    pub(crate) pooled: &'m mut [i32],
    /// Scratch of one block.
    pub(crate) scratch: &'m mut [u8],
    /// Activations that a block reads.
    pub(crate) now: &'m mut [u8],
    /// Activations that a block writes.
    pub(crate) next: &'m mut [u8],
}

impl<'m> Arena<'m> {
    /// Cuts `memory`, which may start at any address.
    ///
    /// # Errors
    /// [`BufferError`] when it is shorter than `Encoder::arena_len`.
    pub(crate) fn cut(spec: &Spec, memory: &'m mut [u8]) -> Result<Self, BufferError> {
        let regions = spec.regions();
        let error = BufferError {
            buffer: "arena",
            found: memory.len(),
            needed: regions.arena_len(),
        };
        let skip = memory.as_ptr().align_offset(ARENA_ALIGN);
        let memory = memory.get_mut(skip..).ok_or(error)?;
        let (pooled, memory) = memory.split_at_mut_checked(regions.pooled).ok_or(error)?;
        let (scratch, memory) = memory.split_at_mut_checked(regions.scratch).ok_or(error)?;
        let (now, memory) = memory
            .split_at_mut_checked(regions.activation)
            .ok_or(error)?;
        let (next, _) = memory
            .split_at_mut_checked(regions.activation)
            .ok_or(error)?;
        Ok(Self {
            pooled: bytemuck::try_cast_slice_mut(pooled).map_err(|_| error)?,
            scratch,
            now,
            next,
        })
    }

    /// Swaps the two activation buffers.
    pub(crate) fn swap(&mut self) {
        core::mem::swap(&mut self.now, &mut self.next);
    }
}
