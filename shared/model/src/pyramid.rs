//! The skeleton pyramid: features of joints, of ten parts, of five parts.
//!
//! Groups follow from a topology's parts and joint names, so every standard has them.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tendon_shared::topology::{Part, Topology};

/// A level of the pyramid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Every joint by itself.
    Joint,
    /// Trunk and limbs in a near and a far half each: ten parts.
    Part,
    /// Trunk and limbs: five parts.
    Body,
}

/// Joints of the far half, without left and right.
const FAR: [&str; 10] = [
    "neck", "head", "nose", "eye", "ear", "hand", "hand tip", "thumb", "ankle", "foot",
];

impl Scale {
    /// The joints of each group, a partition.
    ///
    /// # Source
    /// PSP Learning's code for the 25 joints of Kinect v2: trunk and head, upper and lower arm without and with the hand, thigh
    /// and foot. Other standards by joint names; where there is no hand, the wrist is the far half.
    pub fn groups(self, topology: &Topology) -> Vec<Vec<usize>> {
        let joints = |part: &Part| part.joints.iter().map(|joint| usize::from(*joint));
        let parts = topology.parts.iter();
        match self {
            Self::Joint => (0..topology.joint_count())
                .map(|joint| vec![joint])
                .collect(),
            Self::Body => parts.map(|part| joints(part).collect()).collect(),
            Self::Part => parts
                .flat_map(|part| {
                    let far = |joint: &usize, name: &str| plain(topology, *joint) == name;
                    let hands = joints(part).any(|joint| far(&joint, "hand"));
                    let (far, near): (Vec<usize>, Vec<usize>) = joints(part).partition(|joint| {
                        FAR.iter().any(|name| far(joint, name)) || !hands && far(joint, "wrist")
                    });
                    [near, far]
                })
                .filter(|group| !group.is_empty())
                .collect(),
        }
    }
}

/// A joint's name without its side.
fn plain(topology: &Topology, joint: usize) -> &'static str {
    let name = topology.joints[joint];
    let side = |side| name.strip_prefix(side);
    side("left ").or_else(|| side("right ")).unwrap_or(name)
}

/// The groups of one scale as matrices.
#[derive(Clone, Debug)]
pub struct Groups {
    groups: Vec<Vec<usize>>,
    joints: usize,
}

impl Groups {
    /// The groups of `topology` at a scale.
    pub fn new(scale: Scale, topology: &Topology) -> Self {
        Self {
            groups: scale.groups(topology),
            joints: topology.joint_count(),
        }
    }

    /// Mean over the joints of each group.
    ///
    /// # Shapes
    /// `[row, joint, frame, channel] -> [row, group, frame, channel]`
    pub fn pool(&self, x: Tensor<4>) -> Tensor<4> {
        let share = |group: &Vec<usize>| 1.0 / group.len() as f32;
        let matrix = self.matrix(share, &x.device());
        apply(matrix, x)
    }

    /// Gives each joint what its group has.
    ///
    /// # Shapes
    /// `[row, group, frame, channel] -> [row, joint, frame, channel]`
    pub fn spread(&self, x: Tensor<4>) -> Tensor<4> {
        let matrix = self.matrix(|_| 1.0, &x.device());
        apply(matrix.transpose(), x)
    }

    /// `[group, joint]`, `weight` where a joint belongs to a group.
    fn matrix(&self, weight: impl Fn(&Vec<usize>) -> f32, device: &Device) -> Tensor<2> {
        let mut values = vec![0.0; self.groups.len() * self.joints];
        for (row, group) in values.chunks_exact_mut(self.joints).zip(&self.groups) {
            for joint in group {
                row[*joint] = weight(group);
            }
        }
        let shape = [self.groups.len(), self.joints];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// `[out, in]` along the second axis of `[row, in, frame, channel]`.
fn apply(matrix: Tensor<2>, x: Tensor<4>) -> Tensor<4> {
    let [row, group, frame, channel] = x.dims();
    let [out, _] = matrix.dims();
    let x = x.reshape([row, group, frame * channel]);
    matrix
        .unsqueeze::<3>()
        .matmul(x)
        .reshape([row, out, frame, channel])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_shared::topology::TopologyId;

    // Groups of PSP's code, joints counted from 1.
    #[test]
    fn kinect_v2_has_the_published_groups() {
        let groups = Scale::Part.groups(TopologyId::Ntu25.topology());
        let mut found: Vec<Vec<usize>> = groups
            .into_iter()
            .map(|group| group.into_iter().map(|joint| joint + 1).collect())
            .collect();
        found.sort();
        let mut expected: Vec<Vec<usize>> = vec![
            vec![1, 2, 21],
            vec![3, 4],
            vec![5, 6, 7],
            vec![8, 22, 23],
            vec![9, 10, 11],
            vec![12, 24, 25],
            vec![13, 14],
            vec![15, 16],
            vec![17, 18],
            vec![19, 20],
        ];
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_topology_has_five_and_ten_groups_that_are_partitions() {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let joints = topology.joint_count();
            for (scale, count) in [(Scale::Joint, joints), (Scale::Body, 5), (Scale::Part, 10)] {
                let groups = scale.groups(topology);
                // Coco has no joint of the trunk below the head.
                assert!(groups.len() == count || id == TopologyId::Coco17, "{id}");
                let mut all: Vec<usize> = groups.into_iter().flatten().collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..joints), "{id}");
            }
        }
    }

    #[test]
    fn pooling_takes_means_and_spreading_gives_them_back() {
        let groups = Groups {
            groups: vec![vec![0, 2], vec![1]],
            joints: 3,
        };
        let values = vec![1.0_f32, 10.0, 2.0, 20.0, 3.0, 30.0];
        let x = TensorData::new(values, [1, 3, 2, 1]);
        let pooled = groups.pool(Tensor::from_data(x, &Device::flex()));
        let read = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(read(pooled.clone()), [2.0, 20.0, 2.0, 20.0]);
        assert_eq!(
            read(groups.spread(pooled)),
            [2.0, 20.0, 2.0, 20.0, 2.0, 20.0]
        );
    }
}
