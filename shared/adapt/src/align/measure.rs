//! What one clip of poses tells about its camera, its sensor and the person's build.
//!
//! All are medians over frames, so that a glitch says nothing. Poses are `[frame, joint, 3]`; an absent joint is all zero.

use tendon_shared::pose::is_present;
use tendon_shared::topology::Topology;

/// Frames that a direction needs.
const LEAST_FRAMES: usize = 4;
/// Second differences that a jitter needs.
const LEAST_DIFFERENCES: usize = 30;
/// Frames further apart than this, milliseconds, show movement where jitter would be: nothing can be said.
const LONGEST_SPACING_MS: f32 = 55.0;
/// The median of the absolute second difference of independent noise with spread one: `0.6745 sqrt(1 + 4 + 1)`.
const NOISE_TO_DIFFERENCE: f32 = 1.652;
/// Shortest trunk that is a measurement, metres.
const SHORTEST_TRUNK: f32 = 1e-2;

/// The middle value; `None` of nothing. Changes the order of `values`.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (_, median, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    Some(*median)
}

fn joint(frame: &[[f32; 3]], index: u8) -> Option<[f32; 3]> {
    frame.get(usize::from(index)).copied().filter(is_present)
}

/// From the middle of the hips to the middle of the shoulders.
fn trunk(topology: &Topology, frame: &[[f32; 3]]) -> Option<[f32; 3]> {
    let [left, right] =
        [topology.left_shoulder, topology.right_shoulder].map(|index| joint(frame, index));
    let [left_hip, right_hip] =
        [topology.left_hip, topology.right_hip].map(|index| joint(frame, index));
    let (left, right, left_hip, right_hip) = (left?, right?, left_hip?, right_hip?);
    Some(std::array::from_fn(|axis| {
        (left[axis] + right[axis] - left_hip[axis] - right_hip[axis]) / 2.0
    }))
}

pub(super) fn norm(vector: [f32; 3]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// `vector` with length one; `None` when it has none.
pub(super) fn unit(vector: [f32; 3]) -> Option<[f32; 3]> {
    let length = norm(vector);
    (length > 1e-6 && length.is_finite()).then(|| vector.map(|value| value / length))
}

fn frames<'p>(
    topology: &Topology,
    poses: &'p [f32],
) -> impl Iterator<Item = &'p [[f32; 3]]> + use<'p> {
    poses
        .as_chunks::<3>()
        .0
        .chunks_exact(topology.joint_count())
}

/// The direction of the trunk in the camera's frame, of length one.
#[must_use]
pub fn upright(topology: &Topology, poses: &[f32]) -> Option<[f32; 3]> {
    let found: Vec<[f32; 3]> = frames(topology, poses)
        .filter_map(|frame| unit(trunk(topology, frame)?))
        .collect();
    if found.len() < LEAST_FRAMES {
        return None;
    }
    middle(&found)
}

/// The median of every coordinate, made length one.
pub(super) fn middle(directions: &[[f32; 3]]) -> Option<[f32; 3]> {
    let axis = |axis: usize| {
        let mut values: Vec<f32> = directions.iter().map(|vector| vector[axis]).collect();
        median(&mut values).unwrap_or(0.0)
    };
    unit([axis(0), axis(1), axis(2)])
}

/// Spread of the noise on every coordinate, metres, by the second differences of successive frames. What a person does is far
/// smoother than a sensor is noisy, as long as frames are near each other.
#[must_use]
pub fn jitter(topology: &Topology, poses: &[f32], spacing_ms: f32) -> Option<f32> {
    // A spacing that is no number fails the comparison.
    if !(spacing_ms > 0.0 && spacing_ms <= LONGEST_SPACING_MS) {
        return None;
    }
    let frames: Vec<&[[f32; 3]]> = frames(topology, poses).collect();
    let mut differences = Vec::new();
    for [before, now, after] in frames.array_windows::<3>() {
        for ((before, now), after) in before.iter().zip(*now).zip(*after) {
            if is_present(before) && is_present(now) && is_present(after) {
                differences.extend(
                    (0..3).map(|axis| (before[axis] - 2.0 * now[axis] + after[axis]).abs()),
                );
            }
        }
    }
    if differences.len() < LEAST_DIFFERENCES {
        return None;
    }
    median(&mut differences).map(|median| median / NOISE_TO_DIFFERENCE)
}

/// Length of the bone from each joint to its parent, in trunks; both sides of the body have the same. Zero where nothing can be said.
#[must_use]
pub fn limbs(topology: &Topology, poses: &[f32]) -> Option<Vec<f32>> {
    let joints = topology.joint_count();
    let mut trunks: Vec<f32> = frames(topology, poses)
        .filter_map(|frame| trunk(topology, frame).map(norm))
        .collect();
    if trunks.len() < LEAST_FRAMES {
        return None;
    }
    let unit = median(&mut trunks).filter(|trunk| *trunk > SHORTEST_TRUNK)?;
    let mut lengths = vec![0.0; joints];
    for &(child, parent) in topology.bones {
        let mut found: Vec<f32> = frames(topology, poses)
            .filter_map(|frame| {
                let (child, parent) = (joint(frame, child)?, joint(frame, parent)?);
                Some(norm(std::array::from_fn(|axis| child[axis] - parent[axis])))
            })
            .collect();
        if found.len() >= LEAST_FRAMES
            && let (Some(length), Some(median)) =
                (lengths.get_mut(usize::from(child)), median(&mut found))
        {
            *length = median / unit;
        }
    }
    let one_sided = lengths.clone();
    for (joint, length) in lengths.iter_mut().enumerate() {
        let other = topology
            .mirror
            .get(joint)
            .and_then(|&other| one_sided.get(usize::from(other)));
        if let Some(&other) = other
            && other > 0.0
        {
            *length = if *length > 0.0 {
                (*length + other) / 2.0
            } else {
                other
            };
        }
    }
    Some(lengths)
}
