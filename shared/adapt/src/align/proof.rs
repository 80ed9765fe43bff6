//! Whether aligned poses look more like training windows than plain ones: measured on the same windows, both ways.

use super::config::ProofConfig;
use std::collections::VecDeque;

/// Comparisons that are remembered.
const MEMORY: usize = 64;
/// The newest of them, by which a proof is lost when somebody hung the camera elsewhere.
const NEWEST: usize = 16;
/// The latest of all, whose mean must not be a loss: a camera that hangs as before again is answered as before within some windows.
const LATEST: usize = 8;
/// Standard errors by which the newest must be worse.
const CERTAIN: f32 = 2.0;

/// Recent comparisons.
#[derive(Debug, Clone)]
pub struct Proof {
    config: ProofConfig,
    gains: VecDeque<f32>,
    corrected: u64,
    /// Whether it has held since the last loss.
    held: bool,
}

impl Proof {
    /// Without comparisons.
    #[must_use]
    pub fn new(config: ProofConfig) -> Self {
        Self {
            config,
            gains: VecDeque::new(),
            corrected: 0,
            held: false,
        }
    }

    /// Whether the next corrected window is to be compared, too. Call it once for each.
    pub fn due(&mut self) -> bool {
        self.corrected = self.corrected.wrapping_add(1);
        self.gains.len() < self.config.min_windows
            || self.corrected.is_multiple_of(self.config.every.max(1))
    }

    /// Takes how near an aligned and a plain window are to the training windows, -1..=1. Returns whether the proof was lost by it: what
    /// aligned windows were made with is no longer true, as when somebody hung the camera elsewhere.
    pub fn add(&mut self, aligned: f32, plain: f32) -> bool {
        let gain = aligned - plain;
        if !gain.is_finite() {
            return false;
        }
        if self.gains.len() >= MEMORY {
            self.gains.pop_front();
        }
        self.gains.push_back(gain);
        let newest: Vec<f32> = self.gains.iter().rev().take(NEWEST).copied().collect();
        let worse = self.config.margin.min(0.0);
        // Doubt alone only ends the answers; what was measured is thrown away when it does harm for certain.
        let harms = spread(&newest).is_some_and(|(mean, error)| mean + CERTAIN * error < worse);
        self.held |= self.holds();
        let lost = self.held && harms;
        if lost {
            self.gains.clear();
            self.held = false;
        }
        lost
    }

    /// Mean gain of the comparisons remembered, less so many standard errors as the configuration asks for; zero without any.
    #[must_use]
    pub fn gain(&self) -> f32 {
        let gains: Vec<f32> = self.gains.iter().copied().collect();
        spread(&gains).map_or(0.0, |(mean, error)| mean - self.config.errors * error)
    }

    /// Whether aligned windows are to be answered.
    #[must_use]
    pub fn holds(&self) -> bool {
        let latest: f32 = self.gains.iter().rev().take(LATEST).sum();
        let least = self.config.margin.min(0.0) * self.gains.len().min(LATEST) as f32;
        self.gains.len() >= self.config.min_windows
            && self.gain() > self.config.margin
            && latest >= least
    }
}

/// The mean of at least two values and its standard error.
fn spread(values: &[f32]) -> Option<(f32, f32)> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let mean = values.iter().sum::<f32>() / count as f32;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    let variance = squares.sum::<f32>() / (count - 1) as f32;
    Some((mean, (variance / count as f32).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_after_enough_comparisons_and_ends_when_they_turn() {
        let mut proof = Proof::new(ProofConfig::default());
        for count in 0..8 {
            assert!(!proof.holds(), "{count}");
            assert!(proof.due());
            proof.add(0.8, 0.6);
        }
        assert!(proof.holds());
        let lost: Vec<bool> = (0..MEMORY).map(|_| proof.add(0.6, 0.7)).collect();
        assert!(!proof.holds());
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
    }

    #[test]
    fn a_camera_that_hangs_as_before_again_ends_the_answers_within_some_comparisons() {
        let mut proof = Proof::new(ProofConfig::default());
        for _ in 0..MEMORY {
            proof.add(0.8, 0.7);
        }
        let until = (0..MEMORY).take_while(|_| {
            proof.add(0.7, 0.8);
            proof.holds()
        });
        assert!(until.count() < LATEST);
    }

    #[test]
    fn a_gain_that_may_be_chance_is_no_proof() {
        let mut proof = Proof::new(ProofConfig::default());
        for number in 0..MEMORY {
            // 0.02 better in the mean, and 0.2 up or down from window to window.
            let swing = if number % 2 == 0 { 0.22 } else { -0.18 };
            proof.add(0.5 + swing, 0.5);
        }
        assert!(!proof.holds(), "{}", proof.gain());
    }

    #[test]
    fn a_value_that_is_no_number_is_no_comparison() {
        let mut proof = Proof::new(ProofConfig::default());
        proof.add(f32::NAN, 0.1);
        assert_eq!(proof.gain(), 0.0);
    }
}
