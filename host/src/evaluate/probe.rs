//! Linear probe: a softmax regression on features that do not change.

use super::matrix::{Features, Standard};
use super::metrics::Predictions;
use super::order::shuffled;
use super::pooling::Pooling;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How the regression is trained: SGD with momentum on softmax cross-entropy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Passes over the training windows.
    pub epochs: usize,
    /// Windows a step.
    pub batch: usize,
    /// Learning rate at the start.
    pub learning_rate: f64,
    /// SGD momentum, 0..1.
    pub momentum: f64,
    /// L2 penalty on the weights (not on the bias).
    pub weight_decay: f64,
    /// Epochs at whose start the learning rate falls to a tenth.
    pub steps: Vec<usize>,
    /// Bring every feature to mean 0 and spread 1 first (measured on the training windows).
    pub standardize: bool,
    /// How the encoder's last map becomes features.
    pub pooling: Pooling,
}

impl Default for ProbeConfig {
    /// The linear protocol of AimCLR, CrosSCLR and CMCS.
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: 128,
            learning_rate: 3.0,
            momentum: 0.9,
            weight_decay: 0.0,
            steps: vec![80],
            standardize: false,
            pooling: Pooling::Mean,
        }
    }
}

impl ProbeConfig {
    /// A logistic regression for features of any scale: standardised, with an L2 penalty, small steps.
    #[must_use]
    pub fn logistic() -> Self {
        Self {
            epochs: 100,
            batch: 64,
            learning_rate: 0.01,
            momentum: 0.9,
            weight_decay: 0.05,
            steps: vec![60, 80],
            standardize: true,
            pooling: Pooling::Mean,
        }
    }
}

/// A trained linear classifier.
#[derive(Debug, Clone)]
pub struct Probe {
    standard: Option<Standard>,
    weight: Tensor<2>,
    bias: Tensor<2>,
    classes: usize,
}

/// One epoch of training, for logs and curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeEpoch {
    /// Mean cross-entropy on the training windows, nats.
    pub loss: f64,
    /// Share of validation windows recognised, 0..=1, when there are any.
    pub validation: Option<f64>,
}

impl Probe {
    /// Trains on `train`; looks at `validation` after every epoch, without choosing anything by it.
    ///
    /// The gradient is written out (softmax minus label), so that no autodiff device is needed.
    pub fn fit(
        train: &Features,
        validation: Option<&Features>,
        config: &ProbeConfig,
        seed: u64,
        device: &Device,
        mut watch: impl FnMut(usize, ProbeEpoch),
    ) -> Self {
        let standard = config.standardize.then(|| Standard::measure(train));
        let scaled = standard
            .as_ref()
            .map_or_else(|| train.clone(), |standard| standard.apply(train));
        let mut probe = Self {
            standard,
            weight: Tensor::zeros([train.dim, train.classes], device),
            bias: Tensor::zeros([1, train.classes], device),
            classes: train.classes,
        };
        let (mut weight_speed, mut bias_speed) = (probe.weight.clone(), probe.bias.clone());
        for epoch in 0..config.epochs {
            let falls = config.steps.iter().filter(|&&step| epoch >= step).count();
            let rate = config.learning_rate * 0.1f64.powi(falls as i32);
            let mut loss = 0.0;
            for indices in shuffled(train.len(), seed, epoch as u64).chunks(config.batch.max(1)) {
                let batch = scaled.select(indices);
                let x = rows(&batch, device);
                let probability = softmax(
                    x.clone().matmul(probe.weight.clone()) + probe.bias.clone(),
                    1,
                );
                let truth = one_hot(&batch, device);
                loss -= f64::from(
                    (truth.clone() * probability.clone().clamp_min(1e-12).log())
                        .sum()
                        .into_scalar::<f32>(),
                );
                let error = (probability - truth) / indices.len() as f64;
                let slope = x.transpose().matmul(error.clone())
                    + probe.weight.clone() * config.weight_decay;
                weight_speed = weight_speed * config.momentum + slope;
                bias_speed = bias_speed * config.momentum + error.sum_dim(0);
                probe.weight = probe.weight - weight_speed.clone() * rate;
                probe.bias = probe.bias - bias_speed.clone() * rate;
            }
            let validation = validation.map(|features| probe.predict(features, device).top1());
            watch(
                epoch,
                ProbeEpoch {
                    loss: loss / train.len().max(1) as f64,
                    validation,
                },
            );
        }
        probe
    }

    /// Classifies features of the kind it was trained on.
    #[must_use]
    pub fn predict(&self, features: &Features, device: &Device) -> Predictions {
        let scaled = self
            .standard
            .as_ref()
            .map_or_else(|| features.clone(), |standard| standard.apply(features));
        let logits = rows(&scaled, device).matmul(self.weight.clone()) + self.bias.clone();
        Predictions::new(self.classes, to_vec(logits), features.labels.clone())
    }
}

/// Features as a tensor `[window, dim]`.
pub(super) fn rows(features: &Features, device: &Device) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(features.values.clone(), [features.len(), features.dim]),
        device,
    )
}

/// The values of a tensor that holds f32.
pub(super) fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().iter::<f32>().collect()
}

fn one_hot(features: &Features, device: &Device) -> Tensor<2> {
    let labels: Vec<i64> = features
        .labels
        .iter()
        .map(|&label| i64::from(label))
        .collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [features.len()]), device);
    labels.one_hot::<2>(features.classes).float()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corners() -> Features {
        let values = vec![
            2.0, 0.1, 1.8, -0.1, -0.2, 2.1, 0.2, 1.9, -2.0, -2.0, -1.9, -2.1,
        ];
        Features::new(2, values, vec![0, 0, 1, 1, 2, 2], 3).unwrap()
    }

    #[test]
    fn separates_what_a_plane_separates_and_is_deterministic() {
        let device = Device::flex();
        let config = ProbeConfig {
            batch: 2,
            learning_rate: 0.1,
            epochs: 20,
            steps: vec![],
            ..ProbeConfig::default()
        };
        let mut losses = Vec::new();
        let probe = Probe::fit(
            &corners(),
            Some(&corners()),
            &config,
            1,
            &device,
            |_, epoch| losses.push(epoch.loss),
        );
        assert_eq!(probe.predict(&corners(), &device).top1(), 1.0);
        assert!(losses[19] < losses[0]);
        let mut again = Vec::new();
        Probe::fit(&corners(), None, &config, 1, &device, |_, epoch| {
            again.push(epoch.loss)
        });
        assert_eq!(losses, again);
    }

    #[test]
    fn standardising_helps_features_of_unequal_scale() {
        let mut wide = corners();
        wide.values
            .chunks_exact_mut(2)
            .for_each(|row| row[0] = row[0] * 1000.0 + 5000.0);
        let device = Device::flex();
        let probe = Probe::fit(&wide, None, &ProbeConfig::logistic(), 1, &device, |_, _| {});
        assert_eq!(probe.predict(&wide, &device).top1(), 1.0);
    }
}
