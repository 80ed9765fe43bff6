//! Which of the bodies that a Kinect reported are people, and which people go on under a new id.
//!
//! # Source
//! The two tests for false bodies and their numbers are CTR-GCN's: a body of few frames, and one that is wider than
//! it is tall (furniture). Different here: a body that starts after another has ended continues it, because ids change
//! when a person is lost and found again; and the last body is never dropped.

const JOINTS: usize = 25;

/// A body with at most this many frames is false.
const SHORT: usize = 11;
/// A frame is bad when the body is wider than this part of its height.
const WIDE: f32 = 0.8;
/// A body with more than this part of bad frames is false.
const BAD: f32 = 0.697_54;
/// Bodies that are kept.
const KEPT: usize = tendon_shared::limits::MAX_BODIES;

type Pose = [[f32; 3]; JOINTS];

/// All poses under one id, in time.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    poses: Vec<(usize, Pose)>,
}

impl Track {
    /// Adds a pose; a second one in the same frame replaces the first.
    pub(super) fn push(&mut self, frame: usize, pose: &Pose) {
        match self.poses.last_mut() {
            Some((last, stored)) if *last == frame => *stored = *pose,
            _ => self.poses.push((frame, *pose)),
        }
    }

    /// Frame numbers and poses.
    pub(super) fn frames(&self) -> impl Iterator<Item = (usize, &Pose)> {
        self.poses.iter().map(|(frame, pose)| (*frame, pose))
    }

    fn span(&self) -> (usize, usize) {
        let frame = |pose: Option<&(usize, Pose)>| pose.map_or(0, |(frame, _)| *frame);
        (frame(self.poses.first()), frame(self.poses.last()))
    }

    fn is_false(&self) -> bool {
        let bad = self
            .poses
            .iter()
            .filter(|(_, pose)| spread(pose, 0) > WIDE * spread(pose, 1))
            .count();
        self.poses.len() <= SHORT || bad as f32 >= BAD * self.poses.len() as f32
    }

    /// How much there is to see: the summed variance of every coordinate, times the frames.
    fn energy(&self) -> f32 {
        let count = self.poses.len() as f32;
        let mut energy = 0.0;
        for joint in 0..JOINTS {
            for axis in 0..3 {
                let values = self.poses.iter().map(|(_, pose)| pose[joint][axis]);
                let mean = values.clone().sum::<f32>() / count;
                energy += values.map(|value| (value - mean).powi(2)).sum::<f32>();
            }
        }
        energy
    }

    fn is_absent(&self) -> bool {
        self.poses
            .iter()
            .all(|(_, pose)| pose.iter().flatten().all(|value| *value == 0.0))
    }
}

fn spread(pose: &Pose, axis: usize) -> f32 {
    let (low, high) = pose
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), joint| {
            (low.min(joint[axis]), high.max(joint[axis]))
        });
    high - low
}

/// The people, the one that moves most first.
pub(super) fn choose(tracks: Vec<Track>) -> Vec<Track> {
    let mut tracks: Vec<(f32, Track)> = tracks
        .into_iter()
        .filter(|track| !track.is_absent())
        .map(|track| (track.energy(), track))
        .collect();
    // Stable: equal tracks stay in the order of their ids.
    tracks.sort_by(|a, b| b.0.total_cmp(&a.0));
    if tracks.iter().any(|(_, track)| !track.is_false()) {
        tracks.retain(|(_, track)| !track.is_false());
    }
    let mut people: Vec<Track> = Vec::new();
    for (_, track) in tracks {
        let (first, last) = track.span();
        let apart = |person: &Track| {
            person
                .frames()
                .all(|(frame, _)| frame < first || frame > last)
        };
        if let Some(person) = people.iter_mut().find(|person| apart(person)) {
            person.poses.extend(track.poses);
            person.poses.sort_by_key(|(frame, _)| *frame);
        } else if people.len() < KEPT {
            people.push(track);
        }
    }
    people
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves by `speed` a frame; `width` and `height` in metres.
    fn track(frames: std::ops::Range<usize>, speed: f32, width: f32, height: f32) -> Track {
        let pose = |frame: usize| {
            std::array::from_fn(|joint| {
                let part = joint as f32 / 24.0;
                [part * width + speed * frame as f32, part * height, 3.0]
            })
        };
        Track {
            poses: frames.map(|frame| (frame, pose(frame))).collect(),
        }
    }

    fn check(tracks: Vec<Track>, expect: &[(usize, usize, usize)]) {
        let found: Vec<_> = choose(tracks)
            .iter()
            .map(|track| (track.span().0, track.span().1, track.poses.len()))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn furniture_and_flashes_are_dropped() {
        let person = || track(0..40, 0.01, 0.5, 1.7);
        let chair = track(0..40, 0.02, 1.0, 1.0);
        let flash = track(5..16, 0.5, 0.5, 1.7);
        check(vec![chair.clone(), person(), flash], &[(0, 39, 40)]);
        check(vec![chair], &[(0, 39, 40)]);
    }

    #[test]
    fn a_new_id_after_the_old_one_is_the_same_person() {
        let (before, after) = (track(0..20, 0.01, 0.5, 1.7), track(25..60, 0.01, 0.5, 1.7));
        let other = track(0..60, 0.001, 0.5, 1.7);
        check(vec![before, after, other], &[(0, 59, 55), (0, 59, 60)]);
    }

    #[test]
    fn the_two_that_move_most_are_kept() {
        let tracks = [0.01, 0.03, 0.02].map(|speed| track(0..30, speed, 0.5, 1.7));
        let people = choose(tracks.to_vec());
        let speed = |track: &Track| track.poses[1].1[0][0];
        assert_eq!(people.iter().map(speed).collect::<Vec<_>>(), [0.03, 0.02]);
    }

    #[test]
    fn nobody_stays_nobody() {
        check(vec![], &[]);
        check(
            vec![Track {
                poses: vec![(0, [[0.0; 3]; JOINTS])],
            }],
            &[],
        );
    }
}
