//! Turns: in each round every contender works once, so that a slow minute of the machine hits all of them alike.

use super::contender::{Contender, ContenderError, Times};
use serde::Serialize;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Calls of each contender in a round.
    pub times: usize,
    /// Calls before the first round, which are not counted.
    pub warmup: usize,
}

/// What one contender took in one case: the median call of each round, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Laps {
    /// Wall time.
    pub wall: Vec<f64>,
    /// Processor time.
    pub cpu: Vec<f64>,
}

/// A ratio of two contenders' laps, taken round by round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The median round's.
    pub median: f64,
    /// The lowest round's.
    pub low: f64,
    /// The highest round's.
    pub high: f64,
}

/// Lets all contenders work in turn; `[contender][case]`.
///
/// # Errors
/// A contender failed.
pub fn take_turns(
    contenders: &mut [Contender],
    cases: usize,
    plan: Plan,
    done: &mut dyn FnMut(),
) -> Result<Vec<Vec<Laps>>, ContenderError> {
    let mut laps = vec![vec![Laps::default(); cases]; contenders.len()];
    for contender in contenders.iter_mut() {
        for case in 0..cases {
            contender.run(case, plan.warmup)?;
        }
    }
    for _ in 0..plan.rounds {
        for case in 0..cases {
            for (contender, laps) in contenders.iter_mut().zip(&mut laps) {
                let Times { wall, cpu } = contender.run(case, plan.times)?;
                laps[case].wall.push(median(&wall));
                laps[case].cpu.push(median(&cpu));
            }
        }
        done();
    }
    Ok(laps)
}

/// The middle of some numbers; not a number without any.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

impl Ratio {
    /// `ours / theirs`, lap by lap.
    #[must_use]
    pub fn of(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        let fold = |pick: fn(f64, f64) -> f64| ratios.iter().copied().fold(f64::NAN, pick);
        Self {
            median: median(&ratios),
            low: fold(f64::min),
            high: fold(f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine was four times slower in the last round: it does not show.
        let ratio = Ratio::of(&[1.0, 1.2, 4.0], &[2.0, 2.0, 8.0]);
        assert_eq!((ratio.median, ratio.low, ratio.high), (0.5, 0.5, 0.6));
        assert!(Ratio::of(&[], &[]).median.is_nan());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
