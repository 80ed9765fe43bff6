//! Poses that come over a link instead of as JSON lines.

use super::Event;
use super::line::MAX_METRES;
use tendon_shared::pose::Pose;
use tendon_shared::protocol::capture::{Capture, to_metres};

impl From<Capture> for Event {
    fn from(capture: Capture) -> Self {
        match capture {
            Capture::Source(topology) => Self::Hello { topology },
            Capture::End { track, time_ms } => Self::End {
                track,
                time_ms,
                label: None,
            },
            Capture::Pose(pose) => {
                let joints = pose.joints.iter().map(|joint| {
                    let joint = to_metres(*joint);
                    let seen = joint.iter().all(|value| value.abs() <= MAX_METRES);
                    if seen { joint } else { [0.0; 3] }
                });
                Self::Pose(Box::new(Pose {
                    time_ms: pose.time_ms,
                    track: pose.track,
                    joints: joints.collect(),
                    confidence: pose
                        .confidence
                        .iter()
                        .map(|confidence| f32::from(*confidence) / 255.0)
                        .collect(),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_shared::protocol::capture::{ABSENT, WirePose};

    #[test]
    fn a_pose_over_a_link_is_a_pose() {
        let wire = WirePose {
            time_ms: 7,
            track: 2,
            joints: [[1000, -500, 2500], [ABSENT, 0, 0]].into_iter().collect(),
            confidence: [255, 0].into_iter().collect(),
        };
        let Event::Pose(pose) = Event::from(Capture::Pose(wire)) else {
            panic!("no pose")
        };
        assert_eq!(pose.joints[..], [[1.0, -0.5, 2.5], [0.0; 3]]);
        assert_eq!(pose.confidence[..], [1.0, 0.0]);
    }
}
