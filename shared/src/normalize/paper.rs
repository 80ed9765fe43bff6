//! The published pipeline, step by step and with its flaws.
//!
//! 1. Frames beyond the 300th are cut; the valid length L is the *number* of frames in which joint 0 of body 0 is not
//!    zero, and frames `0..L` are used, as if the valid ones came first.
//! 2. The root is put at the origin per frame and body, so the way a person goes and the distance between two people are
//!    lost. An absent joint of a present body is treated as if it were at the camera (zero), as published.
//! 3. Linear resize from L to the window's frames ([`crate::resample`]).
//! 4. Shoulders are turned to +x per frame, by an angle whose sign is chosen once a clip, so a person who turns past the
//!    camera's axis gets wrong frames.
//!
//! # Source
//! The data preparation of CrosSCLR, which AimCLR, CMCS and SkeleMixCLR share. Difference: a joint with a value that is
//! not finite is read as zero.

use super::{Source, Target, subtract, turn};
use crate::limits::MAX_WINDOW_FRAMES;
use crate::resample::Tap;
use crate::topology::Topology;
use core::ops::Range;

/// Keeps the division finite for a body seen from the side (metres; value of the published code).
const SHOULDER_EPSILON: f32 = 1e-4;

/// Frames `0..L` (step 1).
pub(super) fn valid_range(source: &Source<'_>) -> Range<usize> {
    0..(0..source.frames.min(MAX_WINDOW_FRAMES))
        .filter(|frame| source.joint(*frame, 0, 0).is_some())
        .count()
}

/// Steps 2 to 4 for one body.
pub(super) fn body(
    topology: &Topology,
    source: &Source<'_>,
    range: Range<usize>,
    body: usize,
    target: &mut Target<'_>,
) {
    let root = usize::from(topology.root);
    for frame in 0..target.frames {
        let tap = Tap::new(frame, range.len(), target.frames);
        let centred = |frame: usize, joint: usize| {
            let position = source
                .joint(range.start + frame, body, joint)
                .unwrap_or_default();
            subtract(
                position,
                source
                    .joint(range.start + frame, body, root)
                    .unwrap_or_default(),
            )
        };
        for joint in 0..target.joints {
            let (before, after) = (centred(tap.before, joint), centred(tap.after, joint));
            target.set(
                frame,
                joint,
                [
                    tap.mix(before[0], after[0]),
                    tap.mix(before[1], after[1]),
                    tap.mix(before[2], after[2]),
                ],
            );
        }
    }
    face_camera(topology, target);
}

/// Step 4.
fn face_camera(topology: &Topology, target: &mut Target<'_>) {
    let depth: f32 = (0..target.frames)
        .map(|frame| target.shoulders(topology, frame)[1])
        .sum();
    for frame in 0..target.frames {
        let [x, z] = target.shoulders(topology, frame);
        let length = libm::sqrtf(x * x + z * z);
        let angle = libm::acosf((x / (length + SHOULDER_EPSILON)).clamp(-1.0, 1.0));
        let angle = if depth >= 0.0 { -angle } else { angle };
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        target.update(frame, |position| turn(position, sin, cos));
    }
}
