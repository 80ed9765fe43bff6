//! Several streams, one answer: a weighted sum of what their classifiers say.
//!
//! Each classifier's logits are divided by its temperature first, so that a weight means the same for all of them. Weights come from
//! held-out training persons; published code has chosen them on the test side.

use super::metrics::{Predictions, log_softmax};
use super::temperature::fit_temperature;

/// Parts that a whole is divided into when weights are tried.
const PARTS: usize = 10;

/// Calibrated log-probabilities of one classifier, ready to be added.
#[derive(Debug, Clone)]
pub struct Voice {
    /// `[window, class]`
    logs: Vec<f32>,
    labels: Vec<u16>,
    classes: usize,
}

impl Voice {
    /// What `predictions` say at a temperature.
    #[must_use]
    pub fn new(predictions: &Predictions, classes: usize, temperature: f64) -> Self {
        let rows = predictions.rows();
        Self {
            logs: rows
                .flat_map(|(logits, _)| log_softmax(logits, temperature))
                .map(|log| log as f32)
                .collect(),
            labels: predictions.rows().map(|(_, label)| label as u16).collect(),
            classes,
        }
    }

    /// A classifier's voice on held-out persons and on the test side, both at the temperature that fits the held-out persons.
    #[must_use]
    pub fn pair(held: &Predictions, test: &Predictions, classes: usize) -> [Self; 2] {
        let temperature = fit_temperature(held);
        [held, test].map(|predictions| Self::new(predictions, classes, temperature))
    }
}

/// The weighted sum of voices about the same windows.
///
/// # Panics
/// When there is no voice, or they are about different windows: programmer error.
#[must_use]
pub fn fuse(voices: &[Voice], weights: &[f64]) -> Predictions {
    let first = &voices[0];
    let mut sum = vec![0.0_f32; first.logs.len()];
    for (voice, weight) in voices.iter().zip(weights) {
        assert_eq!(voice.labels, first.labels, "voices about the same windows");
        for (sum, log) in sum.iter_mut().zip(&voice.logs) {
            *sum += *weight as f32 * log;
        }
    }
    Predictions::new(first.classes, sum, first.labels.clone())
}

/// The weights, in tenths and adding up to 1, with which held-out windows are recognised best; of equal ones those with the least
/// negative log-likelihood.
#[must_use]
pub fn choose(held: &[Voice]) -> Vec<f64> {
    let mut best: Option<((f64, f64), Vec<f64>)> = None;
    for parts in compositions(PARTS, held.len()) {
        let weights: Vec<f64> = parts
            .iter()
            .map(|&part| part as f64 / PARTS as f64)
            .collect();
        let fused = fuse(held, &weights);
        let worth = (fused.top1(), -fused.nll(1.0));
        if best.as_ref().is_none_or(|(known, _)| worth > *known) {
            best = Some((worth, weights));
        }
    }
    best.map_or_else(Vec::new, |(_, weights)| weights)
}

/// All ways to divide `whole` into `count` parts.
fn compositions(whole: usize, count: usize) -> Vec<Vec<usize>> {
    match count {
        0 => Vec::new(),
        1 => vec![vec![whole]],
        _ => (0..=whole)
            .flat_map(|first| {
                let rest = compositions(whole - first, count - 1).into_iter();
                rest.map(move |mut parts| {
                    parts.insert(0, first);
                    parts
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty windows of two classes, of which a classifier gets the windows `right` right, the surer the larger `size`.
    fn voice(right: impl Fn(usize) -> bool, size: f32) -> Voice {
        let labels: Vec<u16> = (0..20).map(|window| window % 2).collect();
        let logits = labels.iter().enumerate().flat_map(|(window, label)| {
            let towards = if right(window) { *label } else { 1 - *label };
            [f32::from(1 - towards) * size, f32::from(towards) * size]
        });
        Voice::new(
            &Predictions::new(2, logits.collect(), labels.clone()),
            2,
            1.0,
        )
    }

    #[test]
    fn a_stream_that_knows_nothing_is_left_out_and_one_that_helps_is_not() {
        let good = voice(|window| window != 3, 2.0);
        let useless = voice(|window| window % 4 < 2, 3.0);
        let weights = choose(&[good.clone(), useless]);
        assert!(weights[0] >= 0.7, "{weights:?}");
        // Each is sure where it is right and hardly where it is wrong.
        let mut left = voice(|window| window < 14, 4.0);
        let mut right = voice(|window| window >= 6, 4.0);
        for (voice, wrong) in [(&mut left, 14..20), (&mut right, 0..6)] {
            for log in &mut voice.logs[2 * wrong.start..2 * wrong.end] {
                *log *= 0.05;
            }
        }
        let voices = [left, right];
        let weights = choose(&voices);
        assert!(weights.iter().all(|weight| *weight > 0.0), "{weights:?}");
        assert_eq!(fuse(&voices, &weights).top1(), 1.0);
    }

    #[test]
    fn weights_add_up_to_one_and_all_divisions_are_tried() {
        assert_eq!(compositions(10, 3).len(), 66);
        let three = [2.0, 1.0, 3.0].map(|size| voice(|window| window > 2, size));
        assert!((choose(&three).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(choose(&[]).is_empty());
    }
}
