//! Axis mask: one coordinate is lost, as depth is with a plain camera.

use rand::{Rng, RngExt as _};

use super::{AXES, View};

/// Sets one random axis of all bodies to zero.
pub(super) fn axis_mask(view: &mut View<'_>, rng: &mut impl Rng) {
    let axis = rng.random_range(0..AXES);
    let plane = view.plane();
    for (index, values) in view.data.chunks_exact_mut(plane).enumerate() {
        if index % AXES == axis {
            values.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn exactly_one_axis_is_lost() {
        let mut data = crate::augment::tests::ramp(1, 4, 5);
        axis_mask(
            &mut View {
                data: &mut data,
                frames: 4,
                joints: 5,
            },
            &mut generator(0, 0, 0, 0),
        );
        assert_eq!(
            data.chunks(20)
                .filter(|axis| axis.iter().all(|value| *value == 0.0))
                .count(),
            1
        );
    }
}
