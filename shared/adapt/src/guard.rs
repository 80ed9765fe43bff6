//! Decides, without labels, whether the adapted tail may serve.
//!
//! Both tails are judged on the same recent windows and on the bundle's labelled source buffer. The adapted tail serves only while
//! there is evidence that it is better, it names every source window that the shipped tail names, and it does not disagree with the
//! shipped tail everywhere. Otherwise the shipped tail serves and, in time, the adapted one is discarded: where there is nothing to
//! gain, a tail that is as good by every estimate still gets some windows wrong that the shipped one gets right.
//! A lost source window weighs more than any estimate: it is labelled, and it was replayed in the very steps that lost it.
//!
//! The evidence is the mean of *consistency* and *steadiness* ([`super::estimate`]): it must be above the shipped tail's by a margin and by
//! more than chance, window by window, and neither of both below it. Confidence, likeness and information are measured and written down, but do not decide: a tail that was trained on its
//! own labels is surer whether it is right or not, and likeness fell while accuracy rose, because it favours the tail that the
//! prototypes were made with. No estimate can tell a collapsed tail (always the same answer) from a good one; the source buffer can.

use super::config::GuardConfig;
use serde::{Deserialize, Serialize};

/// What was seen of one tail, shares 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Recent windows whose weak and strong view get the same class.
    pub consistency: f32,
    /// Mean calibrated confidence on recent windows.
    pub confidence: f32,
    /// Recent windows whose nearest class prototype has the class that is answered.
    #[serde(default)]
    pub likeness: f32,
    /// Agreement with itself when features are dropped.
    #[serde(default)]
    pub steadiness: f32,
    /// How much the answers tell, as a share of what they could.
    #[serde(default)]
    pub information: f32,
    /// Accuracy on the source buffer.
    pub source: f32,
}

impl Scores {
    /// The label-free estimate of accuracy, 0..=1.
    #[must_use]
    pub fn estimate(&self) -> f32 {
        (self.consistency + self.steadiness) / 2.0
    }
}

/// Why the guard decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The adapted tail serves.
    Serve,
    /// Too few recent windows to compare; the shipped tail serves, learning goes on.
    TooFew,
    /// Consistency or steadiness fell below the shipped tail's.
    BelowBase,
    /// The estimate is not above the shipped tail's by the margin; the shipped tail serves, learning goes on.
    NotBetter,
    /// Accuracy on the source buffer was lost, more than a tail may lose.
    SourceLost,
    /// Some accuracy on the source buffer was lost.
    SourceLess,
    /// Both tails disagree too often.
    Disagrees,
}

/// Both tails on the same windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Recent windows compared.
    pub windows: usize,
    /// The shipped tail.
    pub base: Scores,
    /// What would be answered with the adapted tail.
    pub adapted: Scores,
    /// Standard error of the difference of both estimates, window by window.
    pub doubt: f32,
    /// Share of recent windows on which they disagree.
    pub disagreement: f32,
}

/// One judgement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Updates made when it was judged.
    pub update: u64,
    /// Recent windows compared.
    pub windows: usize,
    /// The shipped tail.
    pub base: Scores,
    /// The adapted tail.
    pub adapted: Scores,
    /// Standard error of the difference of both estimates, window by window.
    #[serde(default)]
    pub doubt: f32,
    /// Share of recent windows on which they disagree.
    pub disagreement: f32,
    /// The decision.
    pub verdict: Verdict,
    /// Whether the adapted tail was discarded.
    pub discarded: bool,
}

/// Judgements that are remembered.
const HISTORY: usize = 32;

/// The guard's memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    history: Vec<Judgement>,
    serves: bool,
    failures: u32,
    discarded: u32,
}

impl Guard {
    /// Whether the adapted tail serves.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serves
    }

    /// The latest comparison.
    #[must_use]
    pub fn latest(&self) -> Option<&Judgement> {
        self.history.last()
    }

    /// All remembered comparisons, oldest first.
    #[must_use]
    pub fn history(&self) -> &[Judgement] {
        &self.history
    }

    /// How often a tail was discarded.
    #[must_use]
    pub fn discarded(&self) -> u32 {
        self.discarded
    }

    /// Forgets what serves: the adapted tail is gone.
    pub fn reset(&mut self) {
        self.serves = false;
        self.failures = 0;
    }

    /// An earlier tail is back, and serves if it did then.
    pub fn go_back(&mut self, serves: bool) {
        self.reset();
        self.serves = serves;
    }

    /// Decides after update number `update`.
    pub fn judge(&mut self, config: &GuardConfig, update: u64, compared: Comparison) -> Judgement {
        let Comparison {
            windows,
            base,
            adapted,
            doubt,
            disagreement,
        } = compared;
        let gain = adapted.estimate() - base.estimate();
        let verdict = if !config.enabled {
            Verdict::Serve
        } else if adapted.source < base.source - config.max_source_loss {
            Verdict::SourceLost
        } else if adapted.source < base.source {
            Verdict::SourceLess
        } else if windows < config.min_recent {
            Verdict::TooFew
        } else if disagreement > config.max_disagreement {
            Verdict::Disagrees
        } else if adapted.consistency < base.consistency || adapted.steadiness < base.steadiness {
            Verdict::BelowBase
        } else if gain < config.margin || gain <= config.errors * doubt {
            Verdict::NotBetter
        } else {
            Verdict::Serve
        };
        self.serves = verdict == Verdict::Serve;
        let failed = !matches!(
            verdict,
            Verdict::Serve | Verdict::TooFew | Verdict::NotBetter
        );
        self.failures = if failed { self.failures + 1 } else { 0 };
        // Accuracy that is lost on labelled windows is certain; an estimate that is low for once is not.
        let certain = verdict == Verdict::SourceLost;
        let discarded = certain || failed && self.failures >= config.patience.max(1);
        if discarded {
            self.failures = 0;
            self.discarded = self.discarded.saturating_add(1);
        }
        let judgement = Judgement {
            update,
            windows,
            base,
            adapted,
            doubt,
            disagreement,
            verdict,
            discarded,
        };
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(judgement);
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(estimate: f32, source: f32) -> Scores {
        Scores {
            consistency: estimate,
            confidence: 0.5,
            likeness: 0.5,
            steadiness: estimate,
            information: 0.5,
            source,
        }
    }

    fn compared(base: Scores, adapted: Scores) -> Comparison {
        Comparison {
            windows: 64,
            base,
            adapted,
            doubt: 0.005,
            disagreement: 0.1,
        }
    }

    fn check(adapted: Scores, windows: usize, disagreement: f32, expect: Verdict) -> Guard {
        let mut guard = Guard::default();
        let comparison = Comparison {
            windows,
            disagreement,
            ..compared(scores(0.7, 0.9), adapted)
        };
        let judgement = guard.judge(&GuardConfig::default(), 1, comparison);
        assert_eq!(judgement.verdict, expect);
        assert_eq!(guard.serves(), expect == Verdict::Serve);
        guard
    }

    #[test]
    fn serves_only_while_nothing_speaks_against_it() {
        check(scores(0.72, 0.9), 64, 0.1, Verdict::Serve);
        check(scores(0.7, 0.9), 64, 0.1, Verdict::NotBetter);
        check(scores(0.69, 0.9), 64, 0.1, Verdict::BelowBase);
        check(scores(0.9, 0.5), 64, 0.1, Verdict::SourceLost);
        check(scores(0.9, 0.89), 64, 0.1, Verdict::SourceLess);
        check(scores(0.9, 0.9), 64, 0.6, Verdict::Disagrees);
        check(scores(0.9, 0.9), 3, 0.1, Verdict::TooFew);
    }

    #[test]
    fn discards_what_is_certainly_worse_but_not_what_is_too_new_to_judge() {
        assert_eq!(
            check(scores(0.9, 0.1), 64, 0.1, Verdict::SourceLost).discarded(),
            1
        );
        assert_eq!(
            check(scores(0.1, 0.9), 1, 0.1, Verdict::TooFew).discarded(),
            0
        );
    }

    #[test]
    fn a_collapsed_tail_that_agrees_with_itself_does_not_serve() {
        // One class for everything: perfectly consistent, but the source buffer tells.
        check(scores(1.0, 0.1), 64, 0.2, Verdict::SourceLost);
    }

    #[test]
    fn patience_waits_for_a_second_failure() {
        let config = GuardConfig {
            patience: 2,
            ..GuardConfig::default()
        };
        let mut guard = Guard::default();
        let worse = compared(scores(0.7, 0.9), scores(0.1, 0.9));
        assert!(!guard.judge(&config, 1, worse).discarded);
        assert!(guard.judge(&config, 2, worse).discarded);
    }

    #[test]
    fn a_gain_that_may_be_chance_does_not_serve() {
        let better = compared(scores(0.7, 0.9), scores(0.72, 0.9));
        for (doubt, serves) in [(0.0, true), (0.005, true), (0.05, false)] {
            let mut guard = Guard::default();
            let judgement = guard.judge(&GuardConfig::default(), 1, Comparison { doubt, ..better });
            assert_eq!(judgement.verdict == Verdict::Serve, serves, "{doubt}");
        }
    }

    #[test]
    fn the_history_is_bounded() {
        let mut guard = Guard::default();
        for update in 0..100 {
            let alike = compared(scores(0.7, 0.9), scores(0.7, 0.9));
            guard.judge(&GuardConfig::default(), update, alike);
        }
        assert_eq!(
            (
                guard.history().len(),
                guard.latest().map(|last| last.update)
            ),
            (HISTORY, Some(99))
        );
    }
}
