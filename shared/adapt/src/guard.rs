//! Decides, without labels, whether the adapted tail may serve.
//!
//! Both tails are judged on the same recent windows and on the bundle's labelled source buffer. The adapted tail serves only while
//! there is evidence that it is better, it names every source window that the shipped tail names, and it does not disagree with the
//! shipped tail everywhere. Otherwise the shipped tail serves and, in time, the adapted one is discarded: where there is nothing to
//! gain, a tail that is as good by every estimate still gets some windows wrong that the shipped one gets right.
//! A lost source window weighs more than any estimate: it is labelled, and it was replayed in the very steps that lost it.
//!
//! The evidence is *information* ([`super::information`]): how much answers tell about their windows, which must be more with the adapted tail
//! by a margin. One look at 64 windows sees a change of one or two answers no better than chance, by this and by every other estimate
//! ([`super::estimate`]; all are measured and written down). The mean over many looks at one tail sees more (`docs/adaptation.md`): so the
//! margin falls with the root of their number, as chance does. A collapsed tail, always the same answer, tells nothing; one that
//! is sure of the wrong classes may tell as much as a right one, and the source buffer speaks against it.

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

/// Why the guard decided as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The adapted tail serves.
    Serve,
    /// Too few recent windows to compare; the shipped tail serves, learning goes on.
    TooFew,
    /// Answers tell less than the shipped tail's, by the margin.
    BelowBase,
    /// Answers do not tell more than the shipped tail's by the margin; the shipped tail serves, learning goes on.
    NotBetter,
    /// Accuracy on the source buffer was lost, more than a tail may lose.
    SourceLost,
    /// Some accuracy on the source buffer was lost.
    SourceLess,
    /// Both tails disagree too often.
    Disagrees,
}

/// One comparison.
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
    /// Share of recent windows on which they disagree.
    pub disagreement: f32,
    /// How much more answers tell with the adapted tail, as a share of what they could: the mean over the latest looks at this tail.
    #[serde(default)]
    pub gain: f32,
    /// How many looks that is.
    #[serde(default)]
    pub looks: usize,
    /// The decision.
    pub verdict: Verdict,
    /// Whether the adapted tail was discarded.
    pub discarded: bool,
}

/// Judgements that are remembered.
const HISTORY: usize = 32;
/// The latest looks at a tail that count as evidence; it goes on learning, and what it was long ago says little.
const LOOKS: usize = 16;

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

    /// Compares both tails and decides.
    pub fn judge(
        &mut self,
        config: &GuardConfig,
        update: u64,
        windows: usize,
        (base, adapted): (Scores, Scores),
        disagreement: f32,
    ) -> Judgement {
        let now = adapted.information - base.information;
        let (gain, looks) = self.evidence(config, update, windows, now);
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
        } else if now < -config.margin {
            Verdict::BelowBase
        } else if gain < config.margin / (looks as f32).sqrt() {
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
            disagreement,
            gain,
            looks,
            verdict,
            discarded,
        };
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(judgement);
        judgement
    }

    /// The mean of `now` and what earlier looks at the same tail found, and how many looks that is. Updates are counted from the shipped
    /// tail on: a gap or a step back is another tail.
    fn evidence(
        &self,
        config: &GuardConfig,
        update: u64,
        windows: usize,
        now: f32,
    ) -> (f32, usize) {
        let (mut sum, mut looks, mut newest) = (now, 1, update);
        if windows < config.min_recent {
            return (sum, looks);
        }
        for past in self.history.iter().rev().take(LOOKS - 1) {
            let follows = past.update.checked_add(1) == Some(newest);
            if past.discarded || !follows || past.windows < config.min_recent {
                break;
            }
            sum += past.adapted.information - past.base.information;
            (looks, newest) = (looks + 1, past.update);
        }
        (sum / looks as f32, looks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(information: f32, source: f32) -> Scores {
        Scores {
            consistency: 0.5,
            confidence: 0.5,
            likeness: 0.5,
            steadiness: 0.5,
            information,
            source,
        }
    }

    fn check(adapted: Scores, windows: usize, disagreement: f32, expect: Verdict) -> Guard {
        let mut guard = Guard::default();
        let judgement = guard.judge(
            &GuardConfig::default(),
            1,
            windows,
            (scores(0.7, 0.9), adapted),
            disagreement,
        );
        assert_eq!(judgement.verdict, expect);
        assert_eq!(guard.serves(), expect == Verdict::Serve);
        guard
    }

    #[test]
    fn serves_only_while_nothing_speaks_against_it() {
        check(scores(0.75, 0.9), 64, 0.1, Verdict::Serve);
        check(scores(0.7, 0.9), 64, 0.1, Verdict::NotBetter);
        check(scores(0.699, 0.9), 64, 0.1, Verdict::NotBetter);
        check(scores(0.65, 0.9), 64, 0.1, Verdict::BelowBase);
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
        // One class for everything: it tells nothing, and the source buffer speaks against it, too.
        let collapsed = Scores {
            consistency: 1.0,
            steadiness: 1.0,
            ..scores(0.0, 0.9)
        };
        check(collapsed, 64, 0.2, Verdict::BelowBase);
        let source = 0.1;
        check(
            Scores {
                source,
                ..collapsed
            },
            64,
            0.2,
            Verdict::SourceLost,
        );
    }

    /// Judgements of the updates `updates`, each of which told so much more.
    fn look(guard: &mut Guard, updates: impl Iterator<Item = u64>, more: f32) -> Judgement {
        let pair = (scores(0.7, 0.9), scores(0.7 + more, 0.9));
        let judge = |update| guard.judge(&GuardConfig::default(), update, 64, pair, 0.0);
        updates.map(judge).last().unwrap()
    }

    #[test]
    fn a_small_gain_serves_once_many_looks_have_seen_it() {
        // A little more than a third of the margin: eight looks.
        let small = GuardConfig::default().margin / 2.8;
        let mut guard = Guard::default();
        let seventh = look(&mut guard, 1..=7, small);
        assert_eq!((seventh.verdict, seventh.looks), (Verdict::NotBetter, 7));
        let eighth = look(&mut guard, 8..=8, small);
        assert_eq!((eighth.verdict, eighth.looks), (Verdict::Serve, 8));
        assert!((eighth.gain - small).abs() < 1e-4);
        // And no more, once the latest looks say otherwise.
        let after = look(&mut guard, 9..=14, -small);
        assert_eq!(after.verdict, Verdict::NotBetter);
    }

    #[test]
    fn looks_at_another_tail_are_no_evidence() {
        let small = GuardConfig::default().margin / 2.8;
        let mut guard = Guard::default();
        look(&mut guard, 1..=20, small);
        assert!(guard.serves());
        // It was discarded, or somebody went back: updates count anew.
        guard.reset();
        let first = look(&mut guard, 1..=1, small);
        assert_eq!((first.verdict, first.looks), (Verdict::NotBetter, 1));
        look(&mut guard, 2..=5, small);
        guard.go_back(false);
        assert_eq!(look(&mut guard, 3..=3, small).looks, 1);
    }

    #[test]
    fn patience_waits_for_a_second_failure() {
        let config = GuardConfig {
            patience: 2,
            ..GuardConfig::default()
        };
        let mut guard = Guard::default();
        let pair = (scores(0.7, 0.9), scores(0.1, 0.9));
        assert!(!guard.judge(&config, 1, 64, pair, 0.0).discarded);
        assert!(guard.judge(&config, 2, 64, pair, 0.0).discarded);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut guard = Guard::default();
        for update in 0..100 {
            guard.judge(
                &GuardConfig::default(),
                update,
                64,
                (scores(0.7, 0.9), scores(0.7, 0.9)),
                0.0,
            );
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
