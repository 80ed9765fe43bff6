//! Features that need no learning: what an encoder must beat before its training was worth anything.

use super::EvaluateError;
use super::matrix::Features;
use tendon_data::windows::WindowSet;
use tendon_shared::stream::{Stream, derive};

/// Values that [`statistics`] takes of each joint and axis.
const STATISTICS: usize = 5;

/// A way to describe a window without an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// The normalised coordinates of all frames.
    Coordinates,
    /// Mean, spread, smallest, largest and mean speed of every joint and axis.
    Statistics,
    /// Coordinates, their change from frame to frame, and statistics.
    All,
}

impl Plain {
    /// All of them, the shortest description last.
    pub const ALL: [Self; 3] = [Self::Coordinates, Self::Statistics, Self::All];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coordinates => "coordinates",
            Self::Statistics => "statistics",
            Self::All => "coordinates + velocity + statistics",
        }
    }

    /// Describes every window.
    ///
    /// # Errors
    /// A window holds values that are not finite.
    pub fn features(self, windows: &WindowSet) -> Result<Features, EvaluateError> {
        let frames = usize::from(windows.spec.frames);
        let joints = windows.topology.topology().joint_count();
        let mut values = Vec::new();
        for index in 0..windows.len() {
            for body in windows.window(index).chunks_exact(3 * frames * joints) {
                if self != Self::Statistics {
                    values.extend_from_slice(body);
                }
                if self == Self::All {
                    let mut motion = vec![0.0; body.len()];
                    derive(
                        Stream::Motion,
                        windows.topology.topology(),
                        body,
                        frames,
                        &mut motion,
                    )
                    .map_err(|error| EvaluateError::Shape(error.to_string()))?;
                    values.extend_from_slice(&motion);
                }
                if self != Self::Coordinates {
                    values.extend(statistics(body, frames, joints));
                }
            }
        }
        let dim = values.len() / windows.len().max(1);
        Features::new(dim, values, windows.labels.clone(), windows.classes.len())
    }
}

/// Mean, spread, smallest, largest and mean absolute change of every axis and joint.
///
/// # Shapes
/// `body` `[channel = 3, frame, joint]`; result `[channel, joint, 5]`.
fn statistics(body: &[f32], frames: usize, joints: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(3 * joints * STATISTICS);
    for channel in body.chunks_exact(frames * joints) {
        for joint in 0..joints {
            let track = || channel.iter().skip(joint).step_by(joints).copied();
            let mean = track().sum::<f32>() / frames as f32;
            let spread =
                (track().map(|value| (value - mean).powi(2)).sum::<f32>() / frames as f32).sqrt();
            let low = track().fold(f32::INFINITY, f32::min);
            let high = track().fold(f32::NEG_INFINITY, f32::max);
            let change: f32 = track()
                .zip(track().skip(1))
                .map(|(a, b)| (b - a).abs())
                .sum();
            values.extend([mean, spread, low, high, change / (frames.max(2) - 1) as f32]);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_by_hand() {
        // One joint over three frames: x 1, 3, 2; y and z stay 0.
        let body = [1.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let found = statistics(&body, 3, 1);
        assert_eq!(found.len(), 15);
        assert_eq!(&found[..1], &[2.0]);
        assert!((found[1] - (2f32 / 3.0).sqrt()).abs() < 1e-6);
        assert_eq!(&found[2..5], &[1.0, 3.0, 1.5]);
        assert_eq!(&found[5..10], &[0.0; 5]);
    }
}
