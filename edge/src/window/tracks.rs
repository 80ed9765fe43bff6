//! The persons that are followed at the moment, and when each gives a window.

use super::policy::{Policy, WindowConfig};
use super::track::{Pushed, Track};
use crate::capture::Event;
use serde::Serialize;
use tendon_shared::pose::Pose;

/// A piece of a track that is due to become a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The person's track.
    pub track: u64,
    /// First pose, milliseconds.
    pub start_ms: u64,
    /// Last pose, milliseconds.
    pub end_ms: u64,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
    /// The true class, only when a recorded set is played.
    pub label: Option<u16>,
    /// `[frame, joint, 3]`, metres.
    pub poses: Vec<f32>,
}

/// What the tracks took and refused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WindowCounts {
    /// Poses taken.
    pub poses: u64,
    /// Poses whose time did not move on.
    pub out_of_order: u64,
    /// Tracks that began anew because the source's clock was set back.
    pub clock_resets: u64,
    /// Poses with another number of joints than the model's topology.
    pub wrong_joints: u64,
    /// Tracks that gave way to a new one.
    pub evicted: u64,
    /// Tracks longer than a window may be; their oldest poses were dropped.
    pub overrun: u64,
    /// Windows cut.
    pub windows: u64,
    /// Windows with too few poses or joints.
    pub poor: u64,
}

/// All tracks.
#[derive(Debug)]
pub struct Tracks {
    config: WindowConfig,
    joints: usize,
    /// The one that was heard of last stands last, whatever time its poses say.
    tracks: Vec<Track>,
    counts: WindowCounts,
}

impl Tracks {
    /// No tracks yet; poses have `joints` joints.
    #[must_use]
    pub fn new(config: WindowConfig, joints: usize) -> Self {
        Self {
            config,
            joints,
            tracks: Vec::new(),
            counts: WindowCounts::default(),
        }
    }

    /// What was taken and refused.
    #[must_use]
    pub fn counts(&self) -> WindowCounts {
        self.counts
    }

    /// Persons followed at the moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether nobody is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Poses held of all persons.
    #[must_use]
    pub fn poses(&self) -> usize {
        self.tracks.iter().map(Track::len).sum()
    }

    /// Takes an event; returns the window that it completes, if any.
    pub fn push(&mut self, event: &Event) -> Option<Cut> {
        match event {
            Event::Hello { .. } | Event::Answer(_) | Event::Bridge(_) => None,
            Event::Pose(pose) => self.pose(pose),
            Event::End { track, label, .. } => self.end(*track, *label),
        }
    }

    fn pose(&mut self, pose: &Pose) -> Option<Cut> {
        if pose.joints.len() != self.joints {
            self.counts.wrong_joints += 1;
            return None;
        }
        let index = self.find_or_open(pose.track);
        let track = self.tracks.get_mut(index)?;
        match track.push(pose, self.config.min_joint_confidence) {
            Pushed::Taken => {}
            Pushed::ClockReset => self.counts.clock_resets += 1,
            Pushed::Refused => {
                self.counts.out_of_order += 1;
                return None;
            }
        }
        self.counts.poses += 1;
        if self.config.policy != Policy::Sliding {
            return None;
        }
        let WindowConfig {
            span_ms, hop_ms, ..
        } = self.config;
        track.forget_before(pose.time_ms.saturating_sub(span_ms));
        if !track.due(span_ms, hop_ms) {
            return None;
        }
        let cut = cut(track, None);
        self.keep_if_good(cut)
    }

    fn end(&mut self, id: u64, label: Option<u16>) -> Option<Cut> {
        let index = self.tracks.iter().position(|track| track.id() == id)?;
        let track = self.tracks.remove(index);
        if self.config.policy != Policy::Track {
            return None;
        }
        self.counts.overrun += u64::from(track.overrun());
        self.keep_if_good(cut(&track, label))
    }

    fn keep_if_good(&mut self, cut: Cut) -> Option<Cut> {
        let poses = cut.poses.len() / (self.joints * 3).max(1);
        // A played recording is judged however poor it is, or accuracy would be measured on the easy ones only.
        let good = cut.label.is_some()
            || poses >= self.config.min_poses && cut.quality >= self.config.min_quality;
        if !good {
            self.counts.poor += 1;
            return None;
        }
        self.counts.windows += 1;
        Some(cut)
    }

    /// The place of the track `id`, which is the last: whoever was heard of longest ago stands first and gives way.
    fn find_or_open(&mut self, id: u64) -> usize {
        if let Some(index) = self.tracks.iter().position(|track| track.id() == id) {
            let track = self.tracks.remove(index);
            self.tracks.push(track);
        } else if self.tracks.len() >= self.config.max_tracks.max(1) {
            // Its buffers serve on, so that a thousand tracks cost no more memory than a few.
            let mut track = self.tracks.remove(0);
            track.restart(id);
            self.tracks.push(track);
            self.counts.evicted += 1;
        } else {
            self.tracks.push(Track::new(id, self.joints));
        }
        self.tracks.len() - 1
    }
}

fn cut(track: &Track, label: Option<u16>) -> Cut {
    let mut poses = Vec::new();
    let (start_ms, end_ms, quality) = track.copy_to(&mut poses);
    Cut {
        track: track.id(),
        start_ms,
        end_ms,
        quality,
        label,
        poses,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ms: u64, track: u64) -> Event {
        let joints = [[time_ms as f32, 1.0, 2.0]; 2].into_iter().collect();
        Event::Pose(Box::new(Pose {
            time_ms,
            track,
            joints,
            confidence: heapless::Vec::new(),
        }))
    }

    fn tracks(policy: Policy) -> Tracks {
        Tracks::new(
            WindowConfig {
                policy,
                span_ms: 1_000,
                hop_ms: 300,
                max_tracks: 2,
                min_poses: 3,
                ..WindowConfig::default()
            },
            2,
        )
    }

    #[test]
    fn slides_over_the_track_by_the_hop() {
        let mut tracks = tracks(Policy::Sliding);
        let ends: Vec<(u64, u64)> = (0..20)
            .filter_map(|step| tracks.push(&event(step * 100, 7)))
            .map(|cut| (cut.start_ms, cut.end_ms))
            .collect();
        assert_eq!(ends, [(0, 1_000), (300, 1_300), (600, 1_600), (900, 1_900)]);
    }

    #[test]
    fn cuts_a_whole_track_when_it_ends() {
        let mut tracks = tracks(Policy::Track);
        for step in 0..5 {
            assert_eq!(tracks.push(&event(step, 7)), None);
        }
        let cut = tracks
            .push(&Event::End {
                track: 7,
                time_ms: 9,
                label: Some(3),
            })
            .unwrap();
        assert_eq!(
            (cut.label, cut.poses.len(), cut.quality),
            (Some(3), 5 * 6, 1.0)
        );
        assert_eq!(
            tracks.push(&Event::End {
                track: 7,
                time_ms: 9,
                label: None
            }),
            None
        );
    }

    #[test]
    fn a_short_track_without_a_label_is_poor() {
        let mut tracks = tracks(Policy::Track);
        tracks.push(&event(1, 7));
        assert_eq!(
            tracks.push(&Event::End {
                track: 7,
                time_ms: 9,
                label: None
            }),
            None
        );
        assert_eq!(tracks.counts().poor, 1);
    }

    #[test]
    fn the_most_silent_track_gives_way() {
        let mut tracks = tracks(Policy::Track);
        for (time, id) in [(1, 1), (2, 2), (3, 1), (4, 3), (5, 1)] {
            tracks.push(&event(time, id));
        }
        assert_eq!((tracks.counts().evicted, tracks.counts().poses), (1, 5));
        assert!(
            tracks
                .push(&Event::End {
                    track: 2,
                    time_ms: 9,
                    label: Some(0)
                })
                .is_none()
        );
        assert!(
            tracks
                .push(&Event::End {
                    track: 1,
                    time_ms: 9,
                    label: Some(0)
                })
                .is_some()
        );
    }

    #[test]
    fn time_running_backwards_is_counted() {
        let mut tracks = tracks(Policy::Track);
        tracks.push(&event(5, 1));
        tracks.push(&event(3, 1));
        assert_eq!(tracks.counts().out_of_order, 1);
    }
}
