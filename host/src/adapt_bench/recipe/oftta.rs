//! OFTTA: statistics of the batch where the network is shallow, the trained ones where it is deep, and prototypes as the classifier.
//!
//! # Source
//! Wang et al., "Optimization-free test-time adaptation for cross-person activity recognition", IMWUT 2023. Exponential-decay test-time
//! normalisation mixes the batch's statistics with the trained ones, with a weight for the former that decays exponentially with depth; the answer is the
//! nearest prototype, the mean of a class's supports, which start as the classifier's rows and take in sure answers.
//! Reconstructed from the description: the weight in the n-th block is `0.6^n`, counted from the first block behind the frozen
//! trunk; 20 supports of lowest entropy a class; `softmax(10 cos)`. Deliberate difference: blocks 1 to 8 keep the trained statistics.

use super::Recipe;
use super::float::{FloatTail, Input, Moments, Statistics, rows};
use super::supports::Supports;
use super::vector::{softmax, unit};

/// Weight of the batch's statistics in the first block, and its decay from block to block.
const DECAY: f32 = 0.6;

/// The method's state.
pub struct Oftta {
    tail: FloatTail,
    unused: Vec<Moments>,
    weights: Vec<f32>,
    supports: Supports,
}

impl Oftta {
    /// The method on a tail.
    #[must_use]
    pub fn new(tail: FloatTail) -> Self {
        let weights = tail.weights();
        let table = weights.get("classifier.weight");
        let classes = weights
            .get("classifier.bias")
            .map_or(0, |bias| bias.data.len());
        let row = |class: usize| -> Vec<f32> {
            let values = table.into_iter().flat_map(|table| &table.data);
            values
                .skip(class)
                .step_by(classes.max(1))
                .copied()
                .collect()
        };
        let supports = (0..classes).map(|class| vec![(0.0, unit(&row(class)))]);
        Self {
            supports: Supports(supports.collect()),
            // Two BatchNorm layers in block 9, three in block 10.
            weights: (0..tail.moments().len())
                .map(|layer| DECAY.powi(if layer < 2 { 1 } else { 2 }))
                .collect(),
            unused: tail.moments().to_vec(),
            tail,
        }
    }
}

impl Recipe for Oftta {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        let statistics = Statistics::Mixed {
            running: &mut self.unused,
            weight: &self.weights,
            keep: false,
        };
        let said = self.tail.ask(input, statistics);
        let (pooled, logits) = (rows(said.pooled), rows(said.logits));
        if learn {
            for (pooled, logits) in pooled.iter().zip(&logits) {
                self.supports.take(pooled, &softmax(logits));
            }
        }
        pooled
            .iter()
            .map(|pooled| self.supports.ask(pooled))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::super::vector::largest;
    use super::*;

    #[test]
    fn the_batch_counts_less_the_deeper_the_layer_is() {
        let method = Oftta::new(tail());
        assert_eq!(method.weights.len(), 5);
        assert!(method.weights.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!((method.weights[4] - 0.36).abs() < 1e-6);
    }

    #[test]
    fn prototypes_start_as_the_classifiers_rows() {
        let method = Oftta::new(tail());
        let weights = tail().weights();
        let row: Vec<f32> = weights["classifier.weight"]
            .data
            .iter()
            .skip(2)
            .step_by(4)
            .copied()
            .collect();
        assert_eq!(largest(&method.supports.ask(&row)), 2);
    }

    #[test]
    fn looking_without_learning_changes_nothing_and_learning_does() {
        let mut method = Oftta::new(tail());
        let batch = input(6, 5);
        let before = method.answer(&batch, false);
        assert_eq!(method.answer(&batch, false), before);
        method.answer(&batch, true);
        assert_ne!(method.answer(&batch, false), before);
    }
}
