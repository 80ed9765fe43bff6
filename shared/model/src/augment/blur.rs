//! Temporal Gaussian blur: motion without its fast part.

use rand::Rng;

use super::View;
use super::random::uniform;

/// Convolves every joint's path with a Gaussian kernel of U(low, high) frames standard deviation.
///
/// # Source
/// AimCLR's blur pads with zeros and does not normalise, so it scales by up to five and darkens the edges.
/// `normalized` divides by the weight that falls inside the window at each frame.
pub(super) fn blur(
    view: &mut View<'_>,
    kernel: u32,
    (low, high): (f32, f32),
    normalized: bool,
    rng: &mut impl Rng,
) {
    let spread = uniform(rng, low, high).max(1e-3);
    let half = (kernel / 2) as isize;
    let weights: Vec<f32> = (-half..=half)
        .map(|offset| (-(offset * offset) as f32 / (2.0 * spread * spread)).exp())
        .collect();
    let (frames, joints, plane) = (view.frames, view.joints, view.plane());
    let mut old = vec![0.0; plane];
    for axis in view.data.chunks_exact_mut(plane) {
        old.copy_from_slice(axis);
        for (frame, row) in axis.chunks_exact_mut(joints).enumerate() {
            row.fill(0.0);
            let mut inside = 0.0;
            for (offset, weight) in (-half..=half).zip(&weights) {
                let source = frame as isize + offset;
                if !(0..frames as isize).contains(&source) {
                    continue;
                }
                inside += weight;
                let source = source as usize * joints;
                for (value, other) in row.iter_mut().zip(&old[source..source + joints]) {
                    *value += weight * other;
                }
            }
            if normalized {
                row.iter_mut().for_each(|value| *value /= inside);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn a_constant_path_stays_when_normalised() {
        let mut data = vec![2.0; 3 * 12];
        blur(
            &mut View {
                data: &mut data,
                frames: 12,
                joints: 1,
            },
            15,
            (2.0, 2.0),
            true,
            &mut generator(0, 0, 0, 0),
        );
        assert!(data.iter().all(|value| (value - 2.0).abs() < 1e-5));
    }

    #[test]
    fn the_published_kernel_gains_about_sigma_root_two_pi() {
        let mut data = vec![1.0; 3 * 31];
        blur(
            &mut View {
                data: &mut data,
                frames: 31,
                joints: 1,
            },
            15,
            (2.0, 2.0),
            false,
            &mut generator(0, 0, 0, 0),
        );
        assert!(
            (data[15] - 2.0 * std::f32::consts::TAU.sqrt()).abs() < 0.01,
            "{}",
            data[15]
        );
    }
}
