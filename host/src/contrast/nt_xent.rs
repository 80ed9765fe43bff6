//! NT-Xent: two views of a window find each other among all other views of the batch.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// What keeps a view from finding itself: far below any similarity, and finite.
const SELF: f32 = -1e9;

/// Mean cross-entropy of finding the other view, and the share that finds it, 0..=1.
///
/// # Shapes
/// `views`: `[2 * window, dim]`, unit rows; first one view of all windows, then the other in the same order
///
/// # Source
/// SimCLR; PSP Learning uses temperature 0.07.
pub fn nt_xent(views: Tensor<2>, temperature: f64) -> (Tensor<1>, f64) {
    let device = views.device();
    let [count, _] = views.dims();
    let oneself = Tensor::<2>::eye(count, &device) * f64::from(SELF);
    let logits = views.clone().matmul(views.transpose()) / temperature + oneself;
    let other = |row: usize| ((row + count / 2) % count) as i64;
    let others = TensorData::new((0..count).map(other).collect(), [count, 1]);
    let others = Tensor::<2, Int>::from_data(others, &device);
    let found = logits.clone().without_autodiff().argmax(1);
    let inner = others.clone().without_autodiff();
    let right: i32 = found.equal(inner).int().sum().into_scalar();
    let loss = log_softmax(logits, 1).gather(1, others).neg().mean();
    (loss, f64::from(right) / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn views(rows: [[f32; 2]; 4]) -> Tensor<2> {
        Tensor::from_floats(rows, &Device::flex())
    }

    // Two windows at right angles whose views agree: of three others, one has cosine 1 and two have 0. Loss ln(1 + 2 exp(-1/t)).
    #[test]
    fn views_that_agree_by_hand() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        let (loss, right) = nt_xent(views(rows), 0.5);
        let expect = (1.0 + 2.0 * (-2.0_f32).exp()).ln();
        assert!((loss.into_scalar::<f32>() - expect).abs() < 1e-6);
        assert_eq!(right, 1.0);
    }

    // The second views have changed places: each finds the other window's, and its own has cosine 0, as one other has.
    #[test]
    fn views_that_mistake_each_other_by_hand() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]];
        let (loss, right) = nt_xent(views(rows), 0.5);
        let expect = (2.0 + 2.0_f32.exp()).ln();
        assert!((loss.into_scalar::<f32>() - expect).abs() < 1e-6);
        assert_eq!(right, 0.0);
    }

    #[test]
    fn a_small_temperature_stays_finite() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
        let (loss, _) = nt_xent(views(rows), 0.001);
        assert!(loss.into_scalar::<f32>().is_finite());
    }
}
