//! How good a tail is on windows without labels: five estimates, and accuracy on the bundle's labelled source buffer.
//!
//! | estimate | what it is | source |
//! |---|---|---|
//! | consistency | share of windows whose weak and strong view get the same class | agreement under augmentation |
//! | confidence | mean calibrated confidence | average confidence (Guillory et al., ICCV 2021) |
//! | likeness | share of windows whose nearest class prototype, in the tail's own features, has the class that is answered | prototype consistency |
//! | steadiness | agreement with itself when features are dropped | AETTA (CVPR 2024) |
//! | information | how much the answers tell about the windows, of what they could | [`super::information`] |
//!
//! How each tracks true accuracy is in `docs/adaptation.md`; [`super::guard`] decides by the last.

use super::guard::Scores;
use super::information::information;
use super::model::Prediction;
use super::prototypes::Prototypes;
use rand::RngExt as _;
use tendon_model::augment::random::generator;

/// Passes with dropped features (AETTA: 10).
const PASSES: u64 = 10;
/// Share of features that is dropped (AETTA: 0.4).
const DROPPED: f32 = 0.4;
/// How strongly a collapsed mean prediction counts as error (AETTA: 3).
const COLLAPSE: f32 = 3.0;
/// Stream of random numbers: the same features are dropped for every tail, so that tails can be compared.
const SEED: u64 = 0x6465_7461;

/// A window with what is answered to it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'w> {
    /// To the weak view: the window itself.
    pub weak: &'w Prediction,
    /// To the strong view.
    pub strong: &'w Prediction,
    /// The tail's features of the weak view.
    pub features: &'w [f32],
}

/// A linear classifier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classifier {
    /// `[dim, class]`
    pub weight: Vec<f32>,
    /// `[class]`
    pub bias: Vec<f32>,
}

impl Classifier {
    /// The class of features of which only those marked in `kept` are there, the others' share made up for.
    fn class(&self, features: &[f32], kept: &[bool]) -> usize {
        let mut logits = self.bias.clone();
        let rows = self.weight.chunks_exact(self.bias.len().max(1));
        for ((value, kept), row) in features.iter().zip(kept).zip(rows) {
            if *kept {
                let value = value / (1.0 - DROPPED);
                for (logit, weight) in logits.iter_mut().zip(row) {
                    *logit += value * weight;
                }
            }
        }
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0, |(class, _)| class)
    }
}

/// What the estimates of one tail are measured with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Yardstick {
    /// Accuracy on the source buffer, 0..=1.
    pub accuracy: f32,
    prototypes: Prototypes,
    classifier: Classifier,
}

impl Yardstick {
    /// Of a tail with `classifier`, which said `said` about the source buffer with `labels`.
    #[must_use]
    pub fn new(said: &[Prediction], labels: &[u16], classifier: Classifier) -> Self {
        let right = said
            .iter()
            .zip(labels)
            .filter(|(said, label)| said.class == **label)
            .count();
        let features: Vec<Vec<f32>> = said.iter().map(|said| said.features.clone()).collect();
        Self {
            accuracy: right as f32 / labels.len().max(1) as f32,
            prototypes: Prototypes::new(&features, labels, classifier.bias.len()),
            classifier,
        }
    }

    fn classes(&self) -> usize {
        self.classifier.bias.len()
    }

    /// Measures answers to windows.
    #[must_use]
    pub fn scores<'w>(&self, windows: impl Iterator<Item = Asked<'w>>) -> Scores {
        let windows: Vec<Asked<'_>> = windows.collect();
        let count = windows.len().max(1) as f32;
        let share = |holds: &dyn Fn(&Asked<'_>) -> bool| {
            windows.iter().filter(|window| holds(window)).count() as f32 / count
        };
        let confidences = windows.iter().map(|window| window.weak.confidence);
        let answers = windows
            .iter()
            .map(|window| window.weak.probabilities.as_slice());
        Scores {
            consistency: share(&|window| window.weak.class == window.strong.class),
            confidence: confidences.sum::<f32>() / count,
            likeness: share(&|window| {
                let nearest = self.prototypes.nearest(window.features);
                nearest.is_some_and(|nearest| nearest.class == window.weak.class)
            }),
            steadiness: self.steadiness(&windows),
            information: information(answers) / (self.classes().max(2) as f32).ln(),
            source: self.accuracy,
        }
    }

    /// One minus the share of passes with dropped features that change the class, made larger where the answers collapse.
    ///
    /// # Source
    /// AETTA's weighted dropout disagreement: `error = disagreement / (E / E_max)^3`, with `E` the entropy of the mean prediction. Different
    /// here: features are dropped before the classifier only.
    fn steadiness(&self, windows: &[Asked<'_>]) -> f32 {
        let classes = self.classes();
        let features: Vec<&[f32]> = windows.iter().map(|window| window.features).collect();
        let everything: Vec<usize> = features
            .iter()
            .map(|features| {
                // Nothing is dropped: the plain class, by the same arithmetic.
                let kept = vec![true; features.len()];
                self.classifier.class(features, &kept)
            })
            .collect();
        let mut changed = 0_usize;
        for pass in 0..PASSES {
            let mut rng = generator(SEED, pass, 0, 0);
            let dim = features.first().map_or(0, |features| features.len());
            let kept: Vec<bool> = (0..dim).map(|_| rng.random::<f32>() >= DROPPED).collect();
            changed += features
                .iter()
                .zip(&everything)
                .filter(|(features, plain)| self.classifier.class(features, &kept) != **plain)
                .count();
        }
        let disagreement = changed as f32 / (features.len().max(1) as f32 * PASSES as f32);
        let mut mean = vec![0.0_f32; classes];
        for window in windows {
            for (mean, value) in mean.iter_mut().zip(&window.weak.probabilities) {
                *mean += value;
            }
        }
        let sum: f32 = mean.iter().sum();
        let entropy: f32 = mean
            .iter()
            .map(|value| value / sum.max(1e-9))
            .filter(|share| *share > 0.0)
            .map(|share| -share * share.ln())
            .sum();
        let spread = entropy / (classes.max(2) as f32).ln();
        (1.0 - disagreement / spread.max(1e-3).powf(COLLAPSE)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: usize = 3;
    const DIM: usize = 60;

    /// A classifier that reads class `c` from every third feature.
    fn classifier() -> Classifier {
        let weight = (0..DIM)
            .flat_map(|dim| (0..CLASSES).map(move |class| f32::from(u8::from(dim % 3 == class))))
            .collect();
        Classifier {
            weight,
            bias: vec![0.0; CLASSES],
        }
    }

    fn features(class: usize, strength: f32) -> Vec<f32> {
        (0..DIM)
            .map(|dim| {
                if dim % 3 == class {
                    strength
                } else {
                    // Different for every feature, so that dropping some can matter.
                    1.0 + 0.1 * (dim * 7 % 5) as f32
                }
            })
            .collect()
    }

    fn said(class: usize, sure: f32, features: Vec<f32>) -> Prediction {
        let mut probabilities = vec![(1.0 - sure) / 2.0; CLASSES];
        probabilities[class] = sure;
        Prediction {
            probabilities,
            class: class as u16,
            confidence: sure,
            features,
        }
    }

    fn yardstick() -> Yardstick {
        let source: Vec<Prediction> = (0..CLASSES)
            .map(|class| said(class, 0.9, features(class, 4.0)))
            .collect();
        Yardstick::new(&source, &[0, 1, 1], classifier())
    }

    fn scores(windows: &[[Prediction; 2]]) -> Scores {
        yardstick().scores(windows.iter().map(|[weak, strong]| Asked {
            weak,
            strong,
            features: &weak.features,
        }))
    }

    fn window(class: usize, strength: f32) -> [Prediction; 2] {
        let one = said(class, 0.9, features(class, strength));
        [one.clone(), one]
    }

    #[test]
    fn accuracy_on_the_source_buffer_is_counted() {
        assert!((yardstick().accuracy - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn clear_windows_score_high_by_every_estimate() {
        let windows: Vec<_> = (0..30).map(|number| window(number % 3, 4.0)).collect();
        let scores = scores(&windows);
        assert_eq!((scores.consistency, scores.steadiness), (1.0, 1.0));
        assert!(scores.information > 0.5);
        assert!((scores.confidence - 0.9).abs() < 1e-5);
    }

    #[test]
    fn windows_near_the_border_are_not_steady() {
        let clear: Vec<_> = (0..30).map(|number| window(number % 3, 4.0)).collect();
        let unclear: Vec<_> = (0..30).map(|number| window(number % 3, 1.25)).collect();
        assert!(scores(&unclear).steadiness < scores(&clear).steadiness - 0.1);
    }

    #[test]
    fn a_collapsed_tail_is_not_steady_once_anything_changes() {
        // One class for everything, but for a single unclear window.
        let mut windows: Vec<_> = (0..30).map(|_| window(0, 4.0)).collect();
        windows.push(window(1, 1.25));
        let mut varied: Vec<_> = (0..30).map(|number| window(number % 3, 4.0)).collect();
        varied.push(window(1, 1.25));
        assert!(scores(&windows).steadiness < scores(&varied).steadiness);
        assert!(scores(&windows).information < scores(&varied).information / 2.0);
    }

    #[test]
    fn answers_that_differ_from_the_nearest_prototype_are_unlike() {
        let windows: Vec<_> = (0..30)
            .map(|_| {
                let wrong = said(1, 0.9, features(0, 4.0));
                [wrong.clone(), wrong]
            })
            .collect();
        assert_eq!(scores(&windows).likeness, 0.0);
    }

    #[test]
    fn no_windows_are_no_reason_to_panic() {
        assert_eq!(scores(&[]).consistency, 0.0);
    }
}
