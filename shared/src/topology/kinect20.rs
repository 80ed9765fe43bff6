//! Kinect v1 SDK order, 20 joints.
//!
//! # Source
//! Joint order of the Kinect for Windows SDK 1.x; bones as in the NW-UCLA configuration of CTR-GCN.

use super::{Part, Topology, TopologyId};

pub(super) static TOPOLOGY: Topology = Topology {
    id: TopologyId::Kinect20,
    name: "kinect20",
    joints: &[
        "hip centre",
        "spine",
        "shoulder centre",
        "head",
        "left shoulder",
        "left elbow",
        "left wrist",
        "left hand",
        "right shoulder",
        "right elbow",
        "right wrist",
        "right hand",
        "left hip",
        "left knee",
        "left ankle",
        "left foot",
        "right hip",
        "right knee",
        "right ankle",
        "right foot",
    ],
    #[rustfmt::skip]
    bones: &[
        (0, 1), (1, 2), (3, 2), (4, 2), (5, 4), (6, 5), (7, 6), (8, 2), (9, 8), (10, 9), (11, 10),
        (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18),
    ],
    parts: [
        Part {
            name: "torso",
            joints: &[0, 1, 2, 3],
        },
        Part {
            name: "left arm",
            joints: &[4, 5, 6, 7],
        },
        Part {
            name: "right arm",
            joints: &[8, 9, 10, 11],
        },
        Part {
            name: "left leg",
            joints: &[12, 13, 14, 15],
        },
        Part {
            name: "right leg",
            joints: &[16, 17, 18, 19],
        },
    ],
    mirror: &[
        0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15,
    ],
    root: 2,
    left_shoulder: 4,
    right_shoulder: 8,
    left_hip: 12,
    right_hip: 16,
};
