//! What was read and what was refused, counted from any thread.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the readers share with whoever reports them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Lines read, good or bad.
    pub lines: AtomicU64,
    /// Lines longer than the limit.
    pub too_long: AtomicU64,
    /// Lines that are not what the format allows.
    pub malformed: AtomicU64,
    /// Poses dropped because the channel was full.
    pub dropped: AtomicU64,
    /// Joints that were not finite, read as absent.
    pub not_finite: AtomicU64,
    /// Joints farther away than a camera sees, read as absent.
    pub absurd: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Packets of a pose bridge that arrived broken.
    pub broken: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CaptureCounts {
    /// See [`Counters::lines`].
    pub lines: u64,
    /// See [`Counters::too_long`].
    pub too_long: u64,
    /// See [`Counters::malformed`].
    pub malformed: u64,
    /// See [`Counters::dropped`].
    pub dropped: u64,
    /// See [`Counters::not_finite`].
    pub not_finite: u64,
    /// See [`Counters::absurd`].
    pub absurd: u64,
    /// See [`Counters::connections`].
    pub connections: u64,
    /// See [`Counters::broken`].
    pub broken: u64,
}

impl Counters {
    /// Adds `by` to one counter.
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Reads all counters.
    #[must_use]
    pub fn snapshot(&self) -> CaptureCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CaptureCounts {
            lines: read(&self.lines),
            too_long: read(&self.too_long),
            malformed: read(&self.malformed),
            dropped: read(&self.dropped),
            not_finite: read(&self.not_finite),
            absurd: read(&self.absurd),
            connections: read(&self.connections),
            broken: read(&self.broken),
        }
    }
}
