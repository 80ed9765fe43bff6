//! What a classifier is worth on labelled windows: accuracy, confusion, calibration, accuracy at a threshold.

use crate::report::Bin;
use serde::{Deserialize, Serialize};

/// Equally wide confidence bins of the calibration error (Guo et al., 2017, use 15).
const BINS: usize = 15;

/// Logits of a classifier beside the true labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    classes: usize,
    logits: Vec<f32>,
    labels: Vec<u16>,
}

impl Predictions {
    /// Predictions from logits `[window, class]` and one label a window.
    ///
    /// # Panics
    /// `logits` does not hold `classes` values a label, or a label is not below `classes`: a programmer's error.
    #[must_use]
    pub fn new(classes: usize, logits: Vec<f32>, labels: Vec<u16>) -> Self {
        assert_eq!(
            logits.len(),
            classes * labels.len(),
            "one logit a class and window"
        );
        assert!(
            labels.iter().all(|&label| usize::from(label) < classes),
            "labels are class indices"
        );
        Self {
            classes,
            logits,
            labels,
        }
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The logits of each window with its label.
    pub fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.logits
            .chunks_exact(self.classes.max(1))
            .zip(self.labels.iter().map(|&label| usize::from(label)))
    }

    /// Share of windows whose largest logit is the label's, 0..=1; not a number without windows.
    #[must_use]
    pub fn top1(&self) -> f64 {
        let right = self
            .rows()
            .filter(|(logits, label)| argmax(logits) == *label)
            .count();
        right as f64 / self.len() as f64
    }

    /// Mean negative log-likelihood of the labels at a softmax temperature, nats.
    #[must_use]
    pub fn nll(&self, temperature: f64) -> f64 {
        let sum: f64 = self
            .rows()
            .map(|(logits, label)| -log_softmax(logits, temperature)[label])
            .sum();
        sum / self.len() as f64
    }
}

/// Accuracy on one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Name of the class.
    pub class: String,
    /// Windows of the class that were recognised.
    pub right: u32,
    /// Windows of the class.
    pub total: u32,
}

/// Accuracy on the windows whose confidence reaches a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Selective {
    /// Smallest confidence that is accepted, 0..=1.
    pub threshold: f64,
    /// Share of windows accepted, 0..=1.
    pub coverage: f64,
    /// Share of the accepted windows that is right, 0..=1; absent when none is accepted.
    pub accuracy: Option<f64>,
}

/// The smallest confidence with which a guess is a pseudo-label (FixMatch, and SkeleMoCLR's configurations here).
pub const PSEUDO_LABEL: f64 = 0.95;

/// How far a classifier's confidence can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Expected calibration error over 15 equally wide bins, 0..=1.
    pub ece: f64,
    /// At the threshold of pseudo-labels.
    pub selective: Selective,
}

impl Confidence {
    /// At temperature 1: where labels are few there are none to fit another with.
    #[must_use]
    pub fn of(predictions: &Predictions) -> Self {
        Self {
            ece: expected_error(&reliability_bins(predictions, 1.0)),
            selective: selective(predictions, 1.0, PSEUDO_LABEL),
        }
    }
}

/// All figures of one classifier on one set of windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Windows evaluated.
    pub windows: usize,
    /// Share recognised, 0..=1.
    pub top1: f64,
    /// Share whose label is among the five largest logits, 0..=1.
    pub top5: f64,
    /// Mean over the classes that occur of the share recognised, 0..=1.
    pub mean_class: f64,
    /// Accuracy a class.
    pub per_class: Vec<ClassCount>,
    /// Counts `[true class][predicted class]`.
    pub confusion: Vec<Vec<u32>>,
    /// Softmax temperature at which the figures below were taken.
    pub temperature: f64,
    /// Mean negative log-likelihood of the labels, nats.
    pub nll: f64,
    /// Expected calibration error over 15 equally wide bins, 0..=1.
    pub ece: f64,
    /// The same before calibration, at temperature 1.
    pub ece_uncalibrated: f64,
    /// The bins behind `ece`.
    pub reliability: Vec<Bin>,
    /// Accuracy and coverage at the thresholds that pseudo-labelling uses.
    pub selective: Vec<Selective>,
}

impl Metrics {
    /// Computes all figures. The temperature must have been chosen on other windows.
    #[must_use]
    pub fn compute(predictions: &Predictions, classes: &[String], temperature: f64) -> Self {
        let n = predictions.classes;
        let mut confusion = vec![vec![0u32; n]; n];
        let mut top5 = 0usize;
        for (logits, label) in predictions.rows() {
            confusion[label][argmax(logits)] += 1;
            top5 += usize::from(
                logits
                    .iter()
                    .filter(|&&logit| logit > logits[label])
                    .count()
                    < 5,
            );
        }
        let per_class: Vec<ClassCount> = confusion
            .iter()
            .enumerate()
            .map(|(class, row)| ClassCount {
                class: classes
                    .get(class)
                    .cloned()
                    .unwrap_or_else(|| class.to_string()),
                right: row[class],
                total: row.iter().sum(),
            })
            .collect();
        let shares: Vec<f64> = per_class
            .iter()
            .filter(|c| c.total > 0)
            .map(|c| f64::from(c.right) / f64::from(c.total))
            .collect();
        let reliability = reliability_bins(predictions, temperature);
        Self {
            windows: predictions.len(),
            top1: predictions.top1(),
            top5: top5 as f64 / predictions.len() as f64,
            mean_class: shares.iter().sum::<f64>() / shares.len() as f64,
            per_class,
            confusion,
            temperature,
            nll: predictions.nll(temperature),
            ece: expected_error(&reliability),
            ece_uncalibrated: expected_error(&reliability_bins(predictions, 1.0)),
            reliability,
            selective: [0.5, 0.8, 0.9, PSEUDO_LABEL]
                .map(|threshold| selective(predictions, temperature, threshold))
                .into(),
        }
    }
}

/// Index of the largest value, the first of equal ones; 0 for an empty slice.
#[must_use]
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// Log-probabilities of logits divided by a temperature.
#[must_use]
pub fn log_softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits
        .iter()
        .map(|&logit| f64::from(logit) / temperature)
        .collect();
    let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = scaled
        .iter()
        .map(|value| (value - most).exp())
        .sum::<f64>()
        .ln()
        + most;
    scaled.iter().map(|value| value - log_sum).collect()
}

/// Mean and sample standard deviation (0 for one value) of runs that differ in their seed.
#[must_use]
pub fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (
        mean,
        if values.len() < 2 {
            0.0
        } else {
            (squares / (values.len() - 1) as f64).sqrt()
        },
    )
}

/// Confidence, and whether the prediction is right.
fn confidence(logits: &[f32], label: usize, temperature: f64) -> (f64, bool) {
    let predicted = argmax(logits);
    (
        log_softmax(logits, temperature)[predicted].exp(),
        predicted == label,
    )
}

fn reliability_bins(predictions: &Predictions, temperature: f64) -> Vec<Bin> {
    let mut sums = [(0usize, 0.0f64, 0usize); BINS];
    for (logits, label) in predictions.rows() {
        let (sure, right) = confidence(logits, label, temperature);
        let bin = ((sure * BINS as f64) as usize).min(BINS - 1);
        sums[bin].0 += 1;
        sums[bin].1 += sure;
        sums[bin].2 += usize::from(right);
    }
    sums.iter()
        .enumerate()
        .map(|(index, &(count, sure, right))| Bin {
            from: index as f64 / BINS as f64,
            to: (index + 1) as f64 / BINS as f64,
            count,
            confidence: sure / count.max(1) as f64,
            accuracy: right as f64 / count.max(1) as f64,
        })
        .collect()
}

fn expected_error(bins: &[Bin]) -> f64 {
    let total: usize = bins.iter().map(|bin| bin.count).sum();
    bins.iter()
        .map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs())
        .sum::<f64>()
        / total as f64
}

fn selective(predictions: &Predictions, temperature: f64, threshold: f64) -> Selective {
    let accepted: Vec<bool> = predictions
        .rows()
        .map(|(logits, label)| confidence(logits, label, temperature))
        .filter(|(sure, _)| *sure >= threshold)
        .map(|(_, right)| right)
        .collect();
    let right = accepted.iter().filter(|right| **right).count();
    Selective {
        threshold,
        coverage: accepted.len() as f64 / predictions.len() as f64,
        accuracy: (!accepted.is_empty()).then(|| right as f64 / accepted.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four windows of two classes; softmax of (ln 3, 0) is (3/4, 1/4).
    fn four() -> Predictions {
        let sure = 3f32.ln();
        Predictions::new(
            2,
            vec![sure, 0.0, sure, 0.0, 0.0, sure, sure, 0.0],
            vec![0, 0, 1, 1],
        )
    }

    #[test]
    fn figures_of_four_windows_by_hand() {
        let metrics = Metrics::compute(&four(), &["a".into(), "b".into()], 1.0);
        assert_eq!(metrics.top1, 0.75);
        assert_eq!(metrics.confusion, vec![vec![2, 0], vec![1, 1]]);
        assert_eq!(metrics.mean_class, 0.75);
        // All four have confidence 3/4 and three are right: no calibration error.
        assert!(metrics.ece < 1e-7, "{}", metrics.ece);
        // (3 * -ln(3/4) + -ln(1/4)) / 4
        assert!((metrics.nll - (3.0 * (4f64 / 3.0).ln() + 4f64.ln()) / 4.0).abs() < 1e-7);
        assert_eq!(metrics.selective[0].coverage, 1.0);
        assert_eq!(metrics.selective[1].accuracy, None);
    }

    #[test]
    fn overconfidence_is_an_error_of_confidence_minus_accuracy() {
        // Confidence 1 on everything, half of it right.
        let predictions = Predictions::new(2, vec![90.0, 0.0, 90.0, 0.0], vec![0, 1]);
        let metrics = Metrics::compute(&predictions, &[], 1.0);
        assert!((metrics.ece - 0.5).abs() < 1e-6);
        assert_eq!(metrics.per_class[1].class, "1");
    }

    // Softmax of (ln 3, 0) is 3/4 twice and of (90, 0) it is 1 twice; one of each is right.
    #[test]
    fn confidence_counts_what_a_pseudo_label_would_be_made_of() {
        let sure = 3f32.ln();
        let logits = vec![sure, 0.0, sure, 0.0, 90.0, 0.0, 90.0, 0.0];
        let confidence = Confidence::of(&Predictions::new(2, logits, vec![0, 1, 0, 1]));
        assert!((confidence.ece - 0.5 * (0.25 + 0.5)).abs() < 1e-6);
        assert_eq!(confidence.selective.coverage, 0.5);
        assert_eq!(confidence.selective.accuracy, Some(0.5));
    }

    #[test]
    fn no_windows_give_no_panic() {
        assert!(
            Metrics::compute(&Predictions::new(3, vec![], vec![]), &[], 1.0)
                .top1
                .is_nan()
        );
    }

    #[test]
    fn spread_is_the_sample_deviation() {
        let (mean, spread) = mean_and_spread(&[1.0, 2.0, 3.0]);
        assert_eq!((mean, spread), (2.0, 1.0));
    }
}
