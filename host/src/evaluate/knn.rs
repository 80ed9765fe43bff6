//! Nearest neighbours: what the features know without any training.

use super::matrix::Features;
use super::metrics::Predictions;
use super::nearest::nearest;
use super::pooling::Pooling;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// How neighbours vote.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnnConfig {
    /// Neighbours that vote.
    pub k: usize,
    /// A neighbour's vote weighs exp(similarity / temperature).
    pub temperature: f64,
    /// How the encoder's last map becomes features.
    pub pooling: Pooling,
}

impl Default for KnnConfig {
    /// The protocol of CMCS.
    fn default() -> Self {
        Self {
            k: 20,
            temperature: 0.1,
            pooling: Pooling::Mean,
        }
    }
}

/// Classifies `test` by the cosine-nearest windows of `bank`; the logits are logarithms of the votes.
///
/// The bank must not be augmented.
#[must_use]
pub fn knn(bank: &Features, test: &Features, config: KnnConfig, device: &Device) -> Predictions {
    let near = nearest(test, bank, config.k.max(1), |_, _| true, device);
    let logits = near.iter().flat_map(|near| vote(near, bank, config));
    Predictions::new(bank.classes, logits.collect(), test.labels.clone())
}

/// The logarithm of every class's share of the votes.
fn vote(near: &[(usize, f32)], bank: &Features, config: KnnConfig) -> Vec<f32> {
    let mut votes = vec![0f64; bank.classes];
    for &(window, cosine) in near {
        votes[usize::from(bank.labels[window])] += (f64::from(cosine) / config.temperature).exp();
    }
    let total: f64 = votes.iter().sum();
    votes
        .iter()
        .map(|vote| (vote / total + 1e-6).ln() as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_neighbour_outvotes_two_far_ones() {
        // Cosines with (1, 0): 1, 0 and 0; weights e^10, 1 and 1.
        let bank = Features::new(2, vec![2.0, 0.0, 0.0, 1.0, 0.0, 3.0], vec![0, 1, 1], 2).unwrap();
        let test = Features::new(2, vec![5.0, 0.0], vec![0], 2).unwrap();
        let predictions = knn(
            &bank,
            &test,
            KnnConfig {
                k: 3,
                temperature: 0.1,
                pooling: Pooling::Mean,
            },
            &Device::flex(),
        );
        assert_eq!(predictions.top1(), 1.0);
        let share = predictions.rows().next().unwrap().0[0].exp();
        assert!(
            (f64::from(share) - 10f64.exp() / (10f64.exp() + 2.0)).abs() < 1e-4,
            "{share}"
        );
    }
}
