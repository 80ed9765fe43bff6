//! The published geometry, made robust for live data.
//!
//! 1. Valid frames run from the first to the last in which anybody is seen, empty ones between them included, so that a
//!    gap does not cut the end off and time keeps its pace. There is no cut at 300 frames.
//! 2. Every joint is interpolated over the frames in which *it* was seen and held before the first and after the last. A
//!    joint never seen takes the place of its nearest seen ancestor; a root never seen that of the mean of the others.
//! 3. Linear resize as in the published pipeline; the root at the origin per frame and body.
//! 4. Shoulders are turned to +x by the full angle (`atan2`) per frame, from a shoulder vector that is averaged over the
//!    neighbouring frames. A vector shortened by a side view weighs less by itself; without any vector the last angle stays.
//! 5. Every body is scaled to a trunk of [`TRUNK`] metres by the median over frames of the distance between the middles of
//!    shoulders and hips, so that a child, an adult and an estimator with its own unit look alike.

use super::{Source, Target, subtract, turn};
use crate::limits::AXES;
use crate::resample::Tap;
use crate::topology::Topology;
use core::ops::Range;

/// Trunk of the reference body in metres, from the middle of the shoulders to the middle of the hips (an adult's).
pub(super) const TRUNK: f32 = 0.5;

/// A measured trunk below this (metres) is no measurement: the body keeps its size.
const SHORTEST_TRUNK: f32 = 1e-3;

/// Frames averaged on either side of a frame for its yaw; a tenth of a second to each side in a window of 50 frames over
/// two seconds, which is shorter than any turn of a body and longer than the flicker of an estimator.
const YAW_REACH: usize = 3;

/// Squared shoulder vectors below this (metres squared) say nothing about the yaw.
const NO_YAW: f32 = 1e-8;

/// From the first to the last frame with anybody in it (step 1).
pub(super) fn valid_range(source: &Source<'_>) -> Range<usize> {
    let seen = |frame: &usize| (0..source.bodies).any(|body| source.has_body(*frame, body));
    let Some(first) = (0..source.frames).find(seen) else {
        return 0..0;
    };
    let last = (first..source.frames).rev().find(seen).unwrap_or(first);
    first..last + 1
}

/// Steps 2 to 5 for one body that is seen at least once.
pub(super) fn body(
    topology: &Topology,
    source: &Source<'_>,
    range: Range<usize>,
    body: usize,
    target: &mut Target<'_>,
) {
    let mut seen: u64 = 0;
    for joint in 0..target.joints {
        if resample_joint(source, range.clone(), body, joint, target) {
            seen |= 1 << joint;
        }
    }
    fill_unseen(topology, seen, target);
    let root = usize::from(topology.root);
    for frame in 0..target.frames {
        let origin = target.get(frame, root);
        target.update(frame, |position| subtract(position, origin));
    }
    face_camera(topology, target);
    scale(topology, target);
}

/// Writes one joint's interpolated path; false when the joint was never seen.
fn resample_joint(
    source: &Source<'_>,
    range: Range<usize>,
    body: usize,
    joint: usize,
    target: &mut Target<'_>,
) -> bool {
    let sighting = |from: usize| {
        (from..range.end).find_map(|frame| {
            source
                .joint(frame, body, joint)
                .map(|position| (frame, position))
        })
    };
    let Some(first) = sighting(range.start) else {
        return false;
    };
    let (mut before, mut after) = (first, first);
    for frame in 0..target.frames {
        let position = range.start as f32 + Tap::new(frame, range.len(), target.frames).position();
        while after.0 as f32 <= position {
            before = after;
            match sighting(after.0 + 1) {
                Some(next) => after = next,
                None => break,
            }
        }
        let span = (after.0 - before.0) as f32;
        let weight = if span > 0.0 {
            ((position - before.0 as f32) / span).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let mix = |axis: usize| {
            let [from, to] =
                [before.1, after.1].map(|point| point.get(axis).copied().unwrap_or_default());
            from * (1.0 - weight) + to * weight
        };
        target.set(frame, joint, [mix(0), mix(1), mix(2)]);
    }
    true
}

/// Gives joints that were never seen a place (step 2).
fn fill_unseen(topology: &Topology, seen: u64, target: &mut Target<'_>) {
    let is_seen = |joint: usize| seen & (1 << joint) != 0;
    let root = usize::from(topology.root);
    for frame in 0..target.frames {
        if !is_seen(root) {
            let mut mean = [0.0; AXES];
            for joint in (0..target.joints).filter(|joint| is_seen(*joint)) {
                for (sum, coordinate) in mean.iter_mut().zip(target.get(frame, joint)) {
                    *sum += coordinate / seen.count_ones() as f32;
                }
            }
            target.set(frame, root, mean);
        }
        for joint in (0..target.joints).filter(|joint| !is_seen(*joint) && *joint != root) {
            let mut ancestor = joint;
            while let Some(parent) = topology.parent(ancestor) {
                ancestor = parent;
                if is_seen(ancestor) {
                    break;
                }
            }
            let position = target.get(frame, ancestor);
            target.set(frame, joint, position);
        }
    }
}

/// Step 4. Earlier frames are turned already when a later one looks back, so their raw vectors are remembered.
fn face_camera(topology: &Topology, target: &mut Target<'_>) {
    let mut past = [[0.0_f32; 2]; YAW_REACH];
    let (mut sin, mut cos) = (0.0, 1.0);
    for frame in 0..target.frames {
        let raw = target.shoulders(topology, frame);
        let mut sum = raw.map(|value| value * (YAW_REACH + 1) as f32);
        for (back, vector) in past.iter().enumerate() {
            add(&mut sum, *vector, YAW_REACH - back);
        }
        for ahead in 1..=YAW_REACH {
            if frame + ahead < target.frames {
                add(
                    &mut sum,
                    target.shoulders(topology, frame + ahead),
                    YAW_REACH + 1 - ahead,
                );
            }
        }
        let length = sum[0] * sum[0] + sum[1] * sum[1];
        if length > NO_YAW {
            let angle = -libm::atan2f(sum[1], sum[0]);
            (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        }
        target.update(frame, |position| turn(position, sin, cos));
        past.rotate_right(1);
        if let Some(newest) = past.first_mut() {
            *newest = raw;
        }
    }
}

/// Adds a shoulder vector with the weight it has at its distance in frames.
fn add(sum: &mut [f32; 2], vector: [f32; 2], weight: usize) {
    sum[0] += vector[0] * weight as f32;
    sum[1] += vector[1] * weight as f32;
}

/// Step 5.
fn scale(topology: &Topology, target: &mut Target<'_>) {
    let trunk = libm::sqrtf(median_squared_trunk(topology, target));
    if trunk < SHORTEST_TRUNK {
        return;
    }
    let factor = TRUNK / trunk;
    for frame in 0..target.frames {
        target.update(frame, |position| {
            position.map(|coordinate| coordinate * factor)
        });
    }
}

/// Lower median over frames, found by bisection of the bits (which order positive floats), so it needs no buffer.
fn median_squared_trunk(topology: &Topology, target: &Target<'_>) -> f32 {
    let squared = |frame: usize| {
        let at = |joint: u8| target.get(frame, usize::from(joint));
        let (left, right) = (at(topology.left_shoulder), at(topology.right_shoulder));
        let (left_hip, right_hip) = (at(topology.left_hip), at(topology.right_hip));
        let half = |axis: usize| {
            let value = |point: &[f32; 3]| point.get(axis).copied().unwrap_or_default();
            (value(&left) + value(&right) - value(&left_hip) - value(&right_hip)) * 0.5
        };
        half(0) * half(0) + half(1) * half(1) + half(2) * half(2)
    };
    let rank = target.frames.div_ceil(2);
    let (mut low, mut high) = (0_u32, f32::MAX.to_bits());
    while low < high {
        let middle = low + (high - low) / 2;
        let bound = f32::from_bits(middle);
        if (0..target.frames)
            .filter(|frame| squared(*frame) <= bound)
            .count()
            >= rank
        {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    f32::from_bits(low)
}
