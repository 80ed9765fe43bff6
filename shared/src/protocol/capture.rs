//! Poses from a microcontroller or another pose source to a device, small enough for a serial line.
//!
//! Coordinates are rounded to a millimetre, far below the noise of any pose estimator (Kinect v2: about 10 mm), which halves
//! the bytes: 25 joints fit in about 110. Devices never send these messages.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_JOINTS;
use crate::topology::TopologyId;

/// What a pose source tells a device.
#[expect(
    clippy::large_enum_variant,
    reason = "no allocation: messages have a fixed size"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Capture {
    /// Which skeleton standard the following poses have.
    Source(TopologyId),
    /// One person in one frame.
    Pose(WirePose),
    /// The person is gone.
    End {
        /// Who.
        track: u64,
        /// When, in ms on the source's clock.
        time_ms: u64,
    },
}

/// One person in one frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePose {
    /// Time on the source's clock, in ms.
    pub time_ms: u64,
    /// Who; stays the same while the person is followed.
    pub track: u64,
    /// `[joint, 3]`, millimetres in the frame of [`crate::pose`]. [`ABSENT`] in x: the joint was not seen.
    pub joints: Vec<[i16; 3], MAX_JOINTS>,
    /// Confidence of each joint, 0 to 255; may be empty.
    pub confidence: Vec<u8, MAX_JOINTS>,
}

/// The x of a joint that was not seen.
pub const ABSENT: i16 = i16::MIN;

/// A coordinate in metres as it travels; not a number becomes [`ABSENT`], far away is clamped to 32 m.
pub fn to_millimetres(metres: f32) -> i16 {
    if metres.is_nan() {
        return ABSENT;
    }
    libm::roundf(metres * 1000.0).clamp(f32::from(i16::MIN + 1), f32::from(i16::MAX)) as i16
}

/// A travelled joint in metres; not a number when it was not seen.
pub fn to_metres(joint: [i16; 3]) -> [f32; 3] {
    match joint {
        [ABSENT, ..] => [f32::NAN; 3],
        joint => joint.map(|millimetres| f32::from(millimetres) / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millimetres_survive_the_way() {
        assert_eq!(
            [1.2344, -0.5, 99.0].map(to_millimetres),
            [1234, -500, i16::MAX]
        );
        assert_eq!(to_metres([1234, -500, 0]), [1.234, -0.5, 0.0]);
        assert!(to_metres([to_millimetres(f32::NAN), 0, 0])[0].is_nan());
    }
}
