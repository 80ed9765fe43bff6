//! Bytes between the receiver's interrupt, which puts them in, and the main loop, which takes them out.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// Bytes that may wait: more than any request has, and 90 ms of the line.
const CAPACITY: usize = 1024;

/// A queue of bytes for one writer and one reader.
pub(crate) struct Ring {
    bytes: [AtomicU8; CAPACITY],
    /// Bytes ever put in.
    written: AtomicUsize,
    /// Bytes ever taken out.
    read: AtomicUsize,
    lost: AtomicU32,
}

impl Ring {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; CAPACITY],
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            lost: AtomicU32::new(0),
        }
    }

    /// Puts a byte in, or counts it as lost. Only the interrupt calls this.
    pub(crate) fn push(&self, byte: u8) {
        let written = self.written.load(Ordering::Relaxed);
        let waiting = written.wrapping_sub(self.read.load(Ordering::Acquire));
        match self.bytes.get(written % CAPACITY) {
            Some(place) if waiting < CAPACITY => {
                place.store(byte, Ordering::Relaxed);
                self.written
                    .store(written.wrapping_add(1), Ordering::Release);
            }
            _ => self.lose(),
        }
    }

    /// Counts a byte that was lost. Only the interrupt calls this.
    pub(crate) fn lose(&self) {
        let lost = self.lost.load(Ordering::Relaxed);
        self.lost.store(lost.wrapping_add(1), Ordering::Relaxed);
    }

    /// Takes the oldest byte out. Only the main loop calls this.
    pub(crate) fn pop(&self) -> Option<u8> {
        let read = self.read.load(Ordering::Relaxed);
        if read == self.written.load(Ordering::Acquire) {
            return None;
        }
        let byte = self.bytes.get(read % CAPACITY)?.load(Ordering::Relaxed);
        self.read.store(read.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    /// Bytes that were lost since the start.
    pub(crate) fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }
}
