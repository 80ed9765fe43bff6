//! From raw poses to a window: centred, turned to face the camera, resampled to a fixed number of frames.
//!
//! Host and edge both call [`normalize`], so a model never sees on the device what it did not see in training.
//! [`Mode::Paper`] reproduces the published pipeline with its flaws, to compare numbers; [`Mode::Product`] mends them.
//! It works in the output slice and needs no other buffer. Streams are derived afterwards ([`crate::stream`]).

mod paper;
mod product;

use crate::limits::{AXES, MAX_BODIES, MAX_WINDOW_FRAMES};
use crate::pose::{Presence, is_present};
use crate::topology::Topology;
use serde::{Deserialize, Serialize};

/// Version of what this module computes. Data, models and bundles carry it; it rises with every change of a result.
pub const PREPROCESSING_VERSION: u32 = 1;

/// Which pipeline makes a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// CrosSCLR, AimCLR, CMCS and SkeleMixCLR, exactly (see `normalize/paper.rs`).
    Paper,
    /// The same geometry made robust for live data (see `normalize/product.rs`).
    Product,
}

/// What a window looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NormalizeSpec {
    /// The pipeline.
    pub mode: Mode,
    /// Frames of the window, 1..=[`MAX_WINDOW_FRAMES`].
    pub frames: u16,
    /// Bodies of the poses and of the window, 1..=[`MAX_BODIES`].
    pub bodies: u8,
}

impl NormalizeSpec {
    /// Values of one window for a topology: `bodies * 3 * frames * joints`.
    #[must_use]
    pub const fn window_len(&self, topology: &Topology) -> usize {
        self.bodies as usize * AXES * self.frames as usize * topology.joint_count()
    }

    /// Values of one raw frame for a topology: `bodies * joints * 3`.
    #[must_use]
    pub const fn frame_len(&self, topology: &Topology) -> usize {
        self.bodies as usize * topology.joint_count() * AXES
    }
}

/// Why a window could not be made. All are errors of the caller; no content of the poses is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormalizeError {
    /// `frames` or `bodies` of the specification is zero or beyond [`crate::limits`].
    Spec {
        /// Frames asked for.
        frames: u16,
        /// Bodies asked for.
        bodies: u8,
    },
    /// The poses are not a whole number of frames.
    Poses {
        /// Values given.
        got: usize,
        /// Values of one frame.
        frame: usize,
    },
    /// The output has the wrong length.
    Output {
        /// Values given.
        got: usize,
        /// Values needed: [`NormalizeSpec::window_len`].
        expected: usize,
    },
}

impl core::fmt::Display for NormalizeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Spec { frames, bodies } => write!(
                f,
                "a window of {frames} frames and {bodies} bodies is not possible: 1 to {MAX_WINDOW_FRAMES} frames, 1 to {MAX_BODIES} bodies"
            ),
            Self::Poses { got, frame } => {
                write!(
                    f,
                    "{got} pose values are not a whole number of frames of {frame} values"
                )
            }
            Self::Output { got, expected } => write!(
                f,
                "the window needs {expected} values, the output has {got}"
            ),
        }
    }
}

impl core::error::Error for NormalizeError {}

/// Makes a window from raw poses and says which bodies are in it.
///
/// Any content is accepted: absent joints are zeros, values that are not finite or beyond
/// [`crate::limits::MAX_COORDINATE`] are read as absent, and the output is always finite. Poses without anybody give a
/// window of zeros and [`Presence::NONE`].
///
/// # Shapes
/// `poses` `[frame, body, joint, 3]` in metres, camera frame; `out` `[body, channel = 3, frame, joint]`. Both have
/// `spec.bodies` bodies.
///
/// # Errors
/// [`NormalizeError`] when a length does not fit `spec`; nothing has been written then.
pub fn normalize(
    topology: &Topology,
    spec: &NormalizeSpec,
    poses: &[f32],
    out: &mut [f32],
) -> Result<Presence, NormalizeError> {
    let (frames, bodies) = (usize::from(spec.frames), usize::from(spec.bodies));
    if !(1..=MAX_WINDOW_FRAMES).contains(&frames) || !(1..=MAX_BODIES).contains(&bodies) {
        return Err(NormalizeError::Spec {
            frames: spec.frames,
            bodies: spec.bodies,
        });
    }
    let source = Source::new(topology, bodies, poses)?;
    let expected = spec.window_len(topology);
    if out.len() != expected {
        return Err(NormalizeError::Output {
            got: out.len(),
            expected,
        });
    }
    out.fill(0.0);
    let mut presence = Presence::NONE;
    let range = match spec.mode {
        Mode::Paper => paper::valid_range(&source),
        Mode::Product => product::valid_range(&source),
    };
    let body_len = AXES * frames * topology.joint_count();
    for (body, values) in out.chunks_exact_mut(body_len).enumerate() {
        if !range.clone().any(|frame| source.has_body(frame, body)) {
            continue;
        }
        let mut target = Target {
            values,
            frames,
            joints: topology.joint_count(),
        };
        match spec.mode {
            Mode::Paper => paper::body(topology, &source, range.clone(), body, &mut target),
            Mode::Product => product::body(topology, &source, range.clone(), body, &mut target),
        }
        presence = presence.with(body);
    }
    Ok(presence)
}

/// Raw poses, read with absent joints as nothing.
struct Source<'a> {
    poses: &'a [f32],
    bodies: usize,
    joints: usize,
    frames: usize,
}

impl<'a> Source<'a> {
    fn new(topology: &Topology, bodies: usize, poses: &'a [f32]) -> Result<Self, NormalizeError> {
        let joints = topology.joint_count();
        let frame = bodies * joints * AXES;
        if !poses.len().is_multiple_of(frame) {
            return Err(NormalizeError::Poses {
                got: poses.len(),
                frame,
            });
        }
        Ok(Self {
            poses,
            bodies,
            joints,
            frames: poses.len() / frame,
        })
    }

    /// The joint's position, or nothing when it is absent or out of range.
    fn joint(&self, frame: usize, body: usize, joint: usize) -> Option<[f32; 3]> {
        let at = ((frame * self.bodies + body) * self.joints + joint) * AXES;
        let position: [f32; 3] = self.poses.get(at..at + AXES)?.try_into().ok()?;
        is_present(&position).then_some(position)
    }

    fn has_body(&self, frame: usize, body: usize) -> bool {
        (0..self.joints).any(|joint| self.joint(frame, body, joint).is_some())
    }
}

/// One body of a window, `[channel = 3, frame, joint]`. Reading or writing outside of it does nothing.
struct Target<'a> {
    values: &'a mut [f32],
    frames: usize,
    joints: usize,
}

impl Target<'_> {
    fn get(&self, frame: usize, joint: usize) -> [f32; 3] {
        let plane = self.frames * self.joints;
        let at = frame * self.joints + joint;
        [0, 1, 2].map(|axis| self.values.get(axis * plane + at).copied().unwrap_or(0.0))
    }

    fn set(&mut self, frame: usize, joint: usize, position: [f32; 3]) {
        let plane = self.frames * self.joints;
        let at = frame * self.joints + joint;
        for (axis, coordinate) in position.into_iter().enumerate() {
            if let Some(value) = self.values.get_mut(axis * plane + at) {
                *value = coordinate;
            }
        }
    }

    /// Replaces every joint of `frame` by what `change` makes of it.
    fn update(&mut self, frame: usize, change: impl Fn([f32; 3]) -> [f32; 3]) {
        for joint in 0..self.joints {
            let position = self.get(frame, joint);
            self.set(frame, joint, change(position));
        }
    }

    /// From the left to the right shoulder, in the horizontal plane: x and z in metres.
    fn shoulders(&self, topology: &Topology, frame: usize) -> [f32; 2] {
        let left = self.get(frame, usize::from(topology.left_shoulder));
        let right = self.get(frame, usize::from(topology.right_shoulder));
        [right[0] - left[0], right[2] - left[2]]
    }
}

fn subtract(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Turns about the vertical axis: `x' = cos x - sin z`, `z' = sin x + cos z`.
fn turn(position: [f32; 3], sin: f32, cos: f32) -> [f32; 3] {
    let [x, y, z] = position;
    [cos * x - sin * z, y, sin * x + cos * z]
}

#[cfg(test)]
mod tests;
