//! COCO keypoints, 17 joints.
//!
//! # Source
//! Keypoint order of the COCO data set; bones as in the `coco` graph of PYSKL, whose centre is the nose because the
//! standard has no joint on the trunk. For a centre that does not move with the head, convert to `kinect20` first
//! ([`super::map::retarget`]).

use super::{Part, Topology, TopologyId};

pub(super) static TOPOLOGY: Topology = Topology {
    id: TopologyId::Coco17,
    name: "coco17",
    joints: &[
        "nose",
        "left eye",
        "right eye",
        "left ear",
        "right ear",
        "left shoulder",
        "right shoulder",
        "left elbow",
        "right elbow",
        "left wrist",
        "right wrist",
        "left hip",
        "right hip",
        "left knee",
        "right knee",
        "left ankle",
        "right ankle",
    ],
    #[rustfmt::skip]
    bones: &[
        (1, 0), (2, 0), (3, 1), (4, 2), (5, 0), (6, 0), (7, 5), (8, 6), (9, 7), (10, 8),
        (11, 5), (12, 6), (13, 11), (14, 12), (15, 13), (16, 14),
    ],
    parts: [
        Part {
            name: "torso",
            joints: &[0, 1, 2, 3, 4],
        },
        Part {
            name: "left arm",
            joints: &[5, 7, 9],
        },
        Part {
            name: "right arm",
            joints: &[6, 8, 10],
        },
        Part {
            name: "left leg",
            joints: &[11, 13, 15],
        },
        Part {
            name: "right leg",
            joints: &[12, 14, 16],
        },
    ],
    mirror: &[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15],
    root: 0,
    left_shoulder: 5,
    right_shoulder: 6,
    left_hip: 11,
    right_hip: 12,
};
