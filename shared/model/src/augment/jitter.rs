//! Joint jitter and joint drop: a pose estimator that puts some joints wrong, or does not see them.

use rand::Rng;
use rand::RngExt as _;

use super::random::normal;
use super::{AXES, View};

/// Moves each joint with probability `rate` by one N(0, spread) offset for the whole window.
pub(super) fn jitter(view: &mut View<'_>, rate: f32, spread: f32, rng: &mut impl Rng) {
    let (joints, plane) = (view.joints, view.plane());
    for body in view.bodies() {
        for joint in 0..joints {
            if rng.random::<f32>() >= rate {
                continue;
            }
            for axis in 0..AXES {
                let offset = spread * normal(rng);
                column(body, axis * plane, plane, joint, joints, |value| {
                    value + offset
                });
            }
        }
    }
}

/// Puts each joint with probability `rate` at the origin for the whole window.
pub(super) fn drop(view: &mut View<'_>, rate: f32, rng: &mut impl Rng) {
    let (joints, plane) = (view.joints, view.plane());
    for body in view.bodies() {
        for joint in 0..joints {
            if rng.random::<f32>() < rate {
                column(body, 0, AXES * plane, joint, joints, |_| 0.0);
            }
        }
    }
}

/// Changes one joint in all frames of `body[start..start + length]`.
fn column(
    body: &mut [f32],
    start: usize,
    length: usize,
    joint: usize,
    joints: usize,
    change: impl Fn(f32) -> f32,
) {
    for value in body[start..start + length]
        .iter_mut()
        .skip(joint)
        .step_by(joints)
    {
        *value = change(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn a_jittered_joint_keeps_its_motion() {
        let original = crate::augment::tests::ramp(1, 3, 4);
        let mut data = original.clone();
        jitter(
            &mut View {
                data: &mut data,
                frames: 3,
                joints: 4,
            },
            1.0,
            0.1,
            &mut generator(0, 0, 0, 0),
        );
        for axis in 0..AXES {
            for joint in 0..4 {
                let moved = |frame: usize| {
                    data[axis * 12 + frame * 4 + joint] - original[axis * 12 + frame * 4 + joint]
                };
                assert!((moved(0) - moved(2)).abs() < 1e-6 && moved(0) != 0.0);
            }
        }
    }

    #[test]
    fn dropping_at_rate_one_drops_everything_and_at_zero_nothing() {
        let original = crate::augment::tests::ramp(1, 3, 4);
        let mut data = original.clone();
        drop(
            &mut View {
                data: &mut data,
                frames: 3,
                joints: 4,
            },
            0.0,
            &mut generator(0, 0, 0, 0),
        );
        assert_eq!(data, original);
        drop(
            &mut View {
                data: &mut data,
                frames: 3,
                joints: 4,
            },
            1.0,
            &mut generator(0, 0, 0, 0),
        );
        assert!(data.iter().all(|value| *value == 0.0));
    }
}
