//! How well windows of unknown actions are told from those that the bundle knows.

use serde::Serialize;
use tendon_adapt::novelty::Familiarity;

/// What a stream with unknown actions showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct OpenWorld {
    /// Windows of classes that the bundle knows.
    pub known: u64,
    /// Windows whose label is no class of the bundle.
    pub unknown: u64,
    /// Area under the ROC curve of the score, 0..=1: how often a known window is more familiar than an unknown one.
    pub auroc: f64,
    /// The same of the distance alone.
    pub auroc_distance: f64,
    /// The same of the confidence alone.
    pub auroc_confidence: f64,
    /// Share of known windows that were rejected, 0..=1.
    pub known_rejected: f64,
    /// Share of unknown windows that were rejected, 0..=1.
    pub unknown_rejected: f64,
    /// How often an unknown window taught, over all updates.
    pub unknown_taught: u64,
}

/// Windows by whether their class is known.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    known: Vec<(Familiarity, bool)>,
    unknown: Vec<(Familiarity, bool)>,
}

impl Sorted {
    /// Takes a window: its familiarity, and whether it was rejected.
    pub(super) fn push(&mut self, known: bool, familiarity: Familiarity, rejected: bool) {
        let side = if known {
            &mut self.known
        } else {
            &mut self.unknown
        };
        side.push((familiarity, rejected));
    }

    /// What was found; none when everything was known, or nothing.
    pub(super) fn report(&self, unknown_taught: u64) -> Option<OpenWorld> {
        if self.known.is_empty() || self.unknown.is_empty() {
            return None;
        }
        let by = |score: fn(&Familiarity) -> f32| {
            let scores = |side: &[(Familiarity, bool)]| -> Vec<f32> {
                side.iter().map(|(found, _)| score(found)).collect()
            };
            auroc(scores(&self.known), &scores(&self.unknown))
        };
        let rejected = |side: &[(Familiarity, bool)]| {
            side.iter().filter(|(_, rejected)| *rejected).count() as f64 / side.len() as f64
        };
        Some(OpenWorld {
            known: self.known.len() as u64,
            unknown: self.unknown.len() as u64,
            auroc: by(Familiarity::score),
            auroc_distance: by(|found| found.cosine),
            auroc_confidence: by(|found| found.confidence),
            known_rejected: rejected(&self.known),
            unknown_rejected: rejected(&self.unknown),
            unknown_taught,
        })
    }
}

/// How often one of `high` is above one of `low`; a tie counts half.
fn auroc(mut high: Vec<f32>, low: &[f32]) -> f64 {
    high.sort_by(f32::total_cmp);
    let above: f64 = low
        .iter()
        .map(|low| {
            let below = high.partition_point(|value| value < low);
            let up_to = high.partition_point(|value| value <= low);
            (high.len() - up_to) as f64 + (up_to - below) as f64 / 2.0
        })
        .sum();
    above / (high.len() as f64 * low.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        // Of six pairs four are in order and one is a tie.
        let area = auroc(vec![0.9, 0.5, 0.2], &[0.5, 0.1]);
        assert!((area - 4.5 / 6.0).abs() < 1e-9, "{area}");
    }

    #[test]
    fn without_unknown_windows_there_is_nothing_to_report() {
        let mut sorted = Sorted::default();
        let familiarity = Familiarity {
            cosine: 0.5,
            confidence: 0.5,
        };
        sorted.push(true, familiarity, false);
        assert_eq!(sorted.report(0), None);
        sorted.push(false, familiarity, true);
        let found = sorted.report(2).unwrap();
        assert_eq!(
            (found.auroc, found.unknown_rejected, found.unknown_taught),
            (0.5, 1.0, 2)
        );
    }
}
