//! Temporal crop: mirrored padding, then a window at a random place.

use rand::{Rng, RngExt as _};

use super::View;

/// Mirrors `frames / ratio` frames at both ends (the edge frame is repeated) and keeps a random run of `frames`.
///
/// # Source
/// CrosSCLR's `temporal_crop`.
pub(super) fn temporal_crop(view: &mut View<'_>, ratio: u32, rng: &mut impl Rng) {
    let frames = view.frames;
    let padding = frames / ratio.max(1) as usize;
    let start = rng.random_range(0..=2 * padding);
    let sources: Vec<usize> = (0..frames)
        .map(|frame| mirrored(frame + start, padding, frames))
        .collect();
    let (joints, plane) = (view.joints, view.plane());
    let mut old = vec![0.0; plane];
    for axis in view.data.chunks_exact_mut(plane) {
        old.copy_from_slice(axis);
        for (row, source) in axis.chunks_exact_mut(joints).zip(&sources) {
            row.copy_from_slice(&old[source * joints..(source + 1) * joints]);
        }
    }
}

/// The frame that stands at `position` of a window mirrored by `padding` frames.
fn mirrored(position: usize, padding: usize, frames: usize) -> usize {
    if position < padding {
        padding - 1 - position
    } else if position < padding + frames {
        position - padding
    } else {
        2 * frames + padding - 1 - position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn the_mirror_repeats_the_edge_frame() {
        // Frames 0..6, padding 2: 1 0 | 0 1 2 3 4 5 | 5 4
        let row: Vec<usize> = (0..10).map(|position| mirrored(position, 2, 6)).collect();
        assert_eq!(row, [1, 0, 0, 1, 2, 3, 4, 5, 5, 4]);
    }

    #[test]
    fn every_start_occurs_and_order_is_kept() {
        let mut firsts = std::collections::BTreeSet::new();
        for sample in 0..100 {
            let mut data: Vec<f32> = (0..3)
                .flat_map(|_| (0..12).map(|frame| frame as f32 + 1.0))
                .collect();
            let mut view = View {
                data: &mut data,
                frames: 12,
                joints: 1,
            };
            temporal_crop(&mut view, 6, &mut generator(0, 0, sample, 0));
            assert!(
                data.windows(2)
                    .take(11)
                    .all(|pair| (pair[1] - pair[0]).abs() <= 1.0)
            );
            firsts.insert(data[0] as i32);
        }
        assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
