//! Labels that a teacher gives: its most probable class, if it is confident enough.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use super::LabelRing;

/// When a guess is a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// The same confidence for every class (FixMatch).
    Fixed {
        /// Smallest probability of an accepted guess, 0..=1.
        confidence: f64,
    },
    /// Lower for classes that the teacher seldom guesses with confidence (FlexMatch).
    Flex {
        /// Smallest probability of an accepted guess of the most frequent class, 0..=1.
        confidence: f64,
        /// Smallest probability whatever the class, 0..=1; 0 in FlexMatch, which accepts everything at first.
        floor: f64,
        /// Compares with the number of windows without a confident guess too, if that is larger than any class's.
        warmup: bool,
    },
}

impl Threshold {
    /// The probability from which on a guess counts as confident, 0..=1.
    pub fn confidence(&self) -> f64 {
        match self {
            Self::Fixed { confidence } | Self::Flex { confidence, .. } => *confidence,
        }
    }

    /// The thresholds of all classes, when these were the latest confident guesses.
    pub fn classes(&self, latest: &LabelRing, classes: usize) -> Vec<f64> {
        let Self::Flex {
            confidence,
            floor,
            warmup,
        } = *self
        else {
            return vec![self.confidence(); classes];
        };
        let (counts, unknown) = latest.counts(classes);
        let most = counts.iter().copied().max().unwrap_or(0);
        let most = if warmup { most.max(unknown) } else { most }.max(1);
        let threshold = |count: usize| flex(confidence, count as f64 / most as f64).max(floor);
        counts.into_iter().map(threshold).collect()
    }
}

/// FlexMatch's threshold of a class that is guessed with confidence `share` times as often as the most frequent one.
///
/// # Source
/// FlexMatch, the convex mapping: `confidence * share / (2 - share)`.
pub fn flex(confidence: f64, share: f64) -> f64 {
    confidence * share / (2.0 - share)
}

/// A class and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// The class.
    pub class: u16,
    /// Its probability, 0..=1.
    pub confidence: f32,
}

/// The most probable class of each row of scores; of several, the first.
///
/// # Shapes
/// `[batch, class]`
pub fn guesses(logits: Tensor<2>) -> Vec<Guess> {
    let [_, classes] = logits.dims();
    let probabilities = softmax(logits.without_autodiff(), 1).into_data();
    let values: Vec<f32> = probabilities.try_to_vec().unwrap_or_default();
    let guess = |row: &[f32]| {
        let start = Guess {
            class: 0,
            confidence: f32::MIN,
        };
        (0..).zip(row).fold(start, |best, (class, probability)| {
            match *probability > best.confidence {
                true => Guess {
                    class,
                    confidence: *probability,
                },
                false => best,
            }
        })
    };
    values.chunks(classes).map(guess).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_flexible_threshold_has_the_golden_value() {
        assert!((flex(0.95, 0.5) - 0.316_667).abs() < 1e-6);
        assert_eq!((flex(0.95, 0.0), flex(0.95, 1.0)), (0.0, 0.95));
    }

    fn check(threshold: Threshold, latest: &[Option<u16>], expect: [f64; 3]) {
        let mut ring = LabelRing::new(8);
        ring.push(latest);
        for (found, expect) in threshold.classes(&ring, 3).into_iter().zip(expect) {
            assert!((found - expect).abs() < 1e-6, "{found} v {expect}");
        }
    }

    #[test]
    fn classes_that_are_seldom_guessed_have_lower_thresholds() {
        let flex = |floor, warmup| Threshold::Flex {
            confidence: 0.95,
            floor,
            warmup,
        };
        let latest = [Some(0), Some(0), Some(1)];
        check(Threshold::Fixed { confidence: 0.95 }, &latest, [0.95; 3]);
        check(flex(0.0, false), &latest, [0.95, 0.316_667, 0.0]);
        check(flex(0.5, false), &latest, [0.95, 0.5, 0.5]);
        // Five windows have no confident guess: shares are 2 / 5 and 1 / 5.
        check(flex(0.0, true), &latest, [0.2375, 0.105_556, 0.0]);
        check(flex(0.0, false), &[], [0.0; 3]);
    }

    #[test]
    fn a_guess_is_the_most_probable_class() {
        let logits = [[0.0, 2.0_f32.ln(), 0.0], [5.0, 5.0, -90.0]];
        let found = guesses(Tensor::from_floats(logits, &Device::flex()));
        assert_eq!((found[0].class, found[1].class), (1, 0));
        for guess in found {
            assert!((guess.confidence - 0.5).abs() < 1e-6);
        }
    }
}
