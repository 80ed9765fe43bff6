//! What the device tells about its work: counters of its own, event lines, and a journal on disk.
//!
//! Everything is made of the wire's telemetry types, which cannot hold a coordinate.

pub mod journal;
pub mod line;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tendon_shared::protocol::telemetry::Counters;

/// Counters of sessions and installation; the pipeline keeps its own.
#[derive(Debug, Default)]
pub struct Meter {
    bad_packets: AtomicU32,
    rejected: AtomicU32,
    dropped_poses: AtomicU32,
}

impl Meter {
    /// A packet arrived broken.
    pub fn bad_packet(&self) {
        self.bad_packets.fetch_add(1, Ordering::Relaxed);
    }

    /// A pose over a link found the pipeline's queue full.
    pub fn dropped_pose(&self) {
        self.dropped_poses.fetch_add(1, Ordering::Relaxed);
    }

    /// A bundle was refused or rolled back.
    pub fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Completes the pipeline's counters.
    pub fn complete(&self, counters: &mut Counters, uptime: Duration, boots: u32, model: u64) {
        counters.uptime_ms = uptime.as_millis() as u64;
        counters.bad_packets += self.bad_packets.load(Ordering::Relaxed);
        counters.rejected = self.rejected.load(Ordering::Relaxed);
        counters.dropped_poses += u64::from(self.dropped_poses.load(Ordering::Relaxed));
        counters.boots = boots;
        counters.model = model;
    }
}
