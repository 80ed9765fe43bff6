//! Whether a window shows an action that the bundle knows: how near it is to the training windows.
//!
//! The score is the cosine to the nearest class prototype. What counts as low is taken from the source buffer itself: each of its
//! windows is scored against prototypes that were made without it, and the threshold is a share of a low quantile of these scores.
//! A share, because the encoder was trained on these very windows: of another person's windows of known actions half are below the
//! quantile itself. Without a source buffer nothing is rejected.
//!
//! The cosine tells unknown actions better than calibrated confidence, and than products and sums of both (`docs/home.md`); the
//! gate asks for confidence anyway. It cannot tell a new action from a known one before another camera.
//!
//! # Source
//! Nearest class mean on standardised features (Mensink et al., 2013); confidence, to compare: Hendrycks and Gimpel, ICLR 2017.

use super::prototypes::Prototypes;

/// The quantile of the source buffer's own scores.
const QUANTILE: f32 = 0.02;

/// How familiar a window is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Familiarity {
    /// Cosine to the nearest class prototype, -1..=1.
    pub cosine: f32,
    /// Calibrated confidence of the shipped tail, 0..=1.
    pub confidence: f32,
}

impl Familiarity {
    /// The score; higher is more familiar.
    #[must_use]
    pub fn score(&self) -> f32 {
        self.cosine
    }
}

/// Tells known from unknown actions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Novelty {
    threshold: Option<f32>,
}

impl Novelty {
    /// Takes the threshold from the source buffer's pooled features, `[window, dim]`, and their labels: `share` (0..=1) of a low
    /// quantile of its own windows' scores. A share of 0 rejects nothing.
    #[must_use]
    pub fn new(prototypes: &Prototypes, features: &[Vec<f32>], labels: &[u16], share: f32) -> Self {
        if share <= 0.0 {
            return Self::default();
        }
        let mut scores: Vec<f32> = features
            .iter()
            .zip(labels)
            .filter_map(|(window, label)| Some(prototypes.nearest_without(window, *label)?.cosine))
            .collect();
        scores.sort_by(f32::total_cmp);
        let place = (scores.len() as f32 * QUANTILE) as usize;
        Self {
            threshold: scores.get(place).map(|score| share * score),
        }
    }

    /// The score below which a window is of no known action; `None` when nothing is rejected.
    #[must_use]
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Whether a window is of no known action.
    #[must_use]
    pub fn rejects(&self, familiarity: &Familiarity) -> bool {
        self.threshold
            .is_some_and(|threshold| familiarity.score() < threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn novelty(share: f32) -> (Novelty, Prototypes) {
        let features = [
            [9.0, 1.0, 5.0],
            [11.0, 1.0, 5.1],
            [10.0, 1.2, 4.9],
            [1.0, 9.0, 5.0],
            [1.0, 11.0, 5.1],
            [1.2, 10.0, 4.9],
        ]
        .map(Vec::from);
        let labels = [0, 0, 0, 1, 1, 1];
        let prototypes = Prototypes::new(&features, &labels, 2);
        (
            Novelty::new(&prototypes, &features, &labels, share),
            prototypes,
        )
    }

    #[test]
    fn what_looks_like_training_is_known_and_what_does_not_is_not() {
        let (novelty, prototypes) = novelty(0.9);
        let check = |window: [f32; 3], rejected| {
            let familiarity = Familiarity {
                cosine: prototypes.nearest(&window).unwrap().cosine,
                confidence: 0.9,
            };
            assert_eq!(novelty.rejects(&familiarity), rejected, "{familiarity:?}");
        };
        check([10.0, 1.0, 5.0], false);
        check([5.5, 5.5, 9.0], true);
    }

    #[test]
    fn switched_off_or_without_a_source_buffer_nothing_is_rejected() {
        let nothing = Familiarity {
            cosine: -1.0,
            confidence: 0.0,
        };
        assert!(!novelty(0.0).0.rejects(&nothing));
        let empty = Novelty::new(&Prototypes::default(), &[], &[], 0.7);
        assert!(!empty.rejects(&nothing));
    }
}
