//! Skeleton standards: which joints there are, which bones join them, which swap in a mirror.
//!
//! One standard, one file. A new one is a file, a line in [`TopologyId`], one in [`TopologyId::ALL`] and one in
//! [`TopologyId::topology`]; identifiers are on the wire and in files, so they grow only at the end.
//! Conversions between standards are in [`map`].

mod coco17;
mod kinect20;
pub mod map;
mod ntu25;
mod sbu15;

use serde::{Deserialize, Serialize};

/// Number of a skeleton standard, as stored in bundles, data sets and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum TopologyId {
    /// Kinect v1 SDK order, 20 joints (NW-UCLA, UTD-MHAD after reordering, Kinder-Gator).
    Kinect20 = 1,
    /// Kinect v2 SDK order, 25 joints (NTU RGB+D, PKU-MMD).
    Ntu25 = 2,
    /// SBU Kinect Interaction order, 15 joints.
    Sbu15 = 3,
    /// COCO keypoints, 17 joints (most 2D and lifted 3D pose estimators).
    Coco17 = 4,
}

impl TopologyId {
    /// Every standard, in order of its number.
    pub const ALL: [Self; 4] = [Self::Kinect20, Self::Ntu25, Self::Sbu15, Self::Coco17];

    /// The description of this standard.
    #[must_use]
    pub const fn topology(self) -> &'static Topology {
        match self {
            Self::Kinect20 => &kinect20::TOPOLOGY,
            Self::Ntu25 => &ntu25::TOPOLOGY,
            Self::Sbu15 => &sbu15::TOPOLOGY,
            Self::Coco17 => &coco17::TOPOLOGY,
        }
    }

    /// The name used on the command line and in files, such as `kinect20`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.topology().name
    }

    /// The standard called `name`, or nothing.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// The standard numbered `number`, or nothing.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|id| *id as u8 == number)
    }
}

impl core::fmt::Display for TopologyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// A named group of joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// `torso`, `left arm`, `right arm`, `left leg` or `right leg`.
    pub name: &'static str,
    /// Joint indices.
    pub joints: &'static [u8],
}

/// A skeleton standard. Left and right are the person's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Topology {
    /// Its number.
    pub id: TopologyId,
    /// Its name, such as `ntu25`.
    pub name: &'static str,
    /// Joint names, in the order of the data.
    pub joints: &'static [&'static str],
    /// `(child, parent)`: a tree that hangs from `root` and reaches every joint.
    pub bones: &'static [(u8, u8)],
    /// Torso, left arm, right arm, left leg, right leg: a partition of the joints.
    pub parts: [Part; 5],
    /// `mirror[j]` is the joint that `j` becomes when the person is mirrored.
    pub mirror: &'static [u8],
    /// Centre of the graph, and the joint that normalisation puts at the origin.
    pub root: u8,
    /// Left shoulder.
    pub left_shoulder: u8,
    /// Right shoulder.
    pub right_shoulder: u8,
    /// Left hip.
    pub left_hip: u8,
    /// Right hip.
    pub right_hip: u8,
}

impl Topology {
    /// Number of joints.
    #[must_use]
    pub const fn joint_count(&self) -> usize {
        self.joints.len()
    }

    /// Parent of `joint` in the tree; nothing for the root and for numbers that are no joint.
    #[must_use]
    pub fn parent(&self, joint: usize) -> Option<usize> {
        let bone = self
            .bones
            .iter()
            .find(|(child, _)| usize::from(*child) == joint)?;
        Some(usize::from(bone.1))
    }

    /// Index of the joint called `name`.
    #[must_use]
    pub fn joint(&self, name: &str) -> Option<usize> {
        self.joints.iter().position(|joint| *joint == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn check_each(check: impl Fn(&Topology)) {
        for id in TopologyId::ALL {
            check(id.topology());
        }
    }

    #[test]
    fn a_description_carries_its_own_id_and_is_found_by_name_and_number() {
        for id in TopologyId::ALL {
            assert_eq!(id.topology().id, id);
            assert_eq!(TopologyId::from_name(id.name()), Some(id));
            assert_eq!(TopologyId::from_number(id as u8), Some(id));
        }
        assert_eq!(TopologyId::from_name("kinect21"), None);
        assert_eq!(TopologyId::from_number(0), None);
    }

    #[test]
    fn every_topology_fits_the_limits() {
        check_each(|topology| assert!(topology.joint_count() <= crate::limits::MAX_JOINTS));
    }

    #[test]
    fn bones_form_a_tree_that_reaches_every_joint_from_the_root() {
        check_each(|topology| {
            assert_eq!(
                topology.bones.len(),
                topology.joint_count() - 1,
                "{}",
                topology.name
            );
            for joint in 0..topology.joint_count() {
                let mut at = joint;
                for _ in 0..topology.joint_count() {
                    let Some(parent) = topology.parent(at) else {
                        break;
                    };
                    at = parent;
                }
                assert_eq!(
                    at,
                    usize::from(topology.root),
                    "{} {}",
                    topology.name,
                    topology.joints[joint]
                );
            }
        });
    }

    #[test]
    fn mirroring_twice_changes_nothing_and_bones_mirror_to_bones() {
        check_each(|topology| {
            assert_eq!(topology.mirror.len(), topology.joint_count());
            let image = |joint: u8| topology.mirror[usize::from(joint)];
            for joint in 0..topology.joint_count() as u8 {
                assert_eq!(image(image(joint)), joint);
            }
            for &(child, parent) in topology.bones {
                assert!(
                    topology.bones.contains(&(image(child), image(parent))),
                    "{}",
                    topology.name
                );
            }
            assert_eq!(image(topology.left_shoulder), topology.right_shoulder);
            assert_eq!(image(topology.left_hip), topology.right_hip);
            assert_eq!(image(topology.root), topology.root);
        });
    }

    #[test]
    fn mirror_agrees_with_the_joint_names() {
        check_each(|topology| {
            for (joint, name) in topology.joints.iter().enumerate() {
                let swapped = match name.split_once(' ') {
                    Some(("left", rest)) => std::format!("right {rest}"),
                    Some(("right", rest)) => std::format!("left {rest}"),
                    _ => std::string::String::from(*name),
                };
                assert_eq!(
                    topology.joints[usize::from(topology.mirror[joint])],
                    swapped
                );
            }
        });
    }

    #[test]
    fn parts_are_a_partition_and_mirror_to_parts() {
        check_each(|topology| {
            let mut seen = vec![0; topology.joint_count()];
            for joint in topology.parts.iter().flat_map(|part| part.joints) {
                seen[usize::from(*joint)] += 1;
            }
            assert!(seen.iter().all(|count| *count == 1), "{}", topology.name);
            for (left, right) in [(0, 0), (1, 2), (3, 4)] {
                let mut image: Vec<u8> = topology.parts[left]
                    .joints
                    .iter()
                    .map(|j| topology.mirror[usize::from(*j)])
                    .collect();
                image.sort_unstable();
                let mut expect = topology.parts[right].joints.to_vec();
                expect.sort_unstable();
                assert_eq!(image, expect);
            }
        });
    }

    /// Golden values of the NTU graph: column sums of A + I, for joints 1 to 25, computed by hand from the bone list.
    #[test]
    fn ntu_graph_has_the_published_degrees() {
        let topology = TopologyId::Ntu25.topology();
        let mut degree = [1_u8; 25];
        for &(child, parent) in topology.bones {
            degree[usize::from(child)] += 1;
            degree[usize::from(parent)] += 1;
        }
        assert_eq!(
            degree,
            [
                4, 3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 2, 5, 2, 3, 2, 3
            ]
        );
    }

    /// Do not change this test: the numbers are in files and on wires.
    #[test]
    fn numbers_never_change() {
        assert_eq!(TopologyId::ALL.map(|id| id as u8), [1, 2, 3, 4]);
    }
}
