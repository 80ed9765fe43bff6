//! What a set holds, and what is odd in it: empty frames, and content that occurs twice.
//!
//! Public sets contain copies of recordings under other names, or overlapping cuts of one capture. When such copies lie on
//! both sides of a split, a test measures memory. Copies are found by content: equal digests of all poses, and equal
//! single frames. Nothing is changed here.

use crate::dataset::{Dataset, Recording};
use crate::split::{Axis, Split};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Recordings of every class.
    pub classes: Vec<usize>,
    /// Recordings by subject, camera, setup and repetition.
    pub tags: BTreeMap<Axis, BTreeMap<u16, usize>>,
    /// Frames of the shortest, the middle and the longest recording.
    pub frames: [usize; 3],
    /// Every joint over all frames in which it is there.
    pub joints: Vec<JointStatistics>,
    /// Recordings with frames without anybody, and how many.
    pub empty_frames: Vec<(usize, usize)>,
    /// Recordings in which a body lacks joints, and how many.
    pub absent_joints: Vec<(usize, usize)>,
    /// Recordings of a single frame.
    pub single_frame: Vec<usize>,
    /// Groups of recordings with the same poses in every frame.
    pub copies: Vec<Vec<usize>>,
    /// Pairs of other recordings that share frames, and how many.
    pub overlaps: Vec<Overlap>,
}

/// Mean and standard deviation of one joint, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointStatistics {
    /// Mean of x, y, z.
    pub mean: [f64; 3],
    /// Standard deviation of x, y, z.
    pub spread: [f64; 3],
    /// Part of the frames with the body in which this joint is absent, 0..=1.
    pub absent: f64,
}

/// Two recordings that contain the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The earlier recording's number.
    pub first: usize,
    /// The later recording's number.
    pub second: usize,
    /// Frames of the second that are also in the first.
    pub frames: usize,
}

impl Verification {
    /// Looks through a whole set once.
    pub fn of(set: &Dataset) -> Self {
        let mut tags: BTreeMap<Axis, BTreeMap<u16, usize>> = BTreeMap::new();
        let mut classes = vec![0; set.classes().len()];
        let mut lengths = Vec::with_capacity(set.len());
        for recording in set.recordings() {
            classes[usize::from(recording.label)] += 1;
            for (axis, value) in [
                (Axis::Subject, recording.subject),
                (Axis::Camera, recording.camera),
                (Axis::Setup, recording.setup),
                (Axis::Repetition, recording.repetition),
            ] {
                *tags.entry(axis).or_default().entry(value).or_default() += 1;
            }
            lengths.push(recording.frames);
        }
        lengths.sort_unstable();
        let length = |at: usize| lengths.get(at).copied().unwrap_or_default();
        let frames = [
            length(0),
            length(lengths.len() / 2),
            length(lengths.len().saturating_sub(1)),
        ];
        let numbers = || 0..set.len();
        let joint_count = set.topology().topology().joint_count();
        let copies = copies(set);
        Self {
            classes,
            tags,
            frames,
            joints: joints(set),
            empty_frames: counted(set, empty_frames),
            absent_joints: counted(set, |recording| absent_joints(recording, joint_count)),
            single_frame: numbers()
                .filter(|&n| set.recording(n).frames == 1)
                .collect(),
            overlaps: overlaps(set, &copies),
            copies,
        }
    }

    /// Pairs of copies and overlaps that lie on both sides of a split, the training side first.
    ///
    /// Nothing when the set does not have both sides.
    pub fn across(&self, set: &Dataset, split: &Split) -> Option<Vec<(usize, usize)>> {
        let (train, test) = (split.train.indices(set), split.test.indices(set));
        if train.is_empty() || test.is_empty() {
            return None;
        }
        let side = |number: usize| {
            (
                train.binary_search(&number).is_ok(),
                test.binary_search(&number).is_ok(),
            )
        };
        let pairs = self.copies.iter().flat_map(|group| {
            group
                .iter()
                .enumerate()
                .flat_map(|(at, &first)| group[at + 1..].iter().map(move |&second| (first, second)))
        });
        let pairs = pairs.chain(
            self.overlaps
                .iter()
                .map(|overlap| (overlap.first, overlap.second)),
        );
        let mut across: Vec<(usize, usize)> = pairs
            .filter_map(|(first, second)| match (side(first), side(second)) {
                ((true, _), (_, true)) => Some((first, second)),
                ((_, true), (true, _)) => Some((second, first)),
                _ => None,
            })
            .collect();
        across.sort_unstable();
        across.dedup();
        Some(across)
    }
}

/// Recordings in which something occurs, and how often.
fn counted(set: &Dataset, count: impl Fn(&Recording<'_>) -> usize) -> Vec<(usize, usize)> {
    let each = (0..set.len()).map(|number| {
        let found = count(&set.recording(number));
        set.forget(number);
        (number, found)
    });
    each.filter(|(_, found)| *found > 0).collect()
}

/// Joints that are absent although their body is there.
fn absent_joints(recording: &Recording<'_>, joints: usize) -> usize {
    let bodies = recording
        .poses
        .chunks_exact(joints * 3)
        .filter(|body| body.iter().any(|value| *value != 0.0));
    bodies
        .flat_map(|body| body.as_chunks::<3>().0)
        .filter(|joint| **joint == [0.0; 3])
        .count()
}

fn empty_frames(recording: &Recording<'_>) -> usize {
    let pose = recording.poses.len() / recording.frames;
    recording
        .poses
        .chunks_exact(pose)
        .filter(|frame| frame.iter().all(|value| *value == 0.0))
        .count()
}

/// Sums of a joint: seen, absent, sum and sum of squares of every axis.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    seen: u64,
    absent: u64,
    sum: [f64; 3],
    square: [f64; 3],
}

fn joints(set: &Dataset) -> Vec<JointStatistics> {
    let joints = set.topology().topology().joint_count();
    let sums_of = |number: usize| {
        let mut sums = vec![Sums::default(); joints];
        for body in set.recording(number).poses.chunks_exact(joints * 3) {
            // An absent body says nothing about its joints.
            if body.iter().all(|value| *value == 0.0) {
                continue;
            }
            for (sums, joint) in sums.iter_mut().zip(body.as_chunks::<3>().0) {
                if joint.iter().all(|value| *value == 0.0) {
                    sums.absent += 1;
                    continue;
                }
                sums.seen += 1;
                for (axis, &value) in joint.iter().enumerate() {
                    sums.sum[axis] += f64::from(value);
                    sums.square[axis] += f64::from(value).powi(2);
                }
            }
        }
        set.forget(number);
        sums
    };
    let mut total = vec![Sums::default(); joints];
    // Added up in order, so that the last digits do not depend on the number of cores.
    for batch in (0..set.len()).collect::<Vec<_>>().chunks(1024) {
        let parts: Vec<Vec<Sums>> = batch.par_iter().map(|&number| sums_of(number)).collect();
        for part in parts {
            for (total, part) in total.iter_mut().zip(part) {
                total.seen += part.seen;
                total.absent += part.absent;
                for axis in 0..3 {
                    total.sum[axis] += part.sum[axis];
                    total.square[axis] += part.square[axis];
                }
            }
        }
    }
    total.iter().map(Sums::statistics).collect()
}

impl Sums {
    fn statistics(&self) -> JointStatistics {
        let count = (self.seen as f64).max(1.0);
        let mean = self.sum.map(|sum| sum / count);
        let variance = |axis: usize| (self.square[axis] / count - mean[axis] * mean[axis]).max(0.0);
        let spread = [variance(0).sqrt(), variance(1).sqrt(), variance(2).sqrt()];
        let absent = self.absent as f64 / ((self.seen + self.absent) as f64).max(1.0);
        JointStatistics {
            mean,
            spread,
            absent,
        }
    }
}

fn copies(set: &Dataset) -> Vec<Vec<usize>> {
    let digest = |number: usize| -> [u8; 32] {
        let poses = set.recording(number).poses;
        let digest = Sha256::digest(bytemuck::cast_slice::<f32, u8>(poses)).into();
        set.forget(number);
        digest
    };
    let digests: Vec<[u8; 32]> = (0..set.len()).into_par_iter().map(digest).collect();
    let mut groups: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (number, digest) in digests.into_iter().enumerate() {
        groups.entry(digest).or_default().push(number);
    }
    let mut groups: Vec<Vec<usize>> = groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect();
    groups.sort_unstable();
    groups
}

/// Every frame is compared with the first recording that has it; copies are known already.
fn overlaps(set: &Dataset, copies: &[Vec<usize>]) -> Vec<Overlap> {
    let copied: HashMap<usize, usize> = copies
        .iter()
        .flat_map(|group| group.iter().map(|&number| (number, group[0])))
        .collect();
    let mut first_with: HashMap<[u8; 16], usize> = HashMap::new();
    let mut shared: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (number, recording) in set.recordings().enumerate() {
        let pose = recording.poses.len() / recording.frames;
        for frame in recording
            .poses
            .chunks_exact(pose)
            .filter(|frame| frame.iter().any(|value| *value != 0.0))
        {
            let mut key = [0; 16];
            key.copy_from_slice(&Sha256::digest(bytemuck::cast_slice::<f32, u8>(frame))[..16]);
            let first = *first_with.entry(key).or_insert(number);
            let are_copies =
                copied.contains_key(&number) && copied.get(&number) == copied.get(&first);
            if first != number && !are_copies {
                *shared.entry((first, number)).or_default() += 1;
            }
        }
        set.forget(number);
    }
    shared
        .into_iter()
        .map(|((first, second), frames)| Overlap {
            first,
            second,
            frames,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{kinect_set, moving};
    use crate::recording::RawRecording;

    fn tagged(name: &str, frames: usize, shift: f32, camera: u16) -> RawRecording {
        let mut recording = moving(name, 1, frames);
        recording.poses.iter_mut().for_each(|value| *value += shift);
        RawRecording {
            camera,
            ..recording
        }
    }

    #[test]
    fn copies_and_shared_frames_are_found_by_content() {
        let folder = tempfile::tempdir().unwrap();
        // a and c are copies; d is the start of a with one frame of its own; b is different.
        let mut part = tagged("d", 4, 0.0, 2);
        part.poses[3 * 60..]
            .iter_mut()
            .for_each(|value| *value -= 9.0);
        let all = [
            tagged("a", 9, 0.0, 1),
            tagged("b", 9, 5.0, 1),
            tagged("c", 9, 0.0, 2),
            part,
        ];
        let set = kinect_set(folder.path(), &all);
        let found = Verification::of(&set);
        assert_eq!(found.copies, [[0, 2]]);
        assert_eq!(
            found.overlaps,
            [Overlap {
                first: 0,
                second: 3,
                frames: 3
            }]
        );
        assert_eq!(found.frames, [4, 9, 9]);
        let across = |text: &str| found.across(&set, &Split::parse(text).unwrap());
        assert_eq!(across("cameras=1 / cameras=2"), Some(vec![(0, 2), (0, 3)]));
        assert_eq!(across("cameras=2 / cameras=1"), Some(vec![(2, 0), (3, 0)]));
        assert_eq!(across("cameras=1 / cameras=3"), None);
    }

    #[test]
    fn joints_are_measured_where_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = moving("a", 1, 4);
        // Joint 0: (1, 0, 3), (3, 0, 3), absent; the last frame has nobody.
        recording.poses[..3].copy_from_slice(&[1.0, 0.0, 3.0]);
        recording.poses[60..63].copy_from_slice(&[3.0, 0.0, 3.0]);
        recording.poses[120..123].fill(0.0);
        recording.poses[180..].fill(0.0);
        let found = Verification::of(&kinect_set(folder.path(), &[recording, moving("b", 1, 1)]));
        assert_eq!(found.empty_frames, [(0, 1)]);
        assert_eq!(found.absent_joints, [(0, 1)]);
        assert_eq!(found.single_frame, [1]);
        assert_eq!(
            (found.classes.as_slice(), &found.tags[&Axis::Subject]),
            (&[0, 2][..], &BTreeMap::from([(3, 2)]))
        );
        // Of four frames with the body joint 0 is absent in one; b's joint 0 is (1, 1.18.., 1.33..).
        assert_eq!(found.joints[0].absent, 0.25);
        assert!((found.joints[0].mean[0] - 5.0 / 3.0).abs() < 1e-6);
        // (1, 3, 1) around 5/3: variance 8/9.
        assert!((found.joints[0].spread[0] - (8.0_f64 / 9.0).sqrt()).abs() < 1e-6);
    }
}
