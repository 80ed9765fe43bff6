//! SBU Kinect Interaction order, 15 joints.
//!
//! # Source
//! The data set's read-me. The neck is the centre, as it is where the arms meet the trunk in the other standards.

use super::{Part, Topology, TopologyId};

pub(super) static TOPOLOGY: Topology = Topology {
    id: TopologyId::Sbu15,
    name: "sbu15",
    joints: &[
        "head",
        "neck",
        "torso",
        "left shoulder",
        "left elbow",
        "left hand",
        "right shoulder",
        "right elbow",
        "right hand",
        "left hip",
        "left knee",
        "left foot",
        "right hip",
        "right knee",
        "right foot",
    ],
    #[rustfmt::skip]
    bones: &[
        (0, 1), (2, 1), (3, 1), (4, 3), (5, 4), (6, 1), (7, 6), (8, 7),
        (9, 2), (10, 9), (11, 10), (12, 2), (13, 12), (14, 13),
    ],
    parts: [
        Part {
            name: "torso",
            joints: &[0, 1, 2],
        },
        Part {
            name: "left arm",
            joints: &[3, 4, 5],
        },
        Part {
            name: "right arm",
            joints: &[6, 7, 8],
        },
        Part {
            name: "left leg",
            joints: &[9, 10, 11],
        },
        Part {
            name: "right leg",
            joints: &[12, 13, 14],
        },
    ],
    mirror: &[0, 1, 2, 6, 7, 8, 3, 4, 5, 12, 13, 14, 9, 10, 11],
    root: 1,
    left_shoulder: 3,
    right_shoulder: 6,
    left_hip: 9,
    right_hip: 12,
};
