//! What a device and a pose bridge tell each other: a microcontroller beside the sensor, at the end of a serial line.
//!
//! The device asks ([`super::Request::Bridge`], [`super::Request::BridgeReport`]), the bridge answers with its report. Unasked a bridge sends poses
//! ([`super::capture`]) or, when it has an encoder of its own, [`Answer`]s; and its report about once a second until somebody has told
//! it what to do. No type here can hold a coordinate.

use serde::{Deserialize, Serialize};

use super::telemetry::Recognition;
use crate::topology::TopologyId;

/// What a bridge sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BridgeOutput {
    /// Nothing but its report.
    #[default]
    Nothing,
    /// Poses, as the sensor gives them.
    Poses,
    /// What its own encoder recognises; poses stay on the bridge.
    Answers,
}

/// How a bridge works. It forgets this when it starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BridgeSettings {
    /// What it sends.
    pub output: BridgeOutput,
    /// Time between two frames of the sensor, in ms; 0: as fast as sensor and line can.
    pub frame_ms: u16,
    /// Frames after which it rests until it is told something else; 0: never.
    pub frames: u32,
}

/// What a bridge tells about itself. Counters are since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeReport {
    /// How it works at the moment.
    pub settings: BridgeSettings,
    /// Skeleton standard of its sensor.
    pub topology: TopologyId,
    /// Classes of its encoder; 0 without one.
    pub classes: u16,
    /// Time since its start, in ms.
    pub uptime_ms: u64,
    /// Frames taken from the sensor.
    pub frames: u64,
    /// Poses and answers sent.
    pub sent: u64,
    /// Frames that the sensor could not give.
    pub sensor_errors: u32,
    /// Settings that were taken.
    pub configured: u32,
    /// Packets that arrived broken.
    pub bad_packets: u32,
    /// Whole packets that were no message for a bridge.
    pub refused: u32,
    /// Bytes that came faster than they could be taken, and were lost.
    pub overruns: u32,
    /// Memory that its stack may use, in bytes.
    pub stack_bytes: u32,
    /// The most that its stack has used, in bytes.
    pub stack_used: u32,
    /// Time of the last window from poses to answer, in ms; 0 without one.
    pub window_ms: u32,
}

/// What a bridge's own encoder recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer, as a device itself would give it.
    pub recognition: Recognition,
    /// CRC-32 of the window's logits, each an `i32` in little-endian order: whoever has the same poses and the same encoder can tell whether
    /// both compute the same.
    pub logits_crc: u32,
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_type_here_can_hold_a_coordinate() {
        let (types, _) = include_str!("bridge.rs")
            .split_once("#[cfg(test)]")
            .unwrap();
        for fractional in ["f32", "f64", "[i", "[u", "Vec<", "WirePose", "pose::"] {
            assert!(!types.contains(fractional), "{fractional}");
        }
    }
}
