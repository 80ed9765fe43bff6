//! The region of a window that SkeleMix fills with something else: some joints in a run of frames.

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};
use tendon_shared::topology::Topology;

/// Frames of a window that become one frame of the features.
const STRIDE: usize = 4;

/// Which joints a region takes; both ends of a range may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum JointChoice {
    /// Whole body parts, as the topology names them.
    Parts {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// Single joints anywhere; one always stays outside.
    Random {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
}

/// Joints and frames, the same in a window and in its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// First frame of the features.
    pub start: usize,
    /// Frames of the features.
    pub length: usize,
    /// Whether a joint is inside.
    pub joints: Vec<bool>,
}

impl Region {
    /// A random region.
    ///
    /// # Source
    /// SkeleMixCLR's code: two or three of five parts, or 10 to 15 joints; 7 to 11 of 16 frames of the features.
    pub fn draw(
        choice: JointChoice,
        lengths: [usize; 2],
        feature_frames: usize,
        topology: &Topology,
        rng: &mut impl Rng,
    ) -> Self {
        let mut joints = vec![false; topology.joint_count()];
        match choice {
            JointChoice::Parts { least, most } => {
                let mut parts = topology.parts;
                parts.shuffle(rng);
                let count = rng.random_range(least..=most);
                for joint in parts.iter().take(count).flat_map(|part| part.joints) {
                    joints[usize::from(*joint)] = true;
                }
            }
            JointChoice::Random { least, most } => {
                let count = rng.random_range(least..=most).min(joints.len() - 1);
                joints[..count].fill(true);
                joints.shuffle(rng);
            }
        }
        let length = rng
            .random_range(lengths[0]..=lengths[1])
            .min(feature_frames);
        Self {
            start: rng.random_range(0..=feature_frames - length),
            length,
            joints,
        }
    }

    /// Whether a cell of the features is inside.
    pub fn has_feature(&self, frame: usize, joint: usize) -> bool {
        (self.start..self.start + self.length).contains(&frame) && self.joints[joint]
    }

    /// Whether a joint in a frame of the window is inside.
    pub fn has(&self, frame: usize, joint: usize) -> bool {
        self.has_feature(frame / STRIDE, joint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;
    use tendon_shared::topology::TopologyId;

    // Golden value: start 3, length 9, trunk and left leg are 9 joints, 81 of 400 cells, frames 12 to 47 of 64.
    #[test]
    fn a_region_has_the_golden_cells() {
        let topology = TopologyId::Ntu25.topology();
        let mut joints = vec![false; 25];
        for part in [topology.parts[0], topology.parts[3]] {
            for joint in part.joints {
                joints[usize::from(*joint)] = true;
            }
        }
        assert_eq!(joints.iter().filter(|inside| **inside).count(), 9);
        let region = Region {
            start: 3,
            length: 9,
            joints,
        };
        let cells = (0..16).flat_map(|frame| (0..25).map(move |joint| (frame, joint)));
        let inside: Vec<_> = cells
            .filter(|(frame, joint)| region.has_feature(*frame, *joint))
            .collect();
        assert_eq!(inside.len(), 81);
        assert_eq!((inside[0].0, inside[80].0), (3, 11));
        let frames: Vec<_> = (0..64).filter(|frame| region.has(*frame, 0)).collect();
        assert_eq!((frames[0], frames.len(), frames[35]), (12, 36, 47));
    }

    fn drawn(choice: JointChoice) -> Vec<Region> {
        let topology = TopologyId::Ntu25.topology();
        (0..300)
            .map(|sample| {
                let mut rng = generator(0, 0, sample, 0);
                Region::draw(choice, [7, 11], 16, topology, &mut rng)
            })
            .collect()
    }

    fn counts(regions: &[Region], of: impl Fn(&Region) -> usize) -> Vec<usize> {
        let found: std::collections::BTreeSet<usize> = regions.iter().map(of).collect();
        found.into_iter().collect()
    }

    fn joints(region: &Region) -> usize {
        region.joints.iter().filter(|inside| **inside).count()
    }

    #[test]
    fn every_length_start_and_part_occurs_and_no_other() {
        let regions = drawn(JointChoice::Parts { least: 2, most: 3 });
        assert_eq!(counts(&regions, |region| region.length), [7, 8, 9, 10, 11]);
        let ends = counts(&regions, |region| region.start + region.length);
        assert_eq!((ends[0], ends.last()), (7, Some(&16)));
        // Parts have 5, 6, 6, 4 and 4 joints.
        let sizes = counts(&regions, joints);
        assert_eq!((sizes[0], sizes.last()), (8, Some(&17)));
        let parts = TopologyId::Ntu25.topology().parts;
        for region in &regions {
            for part in parts {
                let inside = |joint: &u8| region.joints[usize::from(*joint)];
                let count = part.joints.iter().filter(|joint| inside(joint)).count();
                assert!(count == 0 || count == part.joints.len());
            }
        }
    }

    #[test]
    fn random_joints_leave_one_outside() {
        let sizes = counts(
            &drawn(JointChoice::Random {
                least: 10,
                most: 30,
            }),
            joints,
        );
        assert_eq!((sizes[0], sizes.last()), (10, Some(&24)));
    }
}
