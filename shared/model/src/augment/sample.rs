//! Temporal sampling: frames at random positions, in order.

use rand::{Rng, RngExt as _};

use super::View;

/// Divides the window by `positions` equally spaced positions and takes as many of them as there are frames, at random and in order.
///
/// # Source
/// PSP Learning takes 50 of a recording's frames at random. Windows here have been resized to their number of frames, so the frames
/// between are interpolated; `positions` stands for the length of the recording.
pub(super) fn temporal_sample(view: &mut View<'_>, positions: u32, rng: &mut impl Rng) {
    let frames = view.frames;
    let positions = positions as usize;
    if frames < 2 || positions <= frames {
        return;
    }
    let chosen = ordered_sample(positions, frames, rng);
    let scale = (frames - 1) as f32 / (positions - 1) as f32;
    let (joints, plane) = (view.joints, view.plane());
    let mut old = vec![0.0; plane];
    for axis in view.data.chunks_exact_mut(plane) {
        old.copy_from_slice(axis);
        for (row, position) in axis.chunks_exact_mut(joints).zip(&chosen) {
            let source = *position as f32 * scale;
            let before = (source as usize).min(frames - 2);
            let share = source - before as f32;
            let (first, second) = (&old[before * joints..], &old[(before + 1) * joints..]);
            for (value, (first, second)) in row.iter_mut().zip(first.iter().zip(second)) {
                *value = first * (1.0 - share) + second * share;
            }
        }
    }
}

/// `count` of the numbers below `all`, each subset equally likely, in order.
fn ordered_sample(all: usize, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut wanted = count;
    let take = |number: &usize| {
        let left = all - number;
        let taken = rng.random_range(0..left) < wanted;
        wanted -= usize::from(taken);
        taken
    };
    (0..all).filter(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    #[test]
    fn a_sample_is_in_order_and_every_position_occurs() {
        let mut seen = [0; 9];
        for sample in 0..200 {
            let chosen = ordered_sample(9, 4, &mut generator(0, 0, sample, 0));
            assert_eq!(chosen.len(), 4);
            assert!(chosen.is_sorted_by(|a, b| a < b));
            chosen.into_iter().for_each(|number| seen[number] += 1);
        }
        // 89 times each on average.
        assert!(
            seen.iter().all(|count| (50..130).contains(count)),
            "{seen:?}"
        );
    }

    // A path that moves evenly is at the chosen position wherever that lies between frames.
    #[test]
    fn frames_between_are_interpolated() {
        let mut data: Vec<f32> = (0..3)
            .flat_map(|_| (0..6).map(|frame| frame as f32 + 1.0))
            .collect();
        let mut view = View {
            data: &mut data,
            frames: 6,
            joints: 1,
        };
        temporal_sample(&mut view, 11, &mut generator(0, 0, 1, 0));
        let chosen = ordered_sample(11, 6, &mut generator(0, 0, 1, 0));
        for (value, position) in data.iter().zip(chosen) {
            assert!((value - (1.0 + 0.5 * position as f32)).abs() < 1e-6);
        }
    }

    #[test]
    fn as_few_positions_as_frames_change_nothing() {
        let before: Vec<f32> = (0..18).map(|value| value as f32).collect();
        for positions in [0, 5, 6] {
            let mut data = before.clone();
            let mut view = View {
                data: &mut data,
                frames: 6,
                joints: 1,
            };
            temporal_sample(&mut view, positions, &mut generator(0, 0, 1, 0));
            assert_eq!(data, before);
        }
    }
}
