//! The tail with what is needed to use it: the encoder below it, feature shape, temperature, devices.

use super::estimate::Classifier;
use super::features::{FeatureShape, Features, average};
use super::{device, flat};
use crate::softmax::{softmax, top};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use tendon_bundle::VerifiedBundle;
use tendon_engine::{Encoder, ParseError};
use tendon_model::sketch::{Sketch, TailRead};
use tendon_model::tail::Tail;

/// Where the int8 encoder's tables are. Parsing borrows them and copies no weights.
pub trait Tables {
    /// The encoder.
    ///
    /// # Errors
    /// The tables are not an encoder's.
    fn encoder(&self) -> Result<Encoder<'_>, ParseError>;
}

impl Tables for VerifiedBundle {
    fn encoder(&self) -> Result<Encoder<'_>, ParseError> {
        Self::encoder(self)
    }
}

/// What a tail says about one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Calibrated probabilities, one a class.
    pub probabilities: Vec<f32>,
    /// Likeliest class.
    pub class: u16,
    /// Its probability.
    pub confidence: f32,
    /// The window's embedding, one number a feature; empty for the mean of two predictions.
    pub features: Vec<f32>,
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
            features: Vec::new(),
        }
    }
}

/// The adaptable tail above its encoder; weights come and go as flat lists.
pub struct Model {
    tables: Arc<dyn Tables + Send + Sync>,
    base: Tail,
    sketch: Sketch,
    shape: FeatureShape,
    temperature: f32,
    plain: Device,
    learning: Device,
}

impl Model {
    /// The tail as shipped in `tables`, with a correction of `rank`.
    ///
    /// # Errors
    /// [`ParseError`] when the tables are not an encoder's.
    pub fn new(
        tables: Arc<dyn Tables + Send + Sync>,
        rank: usize,
        temperature: f32,
    ) -> Result<Self, ParseError> {
        let plain = device::plain();
        let encoder = tables.encoder()?;
        let weights = encoder.tail_weights();
        let spec = encoder.spec();
        let shape = FeatureShape {
            joints: spec.joints,
            frames: spec.trunk_frames,
            channels: spec.trunk_channels,
        };
        let (base, sketch) = (
            Tail::new(&weights, rank, &plain),
            Sketch::new(&weights, rank, &plain),
        );
        drop(encoder);
        Ok(Self {
            tables,
            base,
            sketch,
            shape,
            temperature,
            plain,
            learning: device::learning(),
        })
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

    /// Logits, `[window, class]`, of windows by a tail made by [`Self::student`]; `None` when windows and encoder do not fit.
    #[must_use]
    pub fn learn(&self, tail: &Tail, windows: &[&Features]) -> Option<Tensor<2>> {
        let features = self.features(tail, windows, &self.learning)?;
        Some(tail.classify(features))
    }

    /// What `tail`, made by [`Self::tail`], says about windows; nothing when windows and encoder do not fit.
    #[must_use]
    pub fn predict<'f>(
        &self,
        tail: &Tail,
        windows: impl Iterator<Item = &'f Features>,
    ) -> Vec<Prediction> {
        let windows: Vec<&Features> = windows.collect();
        let Some(features) = self.features(tail, &windows, &self.plain) else {
            return Vec::new();
        };
        let logits = tail.classify(features.clone());
        let ([_, classes], [_, dim]) = (logits.dims(), features.dims());
        let (logits, features) = (flat::values(logits), flat::values(features));
        let rows = logits
            .chunks_exact(classes.max(1))
            .zip(features.chunks_exact(dim.max(1)));
        rows.map(|(logits, features)| {
            let mut probabilities = logits.to_vec();
            softmax(&mut probabilities, self.temperature);
            let (class, confidence) = top(&probabilities);
            Prediction {
                probabilities,
                class,
                confidence,
                features: features.to_vec(),
            }
        })
        .collect()
    }

    /// The tail's linear classifier.
    #[must_use]
    pub fn classifier(&self, tail: &Tail) -> Classifier {
        Classifier {
            weight: flat::values(tail.weight.val()),
            bias: flat::values(tail.bias.val()),
        }
    }

    /// Embeddings of windows, `[window, dim]`.
    fn features(&self, tail: &Tail, windows: &[&Features], device: &Device) -> Option<Tensor<2>> {
        if windows.is_empty() {
            return None;
        }
        // The tables were parsed when the model was made, and features come from the same encoder.
        let mut encoder = None;
        let read: Option<Vec<&TailRead>> = windows
            .iter()
            .map(|window| {
                window.read(|| {
                    // Parsed only if a window is new.
                    if encoder.is_none() {
                        encoder = Some(self.tables.encoder().ok()?);
                    }
                    let bodies = window.bodies(&self.shape);
                    self.sketch.read(encoder.as_ref()?, bodies).ok()
                })
            })
            .collect();
        let read = read?;
        if read.iter().all(|read| read.is_empty()) {
            return Some(Tensor::zeros([windows.len(), tail.dim()], device));
        }
        let input = self.sketch.input(&read, device);
        let average = average(windows, &self.shape, device);
        Some(average.matmul(tail.features(input)))
    }
}
