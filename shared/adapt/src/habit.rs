//! People go on with what they do: an answer leans on the one before, as far as this home's own answers show that they belong together.
//!
//! What is answered is the encoder's probabilities times a prior, and the prior is `s` times what was said before plus `1 - s` of every
//! class alike. `s` is measured, without labels: it is how much more successive answers agree than answers drawn at random from the
//! same mix of classes would,
//!
//! `s = (a - m.m) / (1 - m.m) - margin`
//!
//! with `a` the running mean of the inner products of successive probabilities and `m` their running mean. Where everything comes
//! in any order, `s` is zero and answers stay exactly as they were; this also holds for an encoder that always says the same,
//! because then `a = m.m`.
//!
//! What was said before is a running mean of the encoder's own probabilities, not of the answers that came of them: windows of one
//! activity share what is wrong with them, and a filter that takes each for new evidence believes an error after some windows more
//! firmly than any of them said it. On a strange sensor that cost up to 4.7 points of a stream, the mean 0.8 (`docs/adaptation.md`).
//!
//! Nothing leans on what was unclear: an action that the encoder does not know from this side is answered with this and that, and
//! whatever leads by chance would win over the few windows of it that are right. The running mean must give one class a majority.
//!
//! There are two such measures: for windows that follow one another in a track, and for the first window of a track after the last
//! one of anybody.
//!
//! # Source
//! Forward filtering in a hidden Markov model (Rabiner, 1989) with one free transition probability, estimated from agreement; the
//! deliberate difference is the running mean in place of the filtered belief.
//! Temporal priors at test time: LAME (CVPR 2022) keeps neighbours in a batch alike; here there is no batch.

use crate::softmax::top;
use serde::{Deserialize, Serialize};

/// Tracks whose belief is kept; the one that was silent longest gives way.
const TRACKS: usize = 32;
/// Weight of a window in the running mean of what was said before.
const NEW: f32 = 0.3;

/// How far answers lean on those before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HabitConfig {
    /// Whether they do at all.
    pub enabled: bool,
    /// Windows until the first answer leans.
    pub min_windows: u32,
    /// Weight of a new window in the running means, 0..1.
    pub rate: f32,
    /// Taken off the measured stickiness, because a short stream shows some by chance, 0..=1.
    pub margin: f32,
    /// Stickiness below this is taken for chance, 0..=1.
    pub least: f32,
    /// Stickiness is never more than this, 0..1, so that a new action is seen at once when the encoder is sure.
    pub most: f32,
    /// Share that one class must have of what was said before, 0..=1; otherwise it was unclear, and no answer leans on it.
    pub clear: f32,
}

impl Default for HabitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_windows: 40,
            rate: 0.02,
            margin: 0.1,
            least: 0.2,
            most: 0.5,
            clear: 0.5,
        }
    }
}

/// Agreement of successive answers.
#[derive(Debug, Clone, Copy, Default)]
struct Agreement {
    mean: f32,
    count: u32,
}

impl Agreement {
    fn add(&mut self, value: f32, rate: f32) {
        self.count = self.count.saturating_add(1);
        // A plain mean until enough has been seen, then one that forgets.
        let weight = rate.max(1.0 / self.count as f32);
        self.mean += (value - self.mean) * weight;
    }
}

/// The filter of one home.
#[derive(Debug, Clone)]
pub struct Habit {
    config: HabitConfig,
    within: Agreement,
    between: Agreement,
    mix: Vec<f32>,
    windows: u32,
    /// The newest window of each track, the one that spoke last at the end.
    tracks: Vec<Said>,
}

/// What was said of a track's newest window.
#[derive(Debug, Clone)]
struct Said {
    track: u64,
    /// By the encoder.
    plain: Vec<f32>,
    /// On the whole, this window and those before it.
    lately: Vec<f32>,
}

impl Habit {
    /// A filter that has seen nothing.
    #[must_use]
    pub fn new(config: HabitConfig) -> Self {
        Self {
            config,
            within: Agreement::default(),
            between: Agreement::default(),
            mix: Vec::new(),
            windows: 0,
            tracks: Vec::new(),
        }
    }

    /// Stickiness inside a track and from track to track, 0..1.
    #[must_use]
    pub fn stickiness(&self) -> (f32, f32) {
        (self.measure(self.within), self.measure(self.between))
    }

    /// Replaces the probabilities of a window of `track` by what is believed of it, all that was seen before considered.
    pub fn lean(&mut self, track: u64, probabilities: &mut [f32]) {
        if !self.config.enabled || probabilities.is_empty() {
            return;
        }
        let place = self.tracks.iter().position(|said| said.track == track);
        let same = place.is_some();
        let before = match place {
            Some(place) => Some(self.tracks.remove(place)),
            None => self.tracks.last().cloned(),
        };
        let plain = probabilities.to_vec();
        self.see(before.as_ref(), same, &plain);
        let sticks = self.measure(if same { self.within } else { self.between });
        let mut lately = plain.clone();
        if let Some(before) = &before
            && sticks > 0.0
        {
            if top(&before.lately).1 >= self.config.clear {
                lean_on(probabilities, &before.lately, sticks);
            }
            for (lately, before) in lately.iter_mut().zip(&before.lately) {
                *lately = NEW * *lately + (1.0 - NEW) * before;
            }
        }
        if self.tracks.len() >= TRACKS {
            self.tracks.remove(0);
        }
        self.tracks.push(Said {
            track,
            plain,
            lately,
        });
    }

    /// Takes a window into the running means.
    fn see(&mut self, before: Option<&Said>, same: bool, plain: &[f32]) {
        if let Some(before) = before {
            let agreement = inner(&before.plain, plain);
            let means = if same {
                &mut self.within
            } else {
                &mut self.between
            };
            means.add(agreement, self.config.rate);
        }
        self.windows = self.windows.saturating_add(1);
        self.mix.resize(plain.len(), 0.0);
        let weight = (self.config.rate / 2.0).max(1.0 / self.windows as f32);
        for (mean, value) in self.mix.iter_mut().zip(plain) {
            *mean += (value - *mean) * weight;
        }
    }

    fn measure(&self, agreement: Agreement) -> f32 {
        if agreement.count < self.config.min_windows {
            return 0.0;
        }
        let chance = inner(&self.mix, &self.mix);
        let sticks = (agreement.mean - chance) / (1.0 - chance).max(1e-6) - self.config.margin;
        if sticks < self.config.least {
            0.0
        } else {
            sticks.min(self.config.most)
        }
    }
}

fn inner(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Multiplies by the prior and makes the sum one again.
fn lean_on(probabilities: &mut [f32], lately: &[f32], sticks: f32) {
    let even = (1.0 - sticks) / probabilities.len() as f32;
    for (probability, lately) in probabilities.iter_mut().zip(lately) {
        *probability *= sticks * lately + even;
    }
    let sum: f32 = probabilities.iter().sum();
    if sum > 0.0 {
        probabilities.iter_mut().for_each(|value| *value /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: usize = 5;

    /// An encoder's answer that is `sure` of `class`.
    fn said(class: usize, sure: f32) -> Vec<f32> {
        let rest = (1.0 - sure) / (CLASSES - 1) as f32;
        let mut probabilities = vec![rest; CLASSES];
        probabilities[class] = sure;
        probabilities
    }

    fn after(classes: impl Iterator<Item = usize>, tracks: impl Fn(usize) -> u64) -> Habit {
        let mut habit = Habit::new(HabitConfig::default());
        for (number, class) in classes.enumerate() {
            habit.lean(tracks(number), &mut said(class, 0.9));
        }
        habit
    }

    #[test]
    fn what_comes_in_any_order_is_left_exactly_as_it_is() {
        // 7 n mod 5 visits every class in turn.
        let mut habit = after((0..200).map(|n| n * 7 % CLASSES), |n| n as u64);
        let mut unsure = said(2, 0.3);
        habit.lean(999, &mut unsure);
        assert_eq!(unsure, said(2, 0.3));
    }

    #[test]
    fn an_encoder_that_always_says_the_same_does_not_convince_itself() {
        let habit = after(std::iter::repeat_n(1, 500), |n| n as u64);
        assert_eq!(habit.stickiness(), (0.0, 0.0));
    }

    #[test]
    fn an_unsure_answer_follows_what_was_done_before() {
        let mut habit = after((0..200).map(|n| n / 10 % CLASSES), |n| n as u64);
        let before = habit.tracks.last().unwrap().lately.clone();
        let (doing, _) = top(&before);
        let other = (usize::from(doing) + 1) % CLASSES;
        let mut unsure = vec![0.1; CLASSES];
        unsure[usize::from(doing)] = 0.33;
        unsure[other] = 0.37;
        habit.lean(999, &mut unsure);
        assert_eq!(top(&unsure).0, doing);
        let mut sure = said(other, 0.95);
        habit.lean(1_000, &mut sure);
        assert_eq!(usize::from(top(&sure).0), other);
    }

    #[test]
    fn tracks_that_alternate_keep_their_own_belief() {
        // Two persons, window by window in turn, who stay with one action each for a while.
        let mut habit = after((0..400).map(|n| (n % 2 + n / 40) % CLASSES), |n| {
            n as u64 % 2
        });
        let (within, between) = habit.stickiness();
        assert!(within > 0.4 && between == 0.0, "{within} {between}");
        let first = top(&habit.tracks[0].lately).0;
        let track = habit.tracks[0].track;
        let mut unsure = vec![0.2; CLASSES];
        habit.lean(track, &mut unsure);
        assert_eq!(top(&unsure).0, first);
    }

    #[test]
    fn a_run_of_like_errors_is_not_believed_more_firmly_than_each_was_said() {
        let mut habit = after((0..200).map(|n| n / 10 % CLASSES), |n| n as u64);
        for number in 0..50 {
            habit.lean(500 + number, &mut said(3, 0.55));
        }
        let lately = &habit.tracks.last().unwrap().lately;
        assert!((lately[3] - 0.55).abs() < 1e-3, "{lately:?}");
        // Another window that is as sure of something else wins still.
        let mut other = said(1, 0.85);
        habit.lean(999, &mut other);
        assert_eq!(top(&other).0, 1);
    }

    #[test]
    fn nothing_leans_on_a_run_that_is_answered_with_this_and_that() {
        let mut habit = after((0..200).map(|n| n / 10 % CLASSES), |n| n as u64);
        // An action that the encoder does not know: three classes in turn, none of them with a majority.
        for number in 0..30 {
            habit.lean(500 + number, &mut said([1, 2, 3][number as usize % 3], 0.4));
        }
        assert!(habit.stickiness().1 > 0.0);
        let mut unsure = said(4, 0.3);
        habit.lean(999, &mut unsure);
        assert_eq!(unsure, said(4, 0.3));
    }

    #[test]
    fn memory_is_bounded_whatever_tracks_come() {
        let habit = after((0..5_000).map(|n| n % CLASSES), |n| n as u64 * 31);
        assert_eq!(habit.tracks.len(), TRACKS);
    }

    #[test]
    fn turned_off_it_changes_nothing() {
        let mut habit = Habit::new(HabitConfig {
            enabled: false,
            ..HabitConfig::default()
        });
        for _ in 0..100 {
            let mut plain = said(1, 0.9);
            habit.lean(1, &mut plain);
            assert_eq!(plain, said(1, 0.9));
        }
    }
}
