//! A camera that hangs differently and a sensor that is worse: a domain shift with labels, made of recordings at hand.
//!
//! Thresholds of adaptation are chosen on such streams, never on the recordings that a result is reported on.

use rand::{Rng, RngExt as _};
use tendon_model::augment::random::normal;

/// What is changed, in the order of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shift {
    /// The camera looks down by this angle, degrees.
    pub tilt_degrees: f32,
    /// Spread of the noise on every coordinate, metres.
    pub noise_metres: f32,
    /// Chance of each joint of a frame to be absent, 0..=1.
    pub absent: f32,
}

impl Shift {
    /// Changes one frame of one person.
    pub fn apply(&self, joints: &mut [[f32; 3]], rng: &mut impl Rng) {
        let (sin, cos) = self.tilt_degrees.to_radians().sin_cos();
        for joint in joints {
            if *joint == [0.0; 3] {
                continue;
            }
            let [x, y, z] = *joint;
            *joint = [x, cos * y - sin * z, sin * y + cos * z];
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;

    #[test]
    fn a_tilt_turns_about_the_x_axis_and_leaves_absent_joints() {
        let mut joints = [[1.0, 0.0, 2.0], [0.0; 3]];
        let shift = Shift {
            tilt_degrees: 90.0,
            ..Shift::default()
        };
        shift.apply(&mut joints, &mut generator(0, 0, 0, 0));
        assert!(
            (joints[0][1] + 2.0).abs() < 1e-6 && joints[0][2].abs() < 1e-6,
            "{joints:?}"
        );
        assert_eq!(joints[1], [0.0; 3]);
    }

    #[test]
    fn without_a_shift_nothing_changes() {
        let mut joints = [[1.0, 2.0, 3.0]];
        Shift::default().apply(&mut joints, &mut generator(0, 0, 0, 0));
        assert_eq!(joints, [[1.0, 2.0, 3.0]]);
    }
}
