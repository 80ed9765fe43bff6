//! Whether aligned poses are better than plain ones: measured on the same windows, both ways, without labels.
//!
//! There are two proofs, and either is enough. *Nearness*: aligned windows lie nearer to training windows than plain ones do, by more
//! than chance. It is fine enough to see a few points of accuracy, but blind where a shift is so strong that every plain window lands in
//! one corner of what the encoder knows, as near to it as any training window. *Information*: answers to aligned windows tell much more
//! than answers to plain ones ([`crate::information`]). It is blind to small differences, and sees that corner: who always answers the same
//! says nothing, however sure. How both follow true accuracy: `docs/adaptation.md`.

use super::config::ProofConfig;
use crate::information::information;
use std::collections::VecDeque;

/// Comparisons that are remembered.
const MEMORY: usize = 64;
/// The newest of them, by which a proof is lost when somebody hung the camera elsewhere; and the least by which information is told.
const NEWEST: usize = 16;
/// The latest of all, whose mean must not be a loss: a camera that hangs as before again is answered as before within some windows.
const LATEST: usize = 8;
/// Standard errors by which the newest must be worse.
const CERTAIN: f32 = 2.0;

/// One way to see a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// How near it is to the training windows, -1..=1.
    pub cosine: f32,
    /// What the shipped encoder answers, one a class.
    pub probabilities: Vec<f32>,
}

/// A window seen both ways.
#[derive(Debug, Clone)]
struct Pair {
    aligned: Look,
    plain: Look,
}

impl Pair {
    fn nearer(&self) -> f32 {
        self.aligned.cosine - self.plain.cosine
    }

    fn is_finite(&self) -> bool {
        let looks = [&self.aligned, &self.plain];
        self.nearer().is_finite()
            && looks
                .iter()
                .flat_map(|look| &look.probabilities)
                .all(|value| value.is_finite())
    }
}

/// Recent comparisons.
#[derive(Debug, Clone)]
pub struct Proof {
    config: ProofConfig,
    pairs: VecDeque<Pair>,
    /// Nats that aligned answers tell more than plain ones: of all comparisons remembered, and of the newest.
    told: f32,
    told_newest: f32,
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
            pairs: VecDeque::new(),
            told: 0.0,
            told_newest: 0.0,
            corrected: 0,
            held: false,
        }
    }

    /// Whether the next corrected window is to be compared, too. Call it once for each.
    pub fn due(&mut self) -> bool {
        self.corrected = self.corrected.wrapping_add(1);
        self.pairs.len() < self.config.min_windows
            || self.corrected.is_multiple_of(self.config.every.max(1))
    }

    /// Takes a window seen both ways. Returns whether the proof was lost by it: what aligned windows were made with is no longer true, as
    /// when somebody hung the camera elsewhere.
    pub fn add(&mut self, aligned: Look, plain: Look) -> bool {
        let pair = Pair { aligned, plain };
        if !pair.is_finite() {
            return false;
        }
        if self.pairs.len() >= MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back(pair);
        self.told = self.more_told(MEMORY);
        self.told_newest = self.more_told(NEWEST);
        let worse = self.config.margin.min(0.0);
        // Doubt alone only ends the answers; what was measured is thrown away when it does harm for certain.
        let harms = spread(&self.nearer(NEWEST))
            .is_some_and(|(mean, error)| mean + CERTAIN * error < worse)
            && !self.informs();
        self.held |= self.holds();
        let lost = self.held && harms;
        if lost {
            self.pairs.clear();
            (self.told, self.told_newest) = (0.0, 0.0);
            self.held = false;
        }
        lost
    }

    /// How much nearer aligned windows are in the mean of the comparisons remembered, less so many standard errors as the configuration
    /// asks for; zero without any.
    #[must_use]
    pub fn gain(&self) -> f32 {
        spread(&self.nearer(MEMORY)).map_or(0.0, |(mean, error)| mean - self.config.errors * error)
    }

    /// Whether aligned windows are to be answered.
    #[must_use]
    pub fn holds(&self) -> bool {
        let latest = self.nearer(LATEST);
        let least = self.config.margin.min(0.0) * latest.len() as f32;
        let nearer = self.pairs.len() >= self.config.min_windows
            && self.gain() > self.config.margin
            && latest.iter().sum::<f32>() >= least;
        nearer || self.informs()
    }

    /// Whether answers to aligned windows tell much more, and no less of late.
    fn informs(&self) -> bool {
        self.pairs.len() >= NEWEST.max(self.config.min_windows)
            && self.told > self.config.information
            && self.told_newest >= 0.0
    }

    /// How much nearer each of the newest `count` windows is for being aligned, newest first.
    fn nearer(&self, count: usize) -> Vec<f32> {
        let newest = self.pairs.iter().rev().take(count);
        newest.map(Pair::nearer).collect()
    }

    /// Nats that answers to the newest `count` aligned windows tell more than those to the plain ones.
    fn more_told(&self, count: usize) -> f32 {
        let newest = || self.pairs.iter().rev().take(count);
        information(newest().map(|pair| pair.aligned.probabilities.as_slice()))
            - information(newest().map(|pair| pair.plain.probabilities.as_slice()))
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

    const CLASSES: usize = 4;

    /// A look of so much nearness that is sure of `class`.
    fn look(cosine: f32, class: usize) -> Look {
        let mut probabilities = vec![0.04; CLASSES];
        probabilities[class] = 0.88;
        Look {
            cosine,
            probabilities,
        }
    }

    /// Adds windows of one class.
    fn add(proof: &mut Proof, aligned: f32, plain: f32) -> bool {
        proof.add(look(aligned, 0), look(plain, 0))
    }

    #[test]
    fn holds_after_enough_comparisons_and_ends_when_they_turn() {
        let mut proof = Proof::new(ProofConfig::default());
        for count in 0..8 {
            assert!(!proof.holds(), "{count}");
            assert!(proof.due());
            add(&mut proof, 0.8, 0.6);
        }
        assert!(proof.holds());
        let lost: Vec<bool> = (0..MEMORY).map(|_| add(&mut proof, 0.6, 0.7)).collect();
        assert!(!proof.holds());
        assert_eq!(lost.iter().filter(|lost| **lost).count(), 1);
    }

    #[test]
    fn a_camera_that_hangs_as_before_again_ends_the_answers_within_some_comparisons() {
        let mut proof = Proof::new(ProofConfig::default());
        for _ in 0..MEMORY {
            add(&mut proof, 0.8, 0.7);
        }
        let until = (0..MEMORY).take_while(|_| {
            add(&mut proof, 0.7, 0.8);
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
            add(&mut proof, 0.5 + swing, 0.5);
        }
        assert!(!proof.holds(), "{}", proof.gain());
    }

    #[test]
    fn an_encoder_that_answers_all_plain_windows_alike_proves_the_aligned_ones_that_it_tells_apart()
    {
        let mut proof = Proof::new(ProofConfig::default());
        let mut lost = 0;
        for number in 0..MEMORY {
            // Plain windows are nearer to a training window, always of the same class.
            let aligned = look(0.7, number % CLASSES);
            lost += usize::from(proof.add(aligned, look(0.8, 2)));
        }
        assert!(proof.gain() < 0.0 && proof.holds());
        assert_eq!(lost, 0);
        // The sensor is replaced by a good one: now the plain windows are told apart, and aligned ones no longer.
        let until = (0..MEMORY).take_while(|number| {
            proof.add(look(0.7, 1), look(0.9, number % CLASSES));
            proof.holds()
        });
        assert!(until.count() < NEWEST);
    }

    #[test]
    fn somewhat_more_information_is_no_proof() {
        let mut proof = Proof::new(ProofConfig::default());
        for number in 0..MEMORY {
            let mut blurred = look(0.8, number % CLASSES);
            for value in &mut blurred.probabilities {
                *value = 0.9 * *value + 0.1 / CLASSES as f32;
            }
            proof.add(look(0.8, number % CLASSES), blurred);
        }
        assert!(proof.told > 0.0 && !proof.holds(), "{}", proof.told);
    }

    #[test]
    fn a_value_that_is_no_number_is_no_comparison() {
        let mut proof = Proof::new(ProofConfig::default());
        add(&mut proof, f32::NAN, 0.1);
        proof.add(
            Look {
                cosine: 0.9,
                probabilities: vec![f32::NAN; CLASSES],
            },
            look(0.1, 0),
        );
        assert_eq!((proof.gain(), proof.pairs.len()), (0.0, 0));
    }
}
