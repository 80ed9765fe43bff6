//! The average of the student that makes pseudo-labels and, when the guard agrees, serves.
//!
//! # Source
//! Mean Teacher (NeurIPS 2017): `teacher = decay * teacher + (1 - decay) * student` after each step. The decay follows the
//! number of updates: a fixed 0.999 never moves on a device that makes tens of updates. Statistics are frozen (folded), so
//! only weights are averaged.

use super::config::TeacherConfig;

/// The weight of the old teacher at update `updates` (the first is 0): starts at `decay` and approaches `final_decay`, so that
/// the average reaches back over about a twentieth of all updates.
#[must_use]
pub fn decay(config: &TeacherConfig, updates: u64) -> f32 {
    let follow = 1.0 - 20.0 / (updates as f32 + 20.0);
    follow.clamp(config.decay, config.final_decay.max(config.decay))
}

/// Moves `teacher` towards `student`.
pub fn follow(teacher: &mut [f32], student: &[f32], decay: f32) {
    for (old, new) in teacher.iter_mut().zip(student) {
        *old = decay * *old + (1.0 - decay) * new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decay_follows_the_number_of_updates() {
        let config = TeacherConfig {
            decay: 0.95,
            final_decay: 0.999,
        };
        assert_eq!(decay(&config, 0), 0.95);
        assert_eq!(decay(&config, 380), 0.95);
        assert!((decay(&config, 1_980) - 0.99).abs() < 1e-6);
        assert_eq!(decay(&config, 1_000_000), 0.999);
    }

    #[test]
    fn averages_weights() {
        let mut teacher = [1.0, 0.0];
        follow(&mut teacher, &[0.0, 1.0], 0.75);
        assert_eq!(teacher, [0.75, 0.25]);
    }
}
