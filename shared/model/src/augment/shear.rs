//! Shear: the axes leak into each other, as if the camera saw from another side.

use rand::Rng;

use super::View;
use super::random::uniform;

/// Multiplies every position by a matrix with ones on the diagonal and six uniform draws elsewhere.
///
/// # Source
/// CrosSCLR's `shear`: row vector times matrix. The draws are independent, so the transposed form used here
/// has the same distribution.
pub(super) fn shear(view: &mut View<'_>, amplitude: f32, rng: &mut impl Rng) {
    let mut matrix = [[1.0; 3]; 3];
    for (row, values) in matrix.iter_mut().enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            if row != column {
                *value = uniform(rng, -amplitude, amplitude);
            }
        }
    }
    view.transform(matrix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn a_unit_position_moves_by_at_most_the_amplitude() {
        let mut data = vec![1.0, 0.0, 0.0];
        shear(
            &mut View {
                data: &mut data,
                frames: 1,
                joints: 1,
            },
            0.5,
            &mut generator(2, 0, 0, 0),
        );
        assert_eq!(data[0], 1.0);
        assert!(data[1].abs() <= 0.5 && data[2].abs() <= 0.5 && data[1] != 0.0 && data[2] != 0.0);
    }
}
