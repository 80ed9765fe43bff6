//! What a device tells about its work: counters and recognised actions.
//!
//! Invariant: no type here can hold a coordinate. Everything is a whole number or a class name out of the bundle; a test reads
//! this file and holds it to that.

use heapless::String;
use serde::{Deserialize, Serialize};

use super::adapt::Serving;
use crate::limits::CLASS_NAME_BYTES;

/// Which events a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// Recognised actions, as they happen.
    pub recognitions: bool,
    /// Installation and adaptation, as they change.
    pub changes: bool,
    /// Counters at this interval, in ms; 0 for never.
    pub counters_every_ms: u32,
}

/// An action was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognition {
    /// End of the window on the pose source's clock, in ms.
    pub time_ms: u64,
    /// Who.
    pub track: u64,
    /// Index of the class in the bundle.
    pub class: u8,
    /// Name of the class in the bundle.
    pub name: String<CLASS_NAME_BYTES>,
    /// Calibrated confidence, in thousandths (0..=1000).
    pub confidence: u16,
    /// Whether the confidence reaches the class's threshold; below it the answer is "not sure".
    pub sure: bool,
    /// Whose tail answered.
    pub serving: Serving,
}

/// An action was recognised in a window that a person can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The window's number in the device's life.
    pub window: u64,
    /// What was recognised.
    pub recognition: Recognition,
}

/// What the input was like since the device started, each kind of badness by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputCounts {
    /// The oldest and the newest window that a person can name.
    pub nameable: Option<(u64, u64)>,
    /// Persons followed at the moment.
    pub tracks: u32,
    /// Lines that are not what the format allows.
    pub malformed: u64,
    /// Lines longer than the limit.
    pub too_long: u64,
    /// Joints that were not finite, read as absent.
    pub not_finite: u64,
    /// Joints farther away than a camera sees, read as absent.
    pub absurd: u64,
    /// Poses with another number of joints than the model's, or of a topology that cannot be converted.
    pub foreign: u64,
    /// Poses whose time did not move on.
    pub out_of_order: u64,
    /// Tracks that began anew because the source's clock was set back.
    pub clock_resets: u64,
    /// Tracks that gave way because there were too many.
    pub crowded: u64,
    /// Tracks longer than a window may be, whose oldest poses were dropped.
    pub overrun: u64,
    /// Windows with too few poses or joints to be recognised.
    pub poor: u64,
    /// Windows in which the picture stood still; never learnt from.
    pub frozen: u64,
    /// Windows in which the body leapt; never learnt from.
    pub torn: u64,
    /// Windows of no action that the bundle knows; never learnt from.
    pub unknown: u64,
    /// Windows that a person named.
    pub named: u64,
}

/// Counters since the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Time since the device's start, in ms.
    pub uptime_ms: u64,
    /// Version of the bundle that serves; 0 for none.
    pub model: u64,
    /// Poses taken from sources.
    pub poses: u64,
    /// Lines or messages of a source that were not poses, or poses of another topology.
    pub bad_poses: u64,
    /// Windows that went through the encoder.
    pub windows: u64,
    /// Windows whose answer reached its threshold.
    pub sure: u64,
    /// Mean time of a window through the encoder, in µs.
    pub window_us: u32,
    /// Windows that came with a label; labels are only for measuring.
    pub labelled: u64,
    /// Of these, how many answers were right.
    pub correct: u64,
    /// Of these, how many answers of the base tail were right.
    pub correct_base: u64,
    /// Updates of the adapted tail.
    pub updates: u32,
    /// Guard score of the base tail, in thousandths (0..=1000).
    pub guard_base: u16,
    /// Guard score of the adapted tail, in thousandths (0..=1000).
    pub guard_adapted: u16,
    /// Packets that arrived broken.
    pub bad_packets: u32,
    /// Bundles that were refused or rolled back.
    pub rejected: u32,
    /// Starts of the agent over the device's life.
    pub boots: u32,
    /// Poses that came faster than they could be taken, and were dropped.
    pub dropped_poses: u64,
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_type_here_can_hold_a_coordinate() {
        let (types, _) = include_str!("telemetry.rs")
            .split_once("#[cfg(test)]")
            .unwrap();
        for fractional in [
            "f32",
            "f64",
            "[i",
            "[u",
            "Vec<",
            "WirePose",
            "pose::",
            "capture::",
        ] {
            assert!(!types.contains(fractional), "{fractional}");
        }
    }
}
