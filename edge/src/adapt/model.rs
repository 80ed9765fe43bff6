//! The tail with what is needed to use it: feature shape, temperature, devices.

use super::features::{FeatureBatch, FeatureShape, Features};
use super::{device, flat};
use crate::infer::softmax::{softmax, top};
use burn::tensor::{Device, Tensor};
use tendon_model::tail::Tail;

/// What a tail says about one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Calibrated probabilities, one a class.
    pub probabilities: Vec<f32>,
    /// Likeliest class.
    pub class: u16,
    /// Its probability.
    pub confidence: f32,
}

impl Prediction {
    /// The mean of what the shipped and the adapted tail say: the answer that is given while the adapted tail serves. Where
    /// they disagree the surer one decides, so a tail that lost its way does half the harm.
    #[must_use]
    pub fn mean(base: &[f32], adapted: &[f32]) -> Self {
        let probabilities: Vec<f32> = base
            .iter()
            .zip(adapted)
            .map(|(base, adapted)| (base + adapted) / 2.0)
            .collect();
        let (class, confidence) = top(&probabilities);
        Self {
            probabilities,
            class,
            confidence,
        }
    }
}

/// The shape of the adaptable tail; weights come and go as flat lists.
pub struct Model {
    base: Tail,
    shape: FeatureShape,
    temperature: f32,
    plain: Device,
    learning: Device,
}

impl Model {
    /// Takes the tail as shipped.
    #[must_use]
    pub fn new(tail: Tail, shape: FeatureShape, temperature: f32) -> Self {
        Self {
            base: tail,
            shape,
            temperature,
            plain: device::plain(),
            learning: device::learning(),
        }
    }

    /// Shape of the trunk features.
    #[must_use]
    pub fn shape(&self) -> &FeatureShape {
        &self.shape
    }

    /// The shipped tail, for prediction.
    #[must_use]
    pub fn base(&self) -> &Tail {
        &self.base
    }

    /// The shipped weights.
    #[must_use]
    pub fn base_weights(&self) -> Vec<f32> {
        flat::weights(&self.base)
    }

    /// A tail for prediction.
    #[must_use]
    pub fn tail(&self, weights: &[f32]) -> Tail {
        flat::with_weights(self.base.clone(), weights, &self.plain)
    }

    /// A tail whose weights take gradients.
    #[must_use]
    pub fn student(&self, weights: &[f32]) -> Tail {
        flat::with_weights(self.base.clone(), weights, &self.learning)
    }

    /// Logits of windows by a tail made by [`Self::student`], `[window, class]`.
    #[must_use]
    pub fn learn<'f>(
        &self,
        tail: &Tail,
        windows: impl ExactSizeIterator<Item = &'f Features>,
    ) -> Tensor<2> {
        run(tail, windows, &self.shape, &self.learning)
    }

    /// What `tail`, made by [`Self::tail`], says about windows.
    #[must_use]
    pub fn predict<'f>(
        &self,
        tail: &Tail,
        windows: impl ExactSizeIterator<Item = &'f Features>,
    ) -> Vec<Prediction> {
        if windows.len() == 0 {
            return Vec::new();
        }
        let logits = run(tail, windows, &self.shape, &self.plain);
        let [_, classes] = logits.dims();
        let logits = flat::values(logits);
        let rows = logits.chunks_exact(classes.max(1));
        rows.map(|logits| {
            let mut probabilities = logits.to_vec();
            softmax(&mut probabilities, self.temperature);
            let (class, confidence) = top(&probabilities);
            Prediction {
                probabilities,
                class,
                confidence,
            }
        })
        .collect()
    }
}

fn run<'f>(
    tail: &Tail,
    windows: impl ExactSizeIterator<Item = &'f Features>,
    shape: &FeatureShape,
    device: &Device,
) -> Tensor<2> {
    let batch = FeatureBatch::new(windows, shape, device);
    let embeddings = batch.average.matmul(tail.features(batch.bodies));
    tail.classify(embeddings)
}
