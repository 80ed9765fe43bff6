//! Recordings as a device gets them: one body, shifted, in the bundle's skeleton, absent joints where they were last.
//!
//! The same steps in the same order as a stream of `tendon replay` goes through on a device.

use crate::replay::shift::Shift;
use crate::replay::stream::DEFAULT_FPS;
use rand::Rng;
use std::collections::VecDeque;
use tendon_data::dataset::Recording;
use tendon_shared::limits::MAX_WINDOW_FRAMES;
use tendon_shared::pose::is_present;
use tendon_shared::topology::TopologyId;
use tendon_shared::topology::map::{RetargetError, retarget};

/// A recording that was played.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// `[frame, joint, 3]`, metres; the newest frames that a device keeps.
    pub poses: Vec<f32>,
    /// Time of each of these frames after the recording's first one, milliseconds.
    pub times_ms: Vec<u64>,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
}

/// Plays the first body of `recording`, whose skeleton is `from`, to a device whose skeleton is `to`.
///
/// # Errors
/// One skeleton cannot become the other.
pub fn play(
    recording: &Recording<'_>,
    (from, to): (TopologyId, TopologyId),
    shift: &Shift,
    rng: &mut impl Rng,
) -> Result<Played, RetargetError> {
    let source = from.topology();
    let (joints, wanted) = (source.joint_count(), to.topology().joint_count());
    let fps = if recording.fps > 0.0 {
        f64::from(recording.fps)
    } else {
        DEFAULT_FPS
    };
    let mut frames: VecDeque<(u64, Vec<[f32; 3]>)> = VecDeque::new();
    let mut seen: VecDeque<usize> = VecDeque::new();
    let mut last = vec![[0.0_f32; 3]; wanted];
    let length = recording.bodies * joints * 3;
    let all = recording.poses.chunks_exact(length.max(1)).enumerate();
    for (number, frame) in all.step_by(shift.keep.max(1)) {
        let body = frame.as_chunks::<3>().0.iter().take(joints);
        let mut shown: Vec<[f32; 3]> = body.copied().collect();
        shift.apply(source, &mut shown, rng);
        let mut pose = vec![[0.0_f32; 3]; wanted];
        retarget(from, to, &shown, &mut pose)?;
        let present = pose.iter().filter(|joint| is_present(joint)).count();
        for (joint, last) in pose.iter_mut().zip(&mut last) {
            if is_present(joint) {
                *last = *joint;
            } else if present > 0 {
                *joint = *last;
            } else {
                *joint = [0.0; 3];
            }
        }
        if frames.len() == MAX_WINDOW_FRAMES {
            frames.pop_front();
            seen.pop_front();
        }
        // As `tendon replay`: very fast recordings are played a millisecond a frame.
        let time = (number as f64 * (1_000.0 / fps).max(1.0)).round() as u64;
        frames.push_back((time, pose));
        seen.push_back(present);
    }
    let total = (frames.len() * wanted).max(1);
    Ok(Played {
        quality: seen.iter().sum::<usize>() as f32 / total as f32,
        times_ms: frames.iter().map(|(time, _)| *time).collect(),
        poses: frames
            .into_iter()
            .flat_map(|(_, pose)| pose.into_iter().flatten())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;

    fn play_with(poses: &[f32], bodies: usize, shift: &Shift) -> Played {
        let recording = Recording {
            name: "r",
            poses,
            frames: poses.len() / (60 * bodies),
            bodies,
            label: 0,
            subject: 0,
            camera: 0,
            setup: 0,
            repetition: 0,
            fps: 20.0,
        };
        let both = (TopologyId::Kinect20, TopologyId::Kinect20);
        play(&recording, both, shift, &mut generator(0, 0, 0, 0)).unwrap()
    }

    #[test]
    fn an_absent_joint_stays_where_it_was_and_lowers_the_quality() {
        let mut poses = vec![1.0; 120];
        poses[60..63].fill(0.0);
        poses[63..66].fill(2.0);
        let played = play_with(&poses, 1, &Shift::default());
        assert_eq!(played.times_ms, [0, 50]);
        assert_eq!(played.poses[60..66], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        // 39 of 40 joints.
        assert!((played.quality - 0.975).abs() < 1e-6);
    }

    #[test]
    fn a_frame_without_anybody_is_empty() {
        let mut poses = vec![1.0; 120];
        poses[60..].fill(0.0);
        let played = play_with(&poses, 1, &Shift::default());
        assert!(played.poses[60..].iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_slower_camera_keeps_the_time() {
        let poses: Vec<f32> = (0..6 * 120)
            .map(|value| 1.0 + value as f32 * 1e-3)
            .collect();
        let shift = Shift {
            keep: 3,
            ..Shift::default()
        };
        let played = play_with(&poses, 2, &shift);
        assert_eq!(played.times_ms, [0, 150]);
        assert_eq!(played.poses[..60], poses[..60]);
        assert_eq!(played.poses[60..], poses[360..420]);
    }

    #[test]
    fn a_device_keeps_the_newest_frames() {
        let poses: Vec<f32> = vec![1.0; 310 * 60];
        let played = play_with(&poses, 1, &Shift::default());
        assert_eq!(played.times_ms.len(), 300);
        assert_eq!(played.times_ms[0], 500);
    }
}
