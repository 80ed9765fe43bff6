//! Which windows may teach: calibrated confidence above the class's threshold, and enough joints.
//!
//! # Source
//! FlexMatch (NeurIPS 2021): a class that is seldom confident needs `threshold * b / (2 - b)`, where `b` is its count of
//! confident windows over the largest count. Different here: counts start at one and fade, so that the gate begins strict
//! and follows the home; no class falls below a floor.

use super::config::GateConfig;

/// What one more window leaves of the older counts: half is forgotten after about 700 windows.
const FADE: f32 = 0.999;

/// Why a window may not teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The teacher is not sure enough.
    Unsure,
    /// Too few joints were seen.
    Quality,
    /// The picture stood still.
    Frozen,
    /// The body leapt within the window: two persons in one track.
    Torn,
    /// No action that the bundle knows.
    Unknown,
}

/// Thresholds that follow what is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    config: GateConfig,
    counts: Vec<f32>,
}

impl Gate {
    /// A gate for `classes` classes that has seen nothing.
    #[must_use]
    pub fn new(config: GateConfig, classes: usize) -> Self {
        Self {
            config,
            counts: vec![0.0; classes],
        }
    }

    /// The faded counts of confident windows, one a class.
    #[must_use]
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }

    /// Takes up counts that were saved; ignores a list of another length.
    pub fn resume(&mut self, counts: &[f32]) {
        if counts.len() == self.counts.len()
            && counts
                .iter()
                .all(|count| count.is_finite() && *count >= 0.0)
        {
            self.counts.copy_from_slice(counts);
        }
    }

    /// The confidence that `class` needs, 0..=1.
    #[must_use]
    pub fn threshold(&self, class: u16) -> f32 {
        if !self.config.per_class {
            return self.config.threshold;
        }
        let most = self.counts.iter().copied().fold(0.0, f32::max);
        let count = self.counts.get(usize::from(class)).copied().unwrap_or(0.0);
        let share = (count + 1.0) / (most + 1.0);
        (self.config.threshold * share / (2.0 - share))
            .max(self.config.floor.min(self.config.threshold))
    }

    /// Whether a pseudo-label may teach.
    ///
    /// # Errors
    /// The [`Refusal`], which is only counted.
    pub fn check(&self, class: u16, confidence: f32, quality: f32) -> Result<(), Refusal> {
        if quality < self.config.min_quality {
            Err(Refusal::Quality)
        } else if confidence >= self.threshold(class) {
            Ok(())
        } else {
            Err(Refusal::Unsure)
        }
    }

    /// Counts a window of `class` that was confident by the strictest threshold.
    pub fn learn(&mut self, class: u16, confidence: f32) {
        self.counts.iter_mut().for_each(|count| *count *= FADE);
        if confidence >= self.config.threshold
            && let Some(count) = self.counts.get_mut(usize::from(class))
        {
            *count += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(
            GateConfig {
                threshold: 0.8,
                per_class: true,
                floor: 0.3,
                min_quality: 0.5,
                ..GateConfig::default()
            },
            2,
        )
    }

    #[test]
    fn starts_strict_for_every_class() {
        assert_eq!((gate().threshold(0), gate().threshold(1)), (0.8, 0.8));
    }

    #[test]
    fn a_class_that_is_seldom_confident_needs_less() {
        let mut gate = gate();
        gate.resume(&[3.0, 1.0]);
        // b = 2/4: 0.8 * 0.5 / 1.5.
        assert!(
            (gate.threshold(1) - 0.266_667)
                .abs()
                .min((gate.threshold(1) - 0.3).abs())
                < 1e-5
        );
        assert_eq!(gate.threshold(0), 0.8);
        assert_eq!(gate.check(1, 0.35, 1.0), Ok(()));
        assert_eq!(gate.check(0, 0.35, 1.0), Err(Refusal::Unsure));
    }

    #[test]
    fn a_window_with_few_joints_never_teaches() {
        assert_eq!(gate().check(0, 1.0, 0.4), Err(Refusal::Quality));
    }

    #[test]
    fn only_confident_windows_are_counted() {
        let mut gate = gate();
        gate.learn(0, 0.9);
        gate.learn(1, 0.5);
        assert_eq!(gate.counts(), [0.999, 0.0]);
    }
}
