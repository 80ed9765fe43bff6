//! The last poses of one person.

use std::collections::VecDeque;
use tendon_shared::limits::MAX_WINDOW_FRAMES;
use tendon_shared::pose::{Pose, is_present};

/// A source whose time goes back by more than this has set its clock, milliseconds; a little is disorder.
const CLOCK_RESET_MS: u64 = 5_000;

/// What became of a pose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was taken.
    Taken,
    /// It was taken, and the poses before were forgotten: the source's clock was set back.
    ClockReset,
    /// It was refused: its time does not move on, or it has another number of joints.
    Refused,
}

/// A ring of poses, oldest first.
#[derive(Debug)]
pub struct Track {
    id: u64,
    joints: usize,
    times_ms: VecDeque<u64>,
    /// `[frame, joint, 3]`, metres.
    poses: VecDeque<f32>,
    /// Joints really seen, a number a frame.
    seen: VecDeque<u8>,
    last_seen: Vec<[f32; 3]>,
    cut_ms: Option<u64>,
    overrun: bool,
}

impl Track {
    /// An empty track of `joints` joints a pose.
    #[must_use]
    pub fn new(id: u64, joints: usize) -> Self {
        Self {
            id,
            joints,
            times_ms: VecDeque::with_capacity(MAX_WINDOW_FRAMES),
            poses: VecDeque::with_capacity(MAX_WINDOW_FRAMES * joints * 3),
            seen: VecDeque::with_capacity(MAX_WINDOW_FRAMES),
            last_seen: vec![[0.0; 3]; joints],
            cut_ms: None,
            overrun: false,
        }
    }

    /// The track's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Time of the newest pose, milliseconds.
    #[must_use]
    pub fn newest_ms(&self) -> u64 {
        self.times_ms.back().copied().unwrap_or(0)
    }

    /// Poses held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether no pose is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Whether poses fell out at the front because the ring was full.
    #[must_use]
    pub fn overrun(&self) -> bool {
        self.overrun
    }

    /// Adds a pose. A joint that is absent (zero, or below `min_confidence`) keeps its last place, as long as other joints
    /// of the frame are there; it does not count as seen. Changes nothing when the pose is refused.
    pub fn push(&mut self, pose: &Pose, min_confidence: f32) -> Pushed {
        if pose.joints.len() != self.joints {
            return Pushed::Refused;
        }
        let mut pushed = Pushed::Taken;
        if !self.is_empty() && pose.time_ms <= self.newest_ms() {
            if self.newest_ms() - pose.time_ms <= CLOCK_RESET_MS {
                return Pushed::Refused;
            }
            self.forget();
            pushed = Pushed::ClockReset;
        }
        if self.len() == MAX_WINDOW_FRAMES {
            self.drop_oldest();
            self.overrun = true;
        }
        let present = |index: usize, joint: &[f32; 3]| {
            is_present(joint)
                && pose
                    .confidence
                    .get(index)
                    .is_none_or(|value| *value >= min_confidence)
        };
        let seen = pose
            .joints
            .iter()
            .enumerate()
            .filter(|(index, joint)| present(*index, joint))
            .count();
        for ((index, joint), last) in pose.joints.iter().enumerate().zip(&mut self.last_seen) {
            if present(index, joint) {
                *last = *joint;
            }
            self.poses.extend(if seen == 0 { [0.0; 3] } else { *last });
        }
        self.times_ms.push_back(pose.time_ms);
        self.seen.push_back(u8::try_from(seen).unwrap_or(u8::MAX));
        pushed
    }

    /// Begins anew, in the same buffers.
    pub fn restart(&mut self, id: u64) {
        self.id = id;
        self.forget();
    }

    fn forget(&mut self) {
        self.times_ms.clear();
        self.poses.clear();
        self.seen.clear();
        self.last_seen.fill([0.0; 3]);
        self.cut_ms = None;
        self.overrun = false;
    }

    /// Forgets poses before `time_ms`.
    pub fn forget_before(&mut self, time_ms: u64) {
        while self
            .times_ms
            .front()
            .is_some_and(|oldest| *oldest < time_ms)
        {
            self.drop_oldest();
        }
    }

    /// Whether a sliding window is due: the track covers `span_ms` and the last cut is `hop_ms` ago. Marks the cut.
    pub fn due(&mut self, span_ms: u64, hop_ms: u64) -> bool {
        let (Some(first), newest) = (self.times_ms.front().copied(), self.newest_ms()) else {
            return false;
        };
        let covered = match self.cut_ms {
            // The first window waits until the span is full; one frame's time short of it is close enough at any rate.
            None => (newest - first).saturating_mul(20) >= span_ms.saturating_mul(19),
            Some(cut) => newest.saturating_sub(cut) >= hop_ms,
        };
        if covered {
            self.cut_ms = Some(newest);
        }
        covered
    }

    /// Copies the poses to `out` as `[frame, joint, 3]`; returns start and end (milliseconds) and the share of joints seen.
    pub fn copy_to(&self, out: &mut Vec<f32>) -> (u64, u64, f32) {
        out.clear();
        out.extend(&self.poses);
        let seen: usize = self.seen.iter().map(|count| usize::from(*count)).sum();
        let quality = seen as f32 / (self.len() * self.joints).max(1) as f32;
        (
            self.times_ms.front().copied().unwrap_or(0),
            self.newest_ms(),
            quality,
        )
    }

    fn drop_oldest(&mut self) {
        self.times_ms.pop_front();
        self.seen.pop_front();
        self.poses.drain(..(self.joints * 3).min(self.poses.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose(time_ms: u64, joints: &[[f32; 3]]) -> Pose {
        Pose {
            time_ms,
            track: 1,
            joints: joints.iter().copied().collect(),
            confidence: heapless::Vec::new(),
        }
    }

    #[test]
    fn an_absent_joint_keeps_its_last_place_but_is_not_seen() {
        let mut track = Track::new(1, 2);
        track.push(&pose(1, &[[1.0, 0.0, 2.0], [3.0, 0.0, 2.0]]), 0.1);
        track.push(&pose(2, &[[0.0; 3], [4.0, 0.0, 2.0]]), 0.1);
        let mut out = Vec::new();
        assert_eq!(track.copy_to(&mut out), (1, 2, 0.75));
        assert_eq!(out[6..9], [1.0, 0.0, 2.0]);
    }

    #[test]
    fn an_empty_frame_stays_empty() {
        let mut track = Track::new(1, 1);
        track.push(&pose(1, &[[1.0, 0.0, 2.0]]), 0.1);
        track.push(&pose(2, &[[0.0; 3]]), 0.1);
        let mut out = Vec::new();
        track.copy_to(&mut out);
        assert_eq!(out[3..], [0.0; 3]);
    }

    #[test]
    fn time_that_stands_still_or_runs_back_is_refused() {
        let mut track = Track::new(1, 1);
        let mut push = |time, joints: &[[f32; 3]]| track.push(&pose(time, joints), 0.1);
        assert_eq!(push(5, &[[1.0; 3]]), Pushed::Taken);
        assert_eq!(push(5, &[[1.0; 3]]), Pushed::Refused);
        assert_eq!(push(4, &[[1.0; 3]]), Pushed::Refused);
        assert_eq!(push(6, &[[1.0; 3]; 2]), Pushed::Refused);
        assert_eq!(track.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_the_track_anew() {
        let mut track = Track::new(1, 1);
        for time in [u64::MAX - 1, u64::MAX] {
            track.push(&pose(time, &[[1.0; 3]]), 0.1);
        }
        assert_eq!(track.push(&pose(7, &[[1.0; 3]]), 0.1), Pushed::ClockReset);
        assert_eq!((track.len(), track.newest_ms()), (1, 7));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut track = Track::new(1, 1);
        for time in 0..=MAX_WINDOW_FRAMES as u64 {
            track.push(&pose(time, &[[1.0; 3]]), 0.1);
        }
        assert!(track.overrun() && track.len() == MAX_WINDOW_FRAMES);
        let mut out = Vec::new();
        assert_eq!(track.copy_to(&mut out).0, 1);
    }
}
