//! Whether a stretch of poses can be one living person's: the picture moves, and the body does not leap.
//!
//! A pose estimator that hangs sends one pose for ever, and a tracker that confuses two persons puts both into one track. Either can
//! look like an action with great confidence, so neither may teach. Lengths are measured in body sizes, so units do not matter.

/// Speed that a body may have, body sizes a second: a sprint has about five.
const FASTEST: f32 = 5.0;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Steadiness {
    /// Longest time in which every joint of every pose stayed exactly the same, milliseconds.
    pub frozen_ms: f32,
    /// Farthest that the body's middle went between two poses beyond what the fastest body does, body sizes.
    pub leap: f32,
}

/// Looks at `poses`, `[frame, joint, 3]`, `spacing_ms` milliseconds apart. Joints that are all zero are absent.
#[must_use]
pub fn steadiness(poses: &[f32], joints: usize, spacing_ms: f32) -> Steadiness {
    let frames = || poses.chunks_exact((joints * 3).max(1));
    let size = frames().filter_map(size).fold(0.0, f32::max);
    let reach = FASTEST * spacing_ms / 1_000.0;
    let mut found = Steadiness::default();
    let (mut still, mut last) = (0.0_f32, None::<(&[f32], [f32; 3])>);
    for frame in frames() {
        // Nobody there is neither still nor somewhere.
        let Some(middle) = middle(frame) else {
            (still, last) = (0.0, None);
            continue;
        };
        if let Some((before, was)) = last {
            still = if before == frame {
                still + spacing_ms
            } else {
                0.0
            };
            found.frozen_ms = found.frozen_ms.max(still);
            let way = was.iter().zip(middle).map(|(a, b)| (a - b) * (a - b));
            let way = way.sum::<f32>().sqrt() / size.max(1e-6);
            found.leap = found.leap.max(way - reach);
        }
        last = Some((frame, middle));
    }
    found
}

fn seen(frame: &[f32]) -> impl Iterator<Item = &[f32; 3]> {
    let (joints, _) = frame.as_chunks::<3>();
    joints.iter().filter(|joint| **joint != [0.0; 3])
}

fn middle(frame: &[f32]) -> Option<[f32; 3]> {
    let mut sum = [0.0_f32; 3];
    let mut count = 0.0;
    for joint in seen(frame) {
        count += 1.0;
        sum.iter_mut()
            .zip(joint)
            .for_each(|(sum, value)| *sum += value);
    }
    (count > 0.0).then(|| sum.map(|value| value / count))
}

/// The longest side of the box around a pose.
fn size(frame: &[f32]) -> Option<f32> {
    let mut low = *seen(frame).next()?;
    let mut high = low;
    for joint in seen(frame) {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(joint) {
            *low = low.min(*value);
            *high = high.max(*value);
        }
    }
    let sides = high.iter().zip(low).map(|(high, low)| high - low);
    Some(sides.fold(0.0, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of height 2 at `x`.
    fn pose(x: f32) -> [f32; 6] {
        [x, 0.0, 3.0, x, 2.0, 3.0]
    }

    fn check(poses: &[[f32; 6]], frozen_ms: f32, leap: f32) {
        let found = steadiness(poses.as_flattened(), 2, 100.0);
        assert!((found.frozen_ms - frozen_ms).abs() < 1e-3, "{found:?}");
        assert!((found.leap - leap).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn a_picture_that_stands_still_is_measured_in_time() {
        check(&[pose(0.1); 12], 1_100.0, 0.0);
        let mut poses = [pose(0.1); 12];
        poses[5] = pose(0.11);
        check(&poses, 500.0, 0.0);
    }

    #[test]
    fn a_leap_is_measured_in_body_sizes() {
        // Ten metres are five sizes; half a size may be walked in 100 ms.
        check(&[pose(0.1), pose(0.2), pose(10.2)], 0.0, 4.5);
        check(&[pose(0.1), pose(1.0), pose(0.1)], 0.0, 0.0);
    }

    #[test]
    fn a_gap_is_neither_still_nor_a_leap() {
        check(&[pose(0.1), [0.0; 6], [0.0; 6], pose(9.0)], 0.0, 0.0);
        assert_eq!(steadiness(&[], 2, 100.0), Steadiness::default());
        assert_eq!(steadiness(&[1.0; 5], 0, 100.0).frozen_ms, 0.0);
    }
}
