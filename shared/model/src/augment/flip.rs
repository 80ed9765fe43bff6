//! Flip: left and right joints change places.

use tendon_shared::topology::Topology;

use super::View;

/// Swaps mirror pairs. Coordinates keep their sign.
///
/// # Source
/// AimCLR's spatial flip, which permutes joints and does not negate x.
pub(super) fn flip(view: &mut View<'_>, topology: &Topology) {
    let joints = view.joints;
    let mut old = vec![0.0; joints];
    for row in view.data.chunks_exact_mut(joints) {
        old.copy_from_slice(row);
        for (value, source) in row.iter_mut().zip(topology.mirror) {
            *value = old[usize::from(*source)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn flipping_twice_changes_nothing_and_once_swaps_the_shoulders() {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let joints = topology.joint_count();
            let original = crate::augment::tests::ramp(1, 2, joints);
            let mut data = original.clone();
            flip(
                &mut View {
                    data: &mut data,
                    frames: 2,
                    joints,
                },
                topology,
            );
            assert_eq!(
                data[usize::from(topology.left_shoulder)],
                original[usize::from(topology.right_shoulder)]
            );
            flip(
                &mut View {
                    data: &mut data,
                    frames: 2,
                    joints,
                },
                topology,
            );
            assert_eq!(data, original);
        }
    }
}
