//! One frame of one person, and which bodies of a window are there.
//!
//! Coordinates are metres in the camera's frame, right-handed as Kinects record them: y up, z away from the camera, and x
//! such that a person who faces the camera has the right hand at larger x. An estimator whose x grows the other way must
//! negate it, or left and right are exchanged.

use crate::limits::{MAX_BODIES, MAX_COORDINATE, MAX_JOINTS};
use serde::{Deserialize, Serialize};

/// One frame of one tracked person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Time of capture in milliseconds, from any fixed origin.
    pub time_ms: u64,
    /// Number the pose source gave this person; never reused for another within a run.
    pub track: u64,
    /// Joint positions in metres, in the topology's order. All zero or not finite means "not seen".
    pub joints: heapless::Vec<[f32; 3], MAX_JOINTS>,
    /// Confidence of every joint, 0..=1; empty when the source gives none.
    pub confidence: heapless::Vec<f32, MAX_JOINTS>,
}

/// Whether a joint was seen: finite, of believable size and not exactly the origin, which every data set uses for "absent".
#[must_use]
pub fn is_present(joint: &[f32; 3]) -> bool {
    // NaN fails the comparison, so it counts as absent.
    joint.iter().all(|x| x.abs() <= MAX_COORDINATE) && joint.iter().any(|x| *x != 0.0)
}

/// Which bodies of a window are there: bit `b` is body `b`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Presence(pub u8);

impl Presence {
    /// Nobody is there.
    pub const NONE: Self = Self(0);
    /// The first body alone.
    pub const FIRST: Self = Self(1);

    /// Whether body `body` is there.
    #[must_use]
    pub const fn contains(self, body: usize) -> bool {
        body < 8 && self.0 & (1 << body) != 0
    }

    /// The same, and body `body` too. A number above 7 changes nothing.
    #[must_use]
    pub const fn with(self, body: usize) -> Self {
        if body < 8 {
            Self(self.0 | (1 << body))
        } else {
            self
        }
    }

    /// How many bodies are there.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Numbers of the bodies that are there, in order.
    pub fn bodies(self) -> impl Iterator<Item = usize> {
        (0..MAX_BODIES).filter(move |body| self.contains(*body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_is_absent_when_zero_not_finite_or_out_of_this_world() {
        let check =
            |joint: [f32; 3], expect: bool| assert_eq!(is_present(&joint), expect, "{joint:?}");
        check([0.0, 0.0, 0.0], false);
        check([-0.0, 0.0, 0.0], false);
        check([0.0, 0.0, 0.1], true);
        check([f32::NAN, 1.0, 1.0], false);
        check([1.0, f32::INFINITY, 1.0], false);
        check([1.0, 1.0, 1e7], false);
    }

    #[test]
    fn presence_counts_and_lists_its_bodies() {
        let both = Presence::FIRST.with(1);
        assert_eq!((both.count(), both.0), (2, 3));
        assert!(both.bodies().eq([0, 1]));
        assert!(Presence::NONE.with(1).bodies().eq([1]));
        assert_eq!(Presence::NONE.with(9), Presence::NONE);
        assert!(!both.contains(200));
    }
}
