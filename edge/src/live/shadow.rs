//! A new bundle runs beside the one that serves before it serves itself: nobody sees its first answers.
//!
//! For so many windows the bundle before answers and the new one is only asked. It has to get through them, and where both are sure
//! they have to agree on the class's name often enough: a bundle whose classes are mixed up, or whose input is prepared otherwise, agrees
//! by chance only. Nothing here says which of the two is right where they differ, so little agreement is asked for.

use crate::runner::{Recognised, Runner};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Answers of the bundle before that are remembered.
const REMEMBERED: usize = 32;
/// Answers to the same track that lie further apart, milliseconds, are not compared: windows need not begin together.
const TOGETHER_MS: u64 = 1_000;
/// Comparisons without which agreement is not judged.
const LEAST: u32 = 8;

/// How a new bundle is watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowConfig {
    /// Windows that the bundle before answers; 0 lets the new one serve at once.
    pub windows: u32,
    /// Share of windows on which both have to agree where both are sure, 0..=1.
    pub agreement: f32,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self {
            windows: 16,
            agreement: 0.25,
        }
    }
}

/// What is known of the new bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough yet.
    Open,
    /// It may serve.
    Passed,
    /// Its answers have nothing to do with those before.
    Failed,
}

/// The bundle before, while it serves on.
pub(super) struct Shadow {
    pub(super) before: Runner,
    comparison: Comparison,
}

impl Shadow {
    pub(super) fn new(before: Runner, config: ShadowConfig) -> Self {
        Self {
            before,
            comparison: Comparison::new(config),
        }
    }

    /// Notes an answer of the bundle before.
    pub(super) fn answered(&mut self, answer: &Recognised) {
        self.comparison.answered(said(&self.before, answer));
    }

    /// Judges the new bundle by another answer of it.
    pub(super) fn judge(&mut self, new: &Runner, answer: &Recognised) -> Verdict {
        self.comparison.judge(&said(new, answer))
    }
}

/// Who was said to do what, when.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    track: u64,
    end_ms: u64,
    /// None when the bundle was not sure.
    name: Option<String>,
}

fn said(runner: &Runner, answer: &Recognised) -> Said {
    let classes = &runner.bundle().manifest().classes;
    let name = classes.get(usize::from(answer.class));
    Said {
        track: answer.track,
        end_ms: answer.end_ms,
        name: name
            .filter(|_| answer.sure && !answer.unknown)
            .map(ToString::to_string),
    }
}

/// The answers of both.
struct Comparison {
    config: ShadowConfig,
    before: VecDeque<Said>,
    seen: u32,
    compared: u32,
    agreed: u32,
}

impl Comparison {
    fn new(config: ShadowConfig) -> Self {
        Self {
            config,
            before: VecDeque::new(),
            seen: 0,
            compared: 0,
            agreed: 0,
        }
    }

    fn answered(&mut self, said: Said) {
        if self.before.len() >= REMEMBERED {
            self.before.pop_front();
        }
        self.before.push_back(said);
    }

    fn judge(&mut self, new: &Said) -> Verdict {
        self.seen += 1;
        let latest = self.before.iter().rev().find(|said| {
            said.track == new.track && said.end_ms.abs_diff(new.end_ms) <= TOGETHER_MS
        });
        if let Some((before, new)) =
            latest.and_then(|said| said.name.as_ref().zip(new.name.as_ref()))
        {
            self.compared += 1;
            self.agreed += u32::from(before == new);
        }
        let share = self.agreed as f32 / self.compared.max(1) as f32;
        if self.seen < self.config.windows {
            Verdict::Open
        } else if self.compared >= LEAST && share < self.config.agreement {
            Verdict::Failed
        } else {
            Verdict::Passed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: u64, name: Option<&str>) -> Said {
        Said {
            track: 1,
            end_ms: number * 2_000,
            name: name.map(str::to_owned),
        }
    }

    /// The verdict after so many windows, of which the first `alike` get one name from both.
    fn after(windows: u64, alike: u64, sure: bool) -> Verdict {
        let mut comparison = Comparison::new(ShadowConfig::default());
        let mut verdict = Verdict::Open;
        for number in 0..windows {
            comparison.answered(said(number, Some("sit")));
            let name = if number < alike { "sit" } else { "wave" };
            verdict = comparison.judge(&said(number, sure.then_some(name)));
        }
        verdict
    }

    #[test]
    fn a_bundle_that_agrees_often_enough_passes_after_its_windows() {
        assert_eq!(after(15, 15, true), Verdict::Open);
        assert_eq!(after(16, 4, true), Verdict::Passed);
    }

    #[test]
    fn a_bundle_with_other_answers_throughout_fails() {
        assert_eq!(after(16, 3, true), Verdict::Failed);
    }

    #[test]
    fn answers_that_are_not_sure_are_not_held_against_it() {
        assert_eq!(after(16, 0, false), Verdict::Passed);
    }

    #[test]
    fn only_answers_to_the_same_person_at_the_same_time_are_compared() {
        let mut comparison = Comparison::new(ShadowConfig::default());
        for number in 0..40 {
            comparison.answered(said(number + 100, Some("sit")));
            comparison.judge(&said(number, Some("wave")));
        }
        assert_eq!(comparison.compared, 0);
        assert_eq!(comparison.before.len(), REMEMBERED);
    }
}
