//! Conversions between skeleton standards: a target joint is a fixed mix of source joints.
//!
//! A mix may extrapolate (a hand lies beyond the wrist on the line of the forearm). A target joint is absent (all zero)
//! when any joint it is made of is absent. Conversions say nothing of scale or axes: both sides are metres, camera frame.

use super::TopologyId;
use crate::limits::MAX_JOINTS;

/// Source joints of one target joint with their weights, which sum to 1.
type Mix = &'static [(u8, f32)];

/// Why poses could not be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetargetError {
    /// There is no table between these standards: record or convert in one of the supported ones.
    Unsupported {
        /// The standard of the given pose.
        from: TopologyId,
        /// The standard asked for.
        to: TopologyId,
    },
    /// A slice has not as many joints as its standard.
    JointCount {
        /// The standard.
        topology: TopologyId,
        /// Joints in the slice.
        got: usize,
    },
}

impl core::fmt::Display for RetargetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unsupported { from, to } => {
                write!(f, "there is no conversion from {from} to {to} skeletons")
            }
            Self::JointCount { topology, got } => {
                let expected = topology.topology().joint_count();
                write!(
                    f,
                    "a {topology} skeleton has {expected} joints, this one has {got}"
                )
            }
        }
    }
}

impl core::error::Error for RetargetError {}

/// Converts one pose between standards.
///
/// # Shapes
/// `source` `[joint of from, 3]`, `target` `[joint of to, 3]`.
///
/// # Errors
/// [`RetargetError::Unsupported`] when no table leads from one to the other; [`RetargetError::JointCount`] when a slice
/// has the wrong length.
pub fn retarget(
    from: TopologyId,
    to: TopologyId,
    source: &[[f32; 3]],
    target: &mut [[f32; 3]],
) -> Result<(), RetargetError> {
    check_count(from, source.len())?;
    check_count(to, target.len())?;
    if from == to {
        target.copy_from_slice(source);
        return Ok(());
    }
    if let Some(table) = table(from, to) {
        apply(table, source, target);
        return Ok(());
    }
    let via = TopologyId::Kinect20;
    let (Some(first), Some(second)) = (table(from, via), table(via, to)) else {
        return Err(RetargetError::Unsupported { from, to });
    };
    let mut between = [[0.0; 3]; MAX_JOINTS];
    apply(first, source, &mut between);
    apply(second, &between, target);
    Ok(())
}

/// Whether [`retarget`] knows a way between the two standards.
#[must_use]
pub fn is_supported(from: TopologyId, to: TopologyId) -> bool {
    let via = TopologyId::Kinect20;
    from == to
        || table(from, to).is_some()
        || (table(from, via).is_some() && table(via, to).is_some())
}

fn check_count(topology: TopologyId, got: usize) -> Result<(), RetargetError> {
    if got == topology.topology().joint_count() {
        Ok(())
    } else {
        Err(RetargetError::JointCount { topology, got })
    }
}

fn apply(table: &[Mix], source: &[[f32; 3]], target: &mut [[f32; 3]]) {
    for (joint, mix) in target.iter_mut().zip(table) {
        *joint = blend(mix, source).unwrap_or([0.0; 3]);
    }
}

/// The mixed position, or nothing when a part of it is absent.
fn blend(mix: Mix, source: &[[f32; 3]]) -> Option<[f32; 3]> {
    let mut sum = [0.0; 3];
    for &(joint, weight) in mix {
        let position = source.get(usize::from(joint))?;
        if !crate::pose::is_present(position) {
            return None;
        }
        for (total, coordinate) in sum.iter_mut().zip(position) {
            *total += weight * coordinate;
        }
    }
    Some(sum)
}

fn table(from: TopologyId, to: TopologyId) -> Option<&'static [Mix]> {
    match (from, to) {
        (TopologyId::Coco17, TopologyId::Kinect20) => Some(COCO17_TO_KINECT20),
        (TopologyId::Ntu25, TopologyId::Kinect20) => Some(NTU25_TO_KINECT20),
        (TopologyId::Sbu15, TopologyId::Kinect20) => Some(SBU15_TO_KINECT20),
        (TopologyId::Kinect20, TopologyId::Ntu25) => Some(KINECT20_TO_NTU25),
        (TopologyId::Kinect20, TopologyId::Sbu15) => Some(KINECT20_TO_SBU15),
        _ => None,
    }
}

/// The spine lies a sixth of the trunk above the hips (measured on NW-UCLA); the head is between the ears; a hand lies a
/// quarter of a forearm beyond the wrist, a foot's centre a tenth of a shank below the ankle (proportions of an adult;
/// COCO has none of these joints).
const COCO17_TO_KINECT20: &[Mix] = &[
    &[(11, 0.5), (12, 0.5)],
    &[(5, 0.085), (6, 0.085), (11, 0.415), (12, 0.415)],
    &[(5, 0.5), (6, 0.5)],
    &[(3, 0.5), (4, 0.5)],
    &[(5, 1.0)],
    &[(7, 1.0)],
    &[(9, 1.0)],
    &[(9, 1.25), (7, -0.25)],
    &[(6, 1.0)],
    &[(8, 1.0)],
    &[(10, 1.0)],
    &[(10, 1.25), (8, -0.25)],
    &[(11, 1.0)],
    &[(13, 1.0)],
    &[(15, 1.0)],
    &[(15, 1.1), (13, -0.1)],
    &[(12, 1.0)],
    &[(14, 1.0)],
    &[(16, 1.0)],
    &[(16, 1.1), (14, -0.1)],
];

#[rustfmt::skip]
const NTU25_TO_KINECT20: &[Mix] = &[
    &[(0, 1.0)], &[(1, 1.0)], &[(20, 1.0)], &[(3, 1.0)],
    &[(4, 1.0)], &[(5, 1.0)], &[(6, 1.0)], &[(7, 1.0)], &[(8, 1.0)], &[(9, 1.0)], &[(10, 1.0)], &[(11, 1.0)],
    &[(12, 1.0)], &[(13, 1.0)], &[(14, 1.0)], &[(15, 1.0)], &[(16, 1.0)], &[(17, 1.0)], &[(18, 1.0)], &[(19, 1.0)],
];

/// Hand tips lie as far beyond the hand as half the way from the wrist; thumbs are put at the hand.
#[rustfmt::skip]
const KINECT20_TO_NTU25: &[Mix] = &[
    &[(0, 1.0)], &[(1, 1.0)], &[(2, 0.6), (3, 0.4)], &[(3, 1.0)],
    &[(4, 1.0)], &[(5, 1.0)], &[(6, 1.0)], &[(7, 1.0)], &[(8, 1.0)], &[(9, 1.0)], &[(10, 1.0)], &[(11, 1.0)],
    &[(12, 1.0)], &[(13, 1.0)], &[(14, 1.0)], &[(15, 1.0)], &[(16, 1.0)], &[(17, 1.0)], &[(18, 1.0)], &[(19, 1.0)],
    &[(2, 1.0)],
    &[(7, 1.5), (6, -0.5)], &[(7, 1.0)], &[(11, 1.5), (10, -0.5)], &[(11, 1.0)],
];

#[rustfmt::skip]
const KINECT20_TO_SBU15: &[Mix] = &[
    &[(3, 1.0)], &[(2, 1.0)], &[(1, 1.0)],
    &[(4, 1.0)], &[(5, 1.0)], &[(7, 1.0)], &[(8, 1.0)], &[(9, 1.0)], &[(11, 1.0)],
    &[(12, 1.0)], &[(13, 1.0)], &[(15, 1.0)], &[(16, 1.0)], &[(17, 1.0)], &[(19, 1.0)],
];

/// Wrists and ankles, which SBU lacks, lie on the line from elbow to hand and from knee to foot.
#[rustfmt::skip]
const SBU15_TO_KINECT20: &[Mix] = &[
    &[(9, 0.5), (12, 0.5)], &[(2, 1.0)], &[(1, 1.0)], &[(0, 1.0)],
    &[(3, 1.0)], &[(4, 1.0)], &[(4, 0.2), (5, 0.8)], &[(5, 1.0)],
    &[(6, 1.0)], &[(7, 1.0)], &[(7, 0.2), (8, 0.8)], &[(8, 1.0)],
    &[(9, 1.0)], &[(10, 1.0)], &[(10, 0.1), (11, 0.9)], &[(11, 1.0)],
    &[(12, 1.0)], &[(13, 1.0)], &[(13, 0.1), (14, 0.9)], &[(14, 1.0)],
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn tables_are_complete_and_weights_sum_to_one() {
        for from in TopologyId::ALL {
            for to in TopologyId::ALL {
                let Some(table) = table(from, to) else {
                    continue;
                };
                assert_eq!(table.len(), to.topology().joint_count(), "{from} to {to}");
                for mix in table {
                    assert!((mix.iter().map(|(_, weight)| weight).sum::<f32>() - 1.0).abs() < 1e-6);
                    assert!(
                        mix.iter()
                            .all(|(joint, _)| usize::from(*joint) < from.topology().joint_count())
                    );
                }
            }
        }
    }

    #[test]
    fn tables_commute_with_the_mirror() {
        for from in TopologyId::ALL {
            for to in TopologyId::ALL {
                let Some(table) = table(from, to) else {
                    continue;
                };
                for (joint, mix) in table.iter().enumerate() {
                    let image = table[usize::from(to.topology().mirror[joint])];
                    for (source, weight) in *mix {
                        assert!(
                            image
                                .contains(&(from.topology().mirror[usize::from(*source)], *weight))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn kinect20_survives_a_detour_through_ntu25() {
        let source: std::vec::Vec<[f32; 3]> = (0..20)
            .map(|j| [j as f32 + 1.0, 2.0 * j as f32, 3.0])
            .collect();
        let mut ntu = vec![[0.0; 3]; 25];
        let mut back = vec![[0.0; 3]; 20];
        retarget(TopologyId::Kinect20, TopologyId::Ntu25, &source, &mut ntu).expect("supported");
        retarget(TopologyId::Ntu25, TopologyId::Kinect20, &ntu, &mut back).expect("supported");
        assert_eq!(source, back);
    }

    #[test]
    fn a_joint_made_of_an_absent_joint_is_absent() {
        let mut source = vec![[1.0; 3]; 17];
        source[3] = [0.0; 3];
        let mut target = vec![[9.0; 3]; 25];
        retarget(TopologyId::Coco17, TopologyId::Ntu25, &source, &mut target)
            .expect("through kinect20");
        assert_eq!(target[3], [0.0; 3], "the head needs both ears");
        assert_eq!(target[2], [0.0; 3], "the neck needs the head");
        assert_eq!(target[4], [1.0; 3]);
    }

    #[test]
    fn refuses_unknown_ways_and_wrong_joint_counts() {
        let error = retarget(
            TopologyId::Kinect20,
            TopologyId::Coco17,
            &[[1.0; 3]; 20],
            &mut [[0.0; 3]; 17],
        );
        assert!(matches!(error, Err(RetargetError::Unsupported { .. })));
        let error = retarget(
            TopologyId::Kinect20,
            TopologyId::Ntu25,
            &[[1.0; 3]; 19],
            &mut [[0.0; 3]; 25],
        );
        assert_eq!(
            error,
            Err(RetargetError::JointCount {
                topology: TopologyId::Kinect20,
                got: 19
            })
        );
    }
}
