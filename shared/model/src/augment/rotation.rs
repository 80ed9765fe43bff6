//! Rotations of the whole window about the origin.

use rand::{Rng, RngExt as _};

use super::View;
use super::random::uniform;

/// Turns by U(0, large) degrees about one random axis and by U(0, small) about the other two.
///
/// # Source
/// AimCLR's random rotation.
pub(super) fn rotation(view: &mut View<'_>, large: f32, small: f32, rng: &mut impl Rng) {
    let chosen = rng.random_range(0..3);
    for axis in 0..3 {
        let limit = if axis == chosen { large } else { small };
        view.transform(about(axis, uniform(rng, 0.0, limit).to_radians()));
    }
}

/// Turns by U(-angle, angle) degrees about the vertical (y) axis.
pub(super) fn yaw(view: &mut View<'_>, angle: f32, rng: &mut impl Rng) {
    view.transform(about(1, uniform(rng, -angle, angle).to_radians()));
}

/// The rotation by `angle` radians about axis 0 (x), 1 (y) or 2 (z).
fn about(axis: usize, angle: f32) -> [[f32; 3]; 3] {
    let (sin, cos) = angle.sin_cos();
    let (first, second) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut matrix = [[0.0; 3]; 3];
    matrix[axis][axis] = 1.0;
    matrix[first][first] = cos;
    matrix[second][second] = cos;
    matrix[first][second] = -sin;
    matrix[second][first] = sin;
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn rotations_keep_lengths() {
        for sample in 0..20 {
            let mut data = vec![1.0, 2.0, -2.0];
            let mut view = View {
                data: &mut data,
                frames: 1,
                joints: 1,
            };
            rotation(&mut view, 180.0, 90.0, &mut generator(0, 0, sample, 0));
            yaw(&mut view, 180.0, &mut generator(1, 0, sample, 0));
            assert!((data.iter().map(|value| value * value).sum::<f32>() - 9.0).abs() < 1e-4);
        }
    }

    #[test]
    fn a_quarter_turn_about_y_takes_z_to_x() {
        let mut data = vec![0.0, 0.0, 1.0];
        View {
            data: &mut data,
            frames: 1,
            joints: 1,
        }
        .transform(about(1, std::f32::consts::FRAC_PI_2));
        assert!(
            (data[0] - 1.0).abs() < 1e-6 && data[2].abs() < 1e-6,
            "{data:?}"
        );
    }
}
