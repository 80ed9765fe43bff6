//! A camera that hangs differently, a sensor that is worse, a body of another build: a domain shift with labels, made of recordings at hand.
//!
//! Thresholds of adaptation are chosen on such streams, never on the recordings that a result is reported on.

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};
use tendon_model::augment::random::normal;
use tendon_shared::topology::map::retarget;
use tendon_shared::topology::{Part, Topology, TopologyId};

/// How much longer limbs are than those of the person recorded, as factors of their bones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limbs {
    /// Both arms.
    pub arms: f32,
    /// Both legs.
    pub legs: f32,
    /// Spine, neck and head.
    pub trunk: f32,
}

impl Default for Limbs {
    fn default() -> Self {
        Self {
            arms: 1.0,
            legs: 1.0,
            trunk: 1.0,
        }
    }
}

impl Limbs {
    /// The factor of the bone that ends in `joint`.
    fn factor(&self, topology: &Topology, joint: usize) -> f32 {
        // Parts are the torso, the two arms and the two legs.
        let ends = |member: &u8| usize::from(*member) == joint;
        let part = |part: &Part| part.joints.iter().any(ends);
        match topology.parts.iter().position(part) {
            Some(1 | 2) => self.arms,
            Some(3 | 4) => self.legs,
            _ => self.trunk,
        }
    }
}

/// What is changed: limbs, then what the sensor sees, then the camera, then the sensor's faults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shift {
    /// The person's limbs.
    pub limbs: Limbs,
    /// The sensor gives COCO's 17 keypoints, as most pose estimators do; what they lack is made of them, as on a device.
    pub keypoints: bool,
    /// The camera looks down by this angle (a turn about x), degrees.
    pub tilt_degrees: f32,
    /// The camera leans to its side by this angle (a turn about z), degrees.
    pub roll_degrees: f32,
    /// Spread of the noise on every coordinate, metres.
    pub noise_metres: f32,
    /// Chance of each joint of a frame to be absent, 0..=1.
    pub absent: f32,
    /// Every so manieth frame is kept, whoever plays the recording leaves out the others; at least 1.
    pub keep: usize,
}

impl Default for Shift {
    fn default() -> Self {
        Self {
            limbs: Limbs::default(),
            keypoints: false,
            tilt_degrees: 0.0,
            roll_degrees: 0.0,
            noise_metres: 0.0,
            absent: 0.0,
            keep: 1,
        }
    }
}

impl Shift {
    /// Changes one frame of one person.
    pub fn apply(&self, topology: &Topology, joints: &mut [[f32; 3]], rng: &mut impl Rng) {
        if self.limbs != Limbs::default() {
            self.lengthen(topology, joints);
        }
        if self.keypoints {
            see_keypoints(topology, joints);
        }
        let (sin, cos) = self.tilt_degrees.to_radians().sin_cos();
        let (sin_roll, cos_roll) = self.roll_degrees.to_radians().sin_cos();
        for joint in joints {
            if *joint == [0.0; 3] {
                continue;
            }
            let [x, y, z] = *joint;
            let [x, y, z] = [x, cos * y - sin * z, sin * y + cos * z];
            *joint = [cos_roll * x - sin_roll * y, sin_roll * x + cos_roll * y, z];
            if self.noise_metres > 0.0 {
                joint
                    .iter_mut()
                    .for_each(|value| *value += self.noise_metres * normal(rng));
            }
            if self.absent > 0.0 && rng.random::<f32>() < self.absent {
                *joint = [0.0; 3];
            }
        }
    }

    /// Moves every joint by what the bones between it and the root grow. Bones that end in an absent joint stay as they are.
    fn lengthen(&self, topology: &Topology, joints: &mut [[f32; 3]]) {
        let old = joints.to_vec();
        for (number, joint) in joints.iter_mut().enumerate() {
            if *joint == [0.0; 3] {
                continue;
            }
            let mut child = number;
            while let Some(parent) = topology.parent(child) {
                let (from, to) = (old[parent], old[child]);
                if from != [0.0; 3] && to != [0.0; 3] {
                    let growth = self.limbs.factor(topology, child) - 1.0;
                    for axis in 0..3 {
                        joint[axis] += growth * (to[axis] - from[axis]);
                    }
                }
                child = parent;
            }
        }
    }
}

/// Leaves what an estimator of COCO's keypoints would see of a body, in its own skeleton. Nose, eyes and ears are where the head is, if
/// nothing better is known.
fn see_keypoints(topology: &Topology, joints: &mut [[f32; 3]]) {
    let coco = TopologyId::Coco17.topology();
    let [face, ..] = coco.parts;
    let find = |name: &str| topology.joints.iter().position(|own| *own == name);
    let seen = coco.joints.iter().zip(0_u8..).map(|(name, number)| {
        let place = find(name).or_else(|| find("head").filter(|_| face.joints.contains(&number)));
        let joint = place.and_then(|place| joints.get(place));
        joint.copied().unwrap_or([0.0; 3])
    });
    let seen: Vec<[f32; 3]> = seen.collect();
    let mut back = vec![[0.0; 3]; joints.len()];
    // There is a way from COCO to every skeleton.
    if retarget(TopologyId::Coco17, topology.id, &seen, &mut back).is_ok() {
        joints.copy_from_slice(&back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;
    use tendon_shared::topology::map::is_supported;

    fn apply(shift: Shift, joints: &mut [[f32; 3]]) {
        let topology = TopologyId::Kinect20.topology();
        shift.apply(topology, joints, &mut generator(0, 0, 0, 0));
    }

    #[test]
    fn a_tilt_turns_about_the_x_axis_and_leaves_absent_joints() {
        let mut joints = [[1.0, 0.0, 2.0], [0.0; 3]];
        let shift = Shift {
            tilt_degrees: 90.0,
            ..Shift::default()
        };
        apply(shift, &mut joints);
        assert!(
            (joints[0][1] + 2.0).abs() < 1e-6 && joints[0][2].abs() < 1e-6,
            "{joints:?}"
        );
        assert_eq!(joints[1], [0.0; 3]);
    }

    #[test]
    fn a_roll_turns_about_the_z_axis() {
        let mut joints = [[1.0, 0.0, 2.0]];
        let shift = Shift {
            roll_degrees: 90.0,
            ..Shift::default()
        };
        apply(shift, &mut joints);
        let [x, y, z] = joints[0];
        assert!(
            x.abs() < 1e-6 && (y - 1.0).abs() < 1e-6 && z == 2.0,
            "{joints:?}"
        );
    }

    #[test]
    fn longer_arms_are_longer_bone_by_bone_and_nothing_else_moves() {
        let topology = TopologyId::Kinect20.topology();
        let old: Vec<[f32; 3]> = (0..20)
            .map(|joint| [1.0, 2.0, 3.0].map(|axis| (axis + joint as f32 * 1.7).sin() + 3.0))
            .collect();
        let mut new = old.clone();
        let shift = Shift {
            limbs: Limbs {
                arms: 1.5,
                ..Limbs::default()
            },
            ..Shift::default()
        };
        apply(shift, &mut new);
        for &(child, parent) in topology.bones {
            let (child, parent) = (usize::from(child), usize::from(parent));
            let arm = topology.parts[1..3]
                .iter()
                .any(|part| part.joints.contains(&(child as u8)));
            for axis in 0..3 {
                let bone = |joints: &[[f32; 3]]| joints[child][axis] - joints[parent][axis];
                let expect = if arm { 1.5 } else { 1.0 } * bone(&old);
                assert!((bone(&new) - expect).abs() < 1e-5, "{child}");
            }
        }
        assert_eq!(
            new[usize::from(topology.root)],
            old[usize::from(topology.root)]
        );
    }

    #[test]
    fn keypoints_leave_limbs_where_they_are_and_guess_what_coco_lacks() {
        let mut joints: Vec<[f32; 3]> = (0..20)
            .map(|joint| [1.0, 2.0, 3.0].map(|axis| (axis + joint as f32 * 1.7).sin() + 3.0))
            .collect();
        let old = joints.clone();
        let shift = Shift {
            keypoints: true,
            ..Shift::default()
        };
        apply(shift, &mut joints);
        let topology = TopologyId::Kinect20.topology();
        let place = |name| topology.joints.iter().position(|own| *own == name).unwrap();
        for name in ["head", "left wrist", "right knee", "left shoulder"] {
            assert_eq!(joints[place(name)], old[place(name)], "{name}");
        }
        for name in ["left hand", "right foot", "spine"] {
            assert_ne!(joints[place(name)], old[place(name)], "{name}");
        }
        for id in TopologyId::ALL {
            assert!(is_supported(TopologyId::Coco17, id), "{id}");
        }
    }

    #[test]
    fn without_a_shift_nothing_changes() {
        let mut joints = [[1.0, 2.0, 3.0]];
        apply(Shift::default(), &mut joints);
        assert_eq!(joints, [[1.0, 2.0, 3.0]]);
    }
}
