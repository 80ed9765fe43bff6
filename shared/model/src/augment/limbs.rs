//! Limb lengths: the same movement by somebody of another build.
//!
//! A network that is to tell windows apart finds the performer by the lengths of limbs, which are the same in every frame of a
//! recording; what is done is harder to see. This takes the easy way away.

use rand::Rng;
use tendon_shared::topology::Topology;

use super::View;
use super::random::uniform;

/// Multiplies the length of every bone by a draw from `1 - amount ..= 1 + amount`, the same in all frames; left and right limbs and
/// all bodies share their draws. Directions stay, the root stays where it is.
pub(super) fn limbs(view: &mut View<'_>, topology: &Topology, amount: f32, rng: &mut impl Rng) {
    let joints = view.joints;
    let mut factors: Vec<f32> = (0..joints)
        .map(|_| uniform(rng, 1.0 - amount, 1.0 + amount))
        .collect();
    for joint in 0..joints {
        let mirrored = topology
            .mirror
            .get(joint)
            .map_or(joint, |&m| usize::from(m));
        if let Some(factor) = factors.get(mirrored.min(joint)).copied()
            && let Some(own) = factors.get_mut(joint)
        {
            *own = factor;
        }
    }
    let order = outwards(topology);
    for body in view.bodies() {
        for row in body.chunks_exact_mut(joints) {
            let old = row.to_vec();
            for &(child, parent) in &order {
                row[child] = row[parent] + factors[child] * (old[child] - old[parent]);
            }
        }
    }
}

/// Bones as `(child, parent)`, every parent before its children.
#[must_use]
pub fn outwards(topology: &Topology) -> Vec<(usize, usize)> {
    let mut order = Vec::with_capacity(topology.bones.len());
    let mut placed = vec![usize::from(topology.root)];
    let mut next = 0;
    while let Some(&joint) = placed.get(next) {
        next += 1;
        for &(child, parent) in topology.bones {
            let (child, parent) = (usize::from(child), usize::from(parent));
            if parent == joint && !placed.contains(&child) {
                order.push((child, parent));
                placed.push(child);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;
    use crate::augment::tests::ramp;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn every_bone_is_placed_after_its_parent() {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let mut known = vec![usize::from(topology.root)];
            for (child, parent) in outwards(topology) {
                assert!(known.contains(&parent), "{}", topology.name);
                known.push(child);
            }
            assert_eq!(known.len(), topology.joint_count(), "{}", topology.name);
        }
    }

    #[test]
    fn lengths_change_alike_in_all_frames_and_on_both_sides_and_directions_stay() {
        let topology = TopologyId::Kinect20.topology();
        let (frames, joints) = (3, 20);
        let mut old = ramp(1, frames, joints);
        for (index, value) in old.iter_mut().enumerate() {
            *value = (index as f32 * 1.7).sin();
        }
        let mut new = old.clone();
        let mut view = View {
            data: &mut new,
            frames,
            joints,
        };
        limbs(&mut view, topology, 0.3, &mut generator(5, 0, 0, 0));
        let bone = |data: &[f32], frame: usize, (child, parent): (u8, u8)| -> [f32; 3] {
            [0, 1, 2].map(|axis| {
                let at = |joint: u8| data[(axis * frames + frame) * joints + usize::from(joint)];
                at(child) - at(parent)
            })
        };
        let factor = |frame, bone_of: (u8, u8)| -> f32 {
            let (from, to) = (bone(&old, frame, bone_of), bone(&new, frame, bone_of));
            let length = |v: [f32; 3]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            let dot: f32 = from.iter().zip(to).map(|(a, b)| a * b).sum();
            assert!(
                (dot - length(from) * length(to)).abs() < 1e-4,
                "the direction stays"
            );
            length(to) / length(from)
        };
        let mut seen = Vec::new();
        for &bone in topology.bones {
            let first = factor(0, bone);
            assert!((0.7..=1.3).contains(&first));
            assert!((factor(2, bone) - first).abs() < 1e-4);
            let mirror = |joint: u8| topology.mirror[usize::from(joint)];
            let other = (mirror(bone.0), mirror(bone.1));
            assert!((factor(0, other) - first).abs() < 1e-4);
            seen.push(first);
        }
        assert!(seen.iter().any(|one| (one - seen[0]).abs() > 0.02));
        let root = usize::from(topology.root);
        assert_eq!(new[root], old[root]);
    }
}
