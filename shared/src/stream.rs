//! Joint, bone and motion inputs, derived from a window: one definition for training and device.
//!
//! Streams are derived after augmentation, from the joints the encoder would see.

use crate::limits::AXES;
use crate::topology::Topology;
use serde::{Deserialize, Serialize};

/// An input derived from joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The joints themselves.
    Joint,
    /// Child minus parent, at the child; zero at the root.
    Bone,
    /// Next frame minus this one; zero in the last frame.
    Motion,
}

impl Stream {
    /// Every stream, in the order of a stacked input.
    pub const ALL: [Self; 3] = [Self::Joint, Self::Bone, Self::Motion];

    /// The name used in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Bone => "bone",
            Self::Motion => "motion",
        }
    }

    /// The stream called `name`, or nothing.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name() == name)
    }
}

/// A slice does not have the length that the number of frames, joints and streams asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLengthError {
    /// Values given.
    pub got: usize,
    /// Values needed.
    pub expected: usize,
}

impl core::fmt::Display for StreamLengthError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "a stream needs {} values here, the slice has {}",
            self.expected, self.got
        )
    }
}

impl core::error::Error for StreamLengthError {}

/// Derives one stream of one body.
///
/// # Shapes
/// `window` and `out` `[channel = 3, frame, joint]`.
///
/// # Errors
/// [`StreamLengthError`] when a slice has another length; nothing has been written then.
pub fn derive(
    stream: Stream,
    topology: &Topology,
    window: &[f32],
    frames: usize,
    out: &mut [f32],
) -> Result<(), StreamLengthError> {
    let joints = topology.joint_count();
    let expected = AXES * frames * joints;
    for got in [window.len(), out.len()] {
        if got != expected {
            return Err(StreamLengthError { got, expected });
        }
    }
    match stream {
        Stream::Joint => out.copy_from_slice(window),
        Stream::Bone => {
            for (out, frame) in out
                .chunks_exact_mut(joints)
                .zip(window.chunks_exact(joints))
            {
                out.fill(0.0);
                for &(child, parent) in topology.bones {
                    let (child, parent) = (usize::from(child), usize::from(parent));
                    if let (Some(out), Some(child), Some(parent)) =
                        (out.get_mut(child), frame.get(child), frame.get(parent))
                    {
                        *out = child - parent;
                    }
                }
            }
        }
        Stream::Motion => {
            let plane = frames * joints;
            if plane == 0 {
                return Ok(());
            }
            for (out, channel) in out.chunks_exact_mut(plane).zip(window.chunks_exact(plane)) {
                out.fill(0.0);
                for (out, (now, next)) in out
                    .iter_mut()
                    .zip(channel.iter().zip(channel.iter().skip(joints)))
                {
                    *out = next - now;
                }
            }
        }
    }
    Ok(())
}

/// Stacks several streams of one body on the channel axis: the encoder's input.
///
/// # Shapes
/// `window` `[channel = 3, frame, joint]`, `out` `[channel = 3 * streams, frame, joint]`.
///
/// # Errors
/// [`StreamLengthError`] when a slice has another length.
pub fn stack(
    streams: &[Stream],
    topology: &Topology,
    window: &[f32],
    frames: usize,
    out: &mut [f32],
) -> Result<(), StreamLengthError> {
    let one = AXES * frames * topology.joint_count();
    let expected = one * streams.len();
    if out.len() != expected {
        return Err(StreamLengthError {
            got: out.len(),
            expected,
        });
    }
    if one == 0 {
        return Ok(());
    }
    for (stream, out) in streams.iter().zip(out.chunks_exact_mut(one)) {
        derive(*stream, topology, window, frames, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::TopologyId;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Two frames in which joint `j` is at `(j, 10 j, 100 j)` times the frame's number, counted from one.
    fn window(topology: &Topology) -> Vec<f32> {
        let joints = topology.joint_count();
        let value = |axis: usize, frame: usize, joint: usize| {
            [1.0, 10.0, 100.0][axis] * joint as f32 * (frame + 1) as f32
        };
        (0..AXES * 2 * joints)
            .map(|i| value(i / (2 * joints), i / joints % 2, i % joints))
            .collect()
    }

    #[test]
    fn bones_are_child_minus_parent_and_the_root_has_none() {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let joints = topology.joint_count();
            let mut out = vec![9.0; AXES * 2 * joints];
            derive(Stream::Bone, topology, &window(topology), 2, &mut out).expect("lengths fit");
            for joint in 0..joints {
                let expect = topology
                    .parent(joint)
                    .map_or(0.0, |parent| joint as f32 - parent as f32);
                assert_eq!(out[joint], expect);
                assert_eq!(out[joints + joint], 2.0 * expect);
                assert_eq!(out[4 * joints + joint], 100.0 * expect);
            }
        }
    }

    #[test]
    fn motion_is_the_step_to_the_next_frame_and_ends_with_zero() {
        let topology = TopologyId::Ntu25.topology();
        let mut out = vec![9.0; AXES * 2 * 25];
        derive(Stream::Motion, topology, &window(topology), 2, &mut out).expect("lengths fit");
        assert_eq!((out[3], out[25 + 3], out[50 + 3]), (3.0, 0.0, 30.0));
    }

    #[test]
    fn a_stack_holds_the_streams_one_after_another() {
        let topology = TopologyId::Kinect20.topology();
        let window = window(topology);
        let mut stacked = vec![0.0; 3 * window.len()];
        stack(&Stream::ALL, topology, &window, 2, &mut stacked).expect("lengths fit");
        for (stream, part) in Stream::ALL
            .into_iter()
            .zip(stacked.chunks_exact(window.len()))
        {
            let mut alone = vec![0.0; window.len()];
            derive(stream, topology, &window, 2, &mut alone).expect("lengths fit");
            assert_eq!(part, alone);
        }
    }

    #[test]
    fn names_round_trip() {
        assert!(
            Stream::ALL
                .into_iter()
                .all(|stream| Stream::from_name(stream.name()) == Some(stream))
        );
    }

    proptest! {
        #[test]
        fn any_lengths_are_answered(window in 0_usize..200, frames in 0_usize..5, out in 0_usize..600) {
            let topology = TopologyId::Sbu15.topology();
            let window = vec![1.0; window];
            let mut out = vec![0.0; out];
            let _ = derive(Stream::Motion, topology, &window, frames, &mut out);
            let _ = stack(&Stream::ALL, topology, &window, frames, &mut out);
        }
    }
}
