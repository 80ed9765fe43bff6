//! One performance as every reader and the generator hand it on.

use super::error::{Fault, Problem};
use tendon_shared::topology::TopologyId;

/// Frames of one recording; a longer one is refused (an hour and a half at 30 Hz).
pub const MAX_FRAMES: usize = 1 << 18;

/// Bodies of one recording.
pub(crate) const MAX_BODIES: usize = tendon_shared::limits::MAX_BODIES;

/// One performance at its native rate, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRecording {
    /// Unique in its set; the part before `#` names the file it comes from.
    pub name: String,
    /// Metres, camera frame, `[frame, body, joint, 3]`; an absent body is all zeros.
    pub poses: Vec<f32>,
    /// Frames, at least 1.
    pub frames: usize,
    /// Bodies in every frame, 1 or 2.
    pub bodies: usize,
    /// Index into the classes of the set.
    pub label: u16,
    /// The person, or for SBU the pair of persons.
    pub subject: u16,
    /// The camera or view.
    pub camera: u16,
    /// The setup (NTU), or the part (1 train, 2 test) of sets that come already split.
    pub setup: u16,
    /// The take.
    pub repetition: u16,
    /// Frames per second.
    pub fps: f32,
}

impl RawRecording {
    /// Checks sizes and numbers against the topology of the set.
    ///
    /// # Errors
    /// The first frame that breaks a rule, to be reported with the file's name.
    pub fn check(&self, topology: TopologyId) -> Result<(), Fault> {
        let joints = topology.topology().joint_count();
        if self.frames == 0 {
            return Err(Fault::file(Problem::Empty));
        }
        if self.frames > MAX_FRAMES {
            return Err(Fault::file(too_large(
                "the number of frames",
                self.frames,
                MAX_FRAMES,
            )));
        }
        if self.bodies == 0 || self.bodies > MAX_BODIES {
            return Err(Fault::file(too_large(
                "the number of bodies",
                self.bodies,
                MAX_BODIES,
            )));
        }
        let pose = self.bodies * joints * 3;
        if self.poses.len() != self.frames * pose {
            return Err(Fault::file(Problem::malformed(format!(
                "{} numbers where {} frames need {}",
                self.poses.len(),
                self.frames,
                self.frames * pose
            ))));
        }
        if let Some(bad) = self.poses.iter().position(|value| !value.is_finite()) {
            return Err(Fault::frame(bad / pose + 1, Problem::NonFinite));
        }
        if self.poses.iter().all(|&value| value == 0.0) {
            return Err(Fault::file(Problem::Empty));
        }
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(Fault::file(Problem::malformed(
                "the frame rate is not a positive number",
            )));
        }
        Ok(())
    }
}

/// The problem of a count above its limit.
pub(crate) fn too_large(what: &'static str, found: usize, limit: usize) -> Problem {
    Problem::TooLarge {
        what,
        found: found as u64,
        limit: limit as u64,
    }
}
