//! A camera that hangs otherwise than the cameras of the training data: poses are turned back.
//!
//! Normalisation turns every person to face the camera, about the vertical axis, but what is vertical is the camera's word. Most
//! people are upright most of the time, so the median direction of their trunks tells how the camera is tilted and rolled.

use super::config::LevelConfig;
use super::measure::middle;
use std::collections::VecDeque;

/// Directions that are remembered.
const MEMORY: usize = 256;

/// A rotation, row by row.
pub(super) type Rotation = [[f32; 3]; 3];

/// Remembered directions of trunks.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    directions: VecDeque<[f32; 3]>,
    engaged: bool,
}

impl Level {
    /// Takes the direction of one clip.
    pub(super) fn see(&mut self, direction: [f32; 3]) {
        if self.directions.len() >= MEMORY {
            self.directions.pop_front();
        }
        self.directions.push_back(direction);
    }

    /// The rotation that brings trunks to `upright`; `None` while too little was seen or the camera hangs well enough. A camera that
    /// was turned back once stays so until it hangs clearly better, so that nothing flutters about the threshold.
    pub(super) fn rotation(&mut self, config: &LevelConfig, upright: [f32; 3]) -> Option<Rotation> {
        self.engaged &= config.enabled;
        if !config.enabled || self.directions.len() < config.min_windows {
            return None;
        }
        let found = middle(self.directions.make_contiguous())?;
        let degrees = inner(found, upright).clamp(-1.0, 1.0).acos().to_degrees();
        let least = if self.engaged {
            config.least_degrees * 0.7
        } else {
            config.least_degrees
        };
        self.engaged = (least..=config.most_degrees).contains(&degrees);
        self.engaged.then(|| between(found, upright))
    }
}

fn inner(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The shortest rotation from one direction to another that is not its opposite (Rodrigues).
fn between(from: [f32; 3], to: [f32; 3]) -> Rotation {
    let [fx, fy, fz] = from;
    let [tx, ty, tz] = to;
    let [x, y, z] = [fy * tz - fz * ty, fz * tx - fx * tz, fx * ty - fy * tx];
    let cos = inner(from, to);
    let k = 1.0 / (1.0 + cos).max(1e-6);
    [
        [cos + k * x * x, k * x * y - z, k * x * z + y],
        [k * x * y + z, cos + k * y * y, k * y * z - x],
        [k * x * z - y, k * y * z + x, cos + k * z * z],
    ]
}

/// Turns every joint that is there.
pub(super) fn turn(rotation: &Rotation, poses: &mut [f32]) {
    for joint in poses.as_chunks_mut::<3>().0 {
        if *joint != [0.0; 3] {
            *joint = rotation.map(|row| inner(row, *joint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_brings_one_direction_to_the_other() {
        let (from, to) = ([0.6, 0.8, 0.0], [0.0, 0.96, 0.28]);
        let mut poses = from.to_vec();
        turn(&between(from, to), &mut poses);
        assert!(
            poses
                .iter()
                .zip(to)
                .all(|(found, to)| (found - to).abs() < 1e-6)
        );
    }

    #[test]
    fn a_level_camera_is_left_alone_and_a_crooked_one_needs_enough_windows() {
        let config = LevelConfig::default();
        let up = [0.0, 1.0, 0.0];
        let tilted = |degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            [0.0, cos, sin]
        };
        let (mut straight, mut crooked) = (Level::default(), Level::default());
        for window in 0..config.min_windows {
            assert!(crooked.rotation(&config, up).is_none(), "{window}");
            straight.see(tilted(4.0));
            crooked.see(tilted(25.0));
        }
        assert!(straight.rotation(&config, up).is_none());
        assert!(crooked.rotation(&config, up).is_some());
    }

    #[test]
    fn somebody_who_lies_down_now_and_then_does_not_tilt_the_camera() {
        let config = LevelConfig::default();
        let mut level = Level::default();
        for window in 0..100 {
            level.see(if window % 3 == 0 {
                [1.0, 0.0, 0.0]
            } else {
                [0.0, 1.0, 0.0]
            });
        }
        assert!(level.rotation(&config, [0.0, 1.0, 0.0]).is_none());
    }
}
