//! Time warp: the same movement, hurried here and lingered over there.
//!
//! Different persons, and one person twice, do not pass the same poses at the same moments; a network that is to find that both did
//! the same must not rely on when.

use rand::Rng;

use super::View;
use super::random::uniform;

/// Cuts the window into `pieces` equal stretches and gives each a duration drawn from `1 - amount ..= 1 + amount`, all scaled to
/// fill the window; frames in between are interpolated. First and last frame stay.
pub(super) fn time_warp(view: &mut View<'_>, pieces: u32, amount: f32, rng: &mut impl Rng) {
    let (frames, joints, plane) = (view.frames, view.joints, view.plane());
    let durations: Vec<f32> = (0..pieces.max(1))
        .map(|_| uniform(rng, 1.0 - amount, 1.0 + amount).max(f32::EPSILON))
        .collect();
    let sources: Vec<f32> = (0..frames)
        .map(|frame| source(&durations, frame, frames))
        .collect();
    let mut old = vec![0.0; plane];
    for axis in view.data.chunks_exact_mut(plane) {
        old.copy_from_slice(axis);
        for (row, source) in axis.chunks_exact_mut(joints).zip(&sources) {
            let before = (*source as usize).min(frames - 1);
            let after = (before + 1).min(frames - 1);
            let share = source - before as f32;
            let frame = |number: usize| &old[number * joints..(number + 1) * joints];
            for ((value, first), second) in row.iter_mut().zip(frame(before)).zip(frame(after)) {
                *value = first + share * (second - first);
            }
        }
    }
}

/// Where in the unwarped window `frame` comes from.
fn source(durations: &[f32], frame: usize, frames: usize) -> f32 {
    let last = (frames.max(2) - 1) as f32;
    let total: f32 = durations.iter().sum();
    let mut left = frame as f32 / last * total;
    let stretch = last / durations.len() as f32;
    for (piece, duration) in durations.iter().enumerate() {
        if left <= *duration {
            return ((piece as f32 + left / duration) * stretch).clamp(0.0, last);
        }
        left -= duration;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::random::generator;

    /// One joint whose position is the frame's number.
    fn warped(amount: f32, sample: u64) -> Vec<f32> {
        let mut data: Vec<f32> = (0..3)
            .flat_map(|_| (0..16).map(|frame| frame as f32))
            .collect();
        let mut view = View {
            data: &mut data,
            frames: 16,
            joints: 1,
        };
        time_warp(&mut view, 4, amount, &mut generator(0, 0, sample, 0));
        assert_eq!(data[..16], data[16..32], "every axis moves with the others");
        data[..16].to_vec()
    }

    #[test]
    fn time_never_runs_backwards_and_its_ends_stay() {
        for sample in 0..50 {
            let times = warped(0.8, sample);
            assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
            assert!(
                times[0] == 0.0 && (times[15] - 15.0).abs() < 1e-4,
                "{times:?}"
            );
        }
        assert_ne!(warped(0.8, 0), warped(0.8, 1));
    }

    #[test]
    fn equal_durations_change_nothing() {
        for (frame, time) in warped(0.0, 0).into_iter().enumerate() {
            assert!((time - frame as f32).abs() < 1e-4);
        }
    }

    #[test]
    fn a_stretch_of_half_the_duration_passes_twice_as_fast() {
        // Durations 0.5 and 1.5: the first half of the movement takes a quarter of the time.
        assert!((source(&[0.5, 1.5], 4, 17) - 8.0).abs() < 1e-5);
        assert!((source(&[0.5, 1.5], 2, 17) - 4.0).abs() < 1e-5);
        assert!((source(&[0.5, 1.5], 10, 17) - 12.0).abs() < 1e-5);
    }
}
