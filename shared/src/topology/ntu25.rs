//! Kinect v2 SDK order, 25 joints, as recorded in NTU RGB+D and PKU-MMD.
//!
//! # Source
//! Joint order of the Kinect for Windows SDK 2.0; bones and centre as in ST-GCN's `ntu-rgb+d` graph.

use super::{Part, Topology, TopologyId};

pub(super) static TOPOLOGY: Topology = Topology {
    id: TopologyId::Ntu25,
    name: "ntu25",
    joints: &[
        "spine base",
        "spine mid",
        "neck",
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
        "spine shoulder",
        "left hand tip",
        "left thumb",
        "right hand tip",
        "right thumb",
    ],
    #[rustfmt::skip]
    bones: &[
        (0, 1), (1, 20), (2, 20), (3, 2), (4, 20), (5, 4), (6, 5), (7, 6), (8, 20), (9, 8), (10, 9), (11, 10),
        (12, 0), (13, 12), (14, 13), (15, 14), (16, 0), (17, 16), (18, 17), (19, 18),
        (21, 22), (22, 7), (23, 24), (24, 11),
    ],
    parts: [
        Part {
            name: "torso",
            joints: &[0, 1, 2, 3, 20],
        },
        Part {
            name: "left arm",
            joints: &[4, 5, 6, 7, 21, 22],
        },
        Part {
            name: "right arm",
            joints: &[8, 9, 10, 11, 23, 24],
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
        0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 20, 23, 24, 21, 22,
    ],
    root: 20,
    left_shoulder: 4,
    right_shoulder: 8,
    left_hip: 12,
    right_hip: 16,
};
