//! InfoNCE: recognise the own key among the queue's.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Similarities of queries with their keys (column 0) and with negatives, divided by the temperature.
pub struct InfoNce {
    /// `[batch, 1 + negative]`.
    pub logits: Tensor<2>,
}

impl InfoNce {
    /// Compares unit queries with their unit keys and with unit negatives; only queries carry gradients.
    ///
    /// # Shapes
    /// - `query`, `key`: `[batch, dim]`
    /// - `negatives`: `[negative, dim]`
    ///
    /// # Source
    /// MoCo v2; SkeletonCLR and AimCLR use temperature 0.07, SkeleMixCLR 0.2.
    pub fn new(query: Tensor<2>, key: Tensor<2>, negatives: Tensor<2>, temperature: f64) -> Self {
        let positive = (query.clone() * key).sum_dim(1);
        let negative = query.matmul(negatives.transpose());
        Self {
            logits: Tensor::cat(vec![positive, negative], 1) / temperature,
        }
    }

    /// Adds one more negative for each query, its own: the last column.
    ///
    /// # Shapes
    /// - `query`, `other`: `[batch, dim]`, unit rows
    ///
    /// # Source
    /// SkeleMixCLR: the other region of the same mixed window.
    #[must_use]
    pub fn and(self, query: Tensor<2>, other: Tensor<2>, temperature: f64) -> Self {
        let other = (query * other).sum_dim(1) / temperature;
        Self {
            logits: Tensor::cat(vec![self.logits, other], 1),
        }
    }

    /// Mean cross-entropy with the own key as the right answer.
    pub fn loss(&self) -> Tensor<1> {
        log_softmax(self.logits.clone(), 1)
            .narrow(1, 0, 1)
            .neg()
            .mean()
    }

    /// Share of queries whose own key is the most similar one, 0..=1.
    pub fn accuracy(&self) -> f64 {
        let logits = self.logits.clone().without_autodiff();
        let [batch, _] = logits.dims();
        let best = logits.argmax(1).equal_elem(0).int().sum();
        f64::from(best.into_scalar::<i32>()) / batch as f64
    }
}

/// Mean cross-entropy of class scores.
///
/// # Shapes
/// - `logits`: `[batch, class]`
/// - `labels`: `[batch]`
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [batch] = labels.dims();
    log_softmax(logits, 1)
        .gather(1, labels.reshape([batch, 1]))
        .neg()
        .mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    // Golden value: cosines 1.0 (own), 0.2, -0.3 at temperature 0.07 give 1.08887e-5.
    #[test]
    fn loss_has_the_golden_value() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[1.0, 0.2, -0.3]], &device) / 0.07;
        let loss: f32 = InfoNce { logits }.loss().into_scalar();
        assert!((loss / 1.088_87e-5 - 1.0).abs() < 1e-2, "{loss}");
    }

    #[test]
    fn accuracy_counts_queries_that_find_their_key() {
        let device = Device::flex();
        let query = Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
        let key = Tensor::from_floats([[1.0, 0.0], [1.0, 0.0]], &device);
        let negatives = Tensor::from_floats([[0.6, 0.8]], &device);
        assert_eq!(InfoNce::new(query, key, negatives, 0.1).accuracy(), 0.5);
    }

    #[test]
    fn a_negative_of_its_own_stands_in_the_last_column() {
        let device = Device::flex();
        let rows = |values| Tensor::from_floats(values, &device);
        let query = rows([[1.0, 0.0], [0.0, 1.0]]);
        let other = rows([[0.6, 0.8], [0.6, 0.8]]);
        let key = query.clone();
        let negatives = Tensor::from_floats([[-1.0, 0.0]], &device);
        let nce = InfoNce::new(query.clone(), key, negatives, 0.5).and(query, other, 0.5);
        let logits: Vec<f32> = nce.logits.into_data().try_to_vec().unwrap();
        let expect = [2.0, -2.0, 1.2, 2.0, 0.0, 1.6];
        assert!(logits.iter().zip(expect).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn cross_entropy_of_equal_scores_is_the_logarithm_of_the_classes() {
        let device = Device::flex();
        let labels = Tensor::from_data(TensorData::from([0_i64, 3]), &device);
        let loss: f32 = cross_entropy(Tensor::zeros([2, 4], &device), labels).into_scalar();
        assert!((loss - 4.0_f32.ln()).abs() < 1e-6);
    }
}
