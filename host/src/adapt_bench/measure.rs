//! Plays a script to a method and counts. Labels are known here and nowhere else.

use super::method::{Adapting, Facts, Judged, Said, Shown};
use super::script::{Item, Script};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tendon_adapt::align::Corrected;
use tendon_adapt::softmax::top;

/// Points of a curve, at most.
const POINTS: usize = 100;
/// Windows of a running mean, and of the worst stretch.
const HUNDRED: usize = 100;
/// More than this below the base is a loss: half a point.
pub const LOSS: f64 = 0.005;

/// Shares of right answers on the same windows, 0..=1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Windows with a label.
    pub windows: usize,
    /// Of the bundle as shipped.
    pub base: f64,
    /// Of the method.
    pub method: f64,
    /// Of the method without its guard.
    pub unguarded: f64,
}

impl Accuracy {
    /// What the method gains over the bundle as shipped, -1..=1.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.method - self.base
    }

    /// Whether the method loses more than half a point.
    #[must_use]
    pub fn is_below(&self) -> bool {
        self.gain() < -LOSS
    }
}

/// One look of a guard beside the truth, shares 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Every number that the guard had for both tails, by name: shipped, adapted.
    pub estimates: BTreeMap<String, (f64, f64)>,
    /// True accuracy of the shipped tail on the windows that the guard looked at.
    pub base: f64,
    /// And of the adapted tail.
    pub adapted: f64,
    /// Whether the adapted tail served afterwards.
    pub serves: bool,
}

/// What one job found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// On the stream: first the answer, then the update.
    pub online: Accuracy,
    /// On the domain's windows once more, without learning.
    pub afterwards: Accuracy,
    /// On windows that the source learnt from, without learning.
    pub source: Accuracy,
    /// The worst hundred windows in a row of the stream: method minus base, at most 0.
    pub worst_hundred: f64,
    /// Windows of unknown actions in the stream.
    pub unknown: usize,
    /// How well confidence tells known from unknown actions (area under the curve, 0..=1): base, method.
    pub auroc: Option<(f64, f64)>,
    /// Windows of the stream without an answer.
    pub failed: usize,
    /// Share of the stream that something learnt had its say in, 0..=1.
    pub served_adapted: f64,
    /// Shares of the stream's windows whose poses were corrected: level, limbs, jitter, 0..=1.
    #[serde(default)]
    pub corrected: (f64, f64, f64),
    /// Updates.
    pub updates: usize,
    /// Mean time of an update, milliseconds.
    pub update_ms: f64,
    /// Times that what was learnt was thrown away.
    pub discarded: u64,
    /// Share of right pseudo-labels, when there were any.
    pub pseudo_precision: Option<f64>,
    /// Windows of the stream so far, accuracy of base and method over the latest hundred.
    pub curve: Vec<(usize, f64, f64)>,
    /// Every look of a guard.
    pub checks: Vec<Check>,
}

/// One answer beside the truth.
#[derive(Debug, Clone)]
struct Marked {
    label: Option<u16>,
    base: u16,
    base_confidence: f32,
    said: Said,
}

impl Marked {
    /// Whether base, method and method without its guard are right; nothing for unknown actions.
    fn right(&self) -> Option<[bool; 3]> {
        let label = self.label?;
        Some([
            self.base == label,
            self.said.class == Some(label),
            self.said.unguarded == Some(label),
        ])
    }
}

/// Plays `script` to `method`, `batch` windows at a time, with `idle_passes` of rest after the stream.
///
/// # Errors
/// What the method says.
pub fn measure(
    method: &mut dyn Adapting,
    script: &Script,
    batch: usize,
    idle_passes: usize,
) -> Result<Outcome, String> {
    let mut clock = Clock::default();
    let online = play(method, &script.online, batch, &mut clock, true)?;
    method.rest(idle_passes);
    let facts = method.facts();
    let afterwards = play(method, &script.afterwards, batch, &mut clock, false)?;
    let source = play(method, &script.source, batch, &mut clock, false)?;
    let labels: Vec<Option<u16>> = online.iter().map(|one| one.label).collect();
    let known: Vec<[bool; 3]> = online.iter().filter_map(Marked::right).collect();
    let unknown = online.len() - known.len();
    let adapted = online.iter().filter(|one| one.said.adapted).count();
    let updates = facts.update_ms.len();
    Ok(Outcome {
        online: accuracy(&online),
        afterwards: accuracy(&afterwards),
        source: accuracy(&source),
        worst_hundred: worst_hundred(&known),
        unknown,
        auroc: (unknown > 0).then(|| {
            (
                auroc(&online, |one| one.base_confidence),
                auroc(&online, |one| one.said.confidence),
            )
        }),
        failed: online.iter().filter(|one| one.said.class.is_none()).count(),
        served_adapted: adapted as f64 / online.len().max(1) as f64,
        corrected: corrected(&online),
        updates,
        update_ms: facts.update_ms.iter().sum::<f64>() / updates.max(1) as f64,
        discarded: facts.discarded,
        pseudo_precision: precision(&facts, &labels),
        curve: curve(&known),
        checks: facts
            .judged
            .iter()
            .map(|judged| check(judged, &labels))
            .collect(),
    })
}

/// Where a device's life has come to.
#[derive(Debug, Default)]
struct Clock {
    time_ms: u64,
    tracks: u64,
}

/// Plays windows one batch after the other.
fn play(
    method: &mut dyn Adapting,
    items: &[Item],
    batch: usize,
    clock: &mut Clock,
    learn: bool,
) -> Result<Vec<Marked>, String> {
    let mut marked = Vec::with_capacity(items.len());
    for (number, part) in items.chunks(batch.max(1)).enumerate() {
        let shown: Vec<Shown<'_>> = part
            .iter()
            .enumerate()
            .map(|(place, item)| {
                let (start_ms, track) = (clock.time_ms, clock.tracks);
                clock.time_ms += item.length_ms();
                clock.tracks += 1;
                Shown {
                    window: &item.labelled().window,
                    start_ms,
                    track,
                    number: number * batch.max(1) + place,
                }
            })
            .collect();
        let said = method.answer(&shown, learn)?;
        if said.len() != part.len() {
            return Err(format!("{} answers to {} windows", said.len(), part.len()));
        }
        for (item, said) in part.iter().zip(said) {
            let (base, base_confidence) = top(&item.labelled().window.base);
            marked.push(Marked {
                label: item.labelled().label,
                base,
                base_confidence,
                said,
            });
        }
    }
    Ok(marked)
}

fn corrected(marked: &[Marked]) -> (f64, f64, f64) {
    let share = |was: fn(&Corrected) -> bool| {
        let those = marked.iter().filter(|one| was(&one.said.corrected));
        those.count() as f64 / marked.len().max(1) as f64
    };
    (
        share(|one| one.level),
        share(|one| one.limbs),
        share(|one| one.steady),
    )
}

fn accuracy(marked: &[Marked]) -> Accuracy {
    let right: Vec<[bool; 3]> = marked.iter().filter_map(Marked::right).collect();
    let share = |which: usize| {
        right.iter().filter(|one| one[which]).count() as f64 / right.len().max(1) as f64
    };
    Accuracy {
        windows: right.len(),
        base: share(0),
        method: share(1),
        unguarded: share(2),
    }
}

/// Method minus base over the worst hundred windows in a row, at most 0.
fn worst_hundred(right: &[[bool; 3]]) -> f64 {
    let size = right.len().clamp(1, HUNDRED);
    let gain = |one: &[bool; 3]| f64::from(u8::from(one[1])) - f64::from(u8::from(one[0]));
    let sums = right.windows(size).map(|part| part.iter().map(gain).sum());
    sums.fold(0.0, f64::min) / size as f64
}

fn curve(right: &[[bool; 3]]) -> Vec<(usize, f64, f64)> {
    let points = right.len().min(POINTS);
    (1..=points)
        .map(|point| {
            let end = right.len() * point / points;
            let latest = &right[end.saturating_sub(HUNDRED)..end];
            let share = |which: usize| {
                latest.iter().filter(|one| one[which]).count() as f64 / latest.len().max(1) as f64
            };
            (end, share(0), share(1))
        })
        .collect()
}

/// The chance that a known action is answered with more confidence than an unknown one; ties count half.
fn auroc(marked: &[Marked], confidence: impl Fn(&Marked) -> f32) -> f64 {
    let of = |known: bool| -> Vec<f32> {
        let those = marked.iter().filter(|one| one.label.is_some() == known);
        those.map(&confidence).collect()
    };
    let (known, unknown) = (of(true), of(false));
    let wins: f64 = known
        .iter()
        .flat_map(|known| unknown.iter().map(move |unknown| (known, unknown)))
        .map(|(known, unknown)| match known.total_cmp(unknown) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
        .sum();
    wins / (known.len() * unknown.len()).max(1) as f64
}

fn precision(facts: &Facts, labels: &[Option<u16>]) -> Option<f64> {
    let right = |(window, class): &&(usize, u16)| labels.get(*window) == Some(&Some(*class));
    let count = facts.pseudo.len();
    (count > 0).then(|| facts.pseudo.iter().filter(right).count() as f64 / count as f64)
}

/// A look of the guard with the truth beside it. Windows of unknown actions have no right answer.
fn check(judged: &Judged, labels: &[Option<u16>]) -> Check {
    let number = |tail: &str, name: &str| judged.judgement.get(tail)?.get(name)?.as_f64();
    let names = judged.judgement.get("base").and_then(|one| one.as_object());
    let names = names.into_iter().flat_map(|one| one.keys());
    let known: Vec<(u16, u16, u16)> = judged
        .windows
        .iter()
        .filter_map(|(window, base, adapted)| Some(((*labels.get(*window)?)?, *base, *adapted)))
        .collect();
    let share = |right: fn(&(u16, u16, u16)) -> bool| {
        known.iter().filter(|one| right(one)).count() as f64 / known.len().max(1) as f64
    };
    Check {
        estimates: names
            .filter_map(|name| {
                let both = (number("base", name)?, number("adapted", name)?);
                Some((name.clone(), both))
            })
            .collect(),
        base: share(|(label, base, _)| label == base),
        adapted: share(|(label, _, adapted)| label == adapted),
        serves: judged.serves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(base: &[u8], method: &[u8]) -> Vec<[bool; 3]> {
        let both = base.iter().zip(method);
        both.map(|(base, method)| [*base == 1, *method == 1, false])
            .collect()
    }

    #[test]
    fn the_worst_stretch_is_a_loss_even_when_the_whole_is_a_gain() {
        let base: Vec<u8> = (0..300).map(|window| u8::from(window < 100)).collect();
        let method: Vec<u8> = (0..300).map(|window| u8::from(window >= 50)).collect();
        // The first hundred lose fifty answers.
        assert_eq!(worst_hundred(&right(&base, &method)), -0.5);
        assert_eq!(worst_hundred(&right(&[0, 1], &[1, 1])), 0.0);
        assert_eq!(worst_hundred(&[]), 0.0);
    }

    #[test]
    fn a_curve_has_at_most_a_hundred_points_of_the_latest_hundred_windows() {
        let method: Vec<u8> = (0..250).map(|window| u8::from(window >= 150)).collect();
        let curve = curve(&right(&[1; 250], &method));
        assert_eq!((curve.len(), curve[99]), (100, (250, 1.0, 1.0)));
        // Up to window 200: the latest hundred are half right.
        assert_eq!(curve[79], (200, 1.0, 0.5));
    }

    #[test]
    fn confidence_that_tells_nothing_has_half_the_area() {
        let one = |label, confidence| Marked {
            label,
            base: 0,
            base_confidence: confidence,
            said: Said::likeliest(&[confidence], false),
        };
        let marked = [one(Some(0), 0.9), one(None, 0.9), one(None, 0.1)];
        // One tie, one win of two pairs.
        assert_eq!(auroc(&marked, |one| one.base_confidence), 0.75);
    }

    #[test]
    fn a_guards_numbers_stand_beside_the_truth_of_its_windows() {
        let judged = Judged {
            judgement: serde_json::json!({
                "base": {"confidence": 0.5, "source": 1.0}, "adapted": {"confidence": 0.75, "source": 0.5}, "verdict": "serve",
            }),
            windows: vec![(0, 1, 1), (2, 0, 3), (1, 2, 2)],
            serves: true,
        };
        // Window 1 is an unknown action: nobody can be right.
        let check = check(&judged, &[Some(1), None, Some(3)]);
        assert_eq!((check.base, check.adapted), (0.5, 1.0));
        assert_eq!(check.estimates["confidence"], (0.5, 0.75));
        assert_eq!(check.estimates.len(), 2);
    }
}
