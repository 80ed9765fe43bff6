//! Nearest-neighbour mining: keys of the queue that look like a window count as further views of it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use super::InfoNce;

/// The positives of each window: its own key, and of the queue what each of its views is most similar to.
///
/// # Shapes
/// `[batch, 1 + negative]`, ones and zeros, off the autodiff graph
///
/// # Source
/// AimCLR, with one neighbour a view.
pub fn mined(views: &[&InfoNce]) -> Tensor<2> {
    let nearest = views.iter().map(|view| {
        let logits = view.logits.clone().without_autodiff();
        let [batch, columns] = logits.dims();
        let device = logits.device();
        let best = logits.narrow(1, 1, columns - 1).argmax(1) + 1;
        let numbers = Tensor::<1, Int>::arange(0..columns as i64, &device);
        let numbers = numbers.reshape([1, columns]).repeat_dim(0, batch);
        let own = numbers.clone().equal_elem(0);
        let found = numbers.equal(best.repeat_dim(1, columns));
        own.bool_or(found).float()
    });
    let union = nearest.reduce(|union, other| union.max_pair(other));
    union.unwrap_or_else(|| unreachable!("a window has a view"))
}

/// Mean over windows of the mean cross-entropy with each positive as the right answer.
pub fn mined_loss(nce: &InfoNce, positives: Tensor<2>) -> Tensor<1> {
    let logits = nce.logits.clone();
    let positives = if logits.is_autodiff() {
        Tensor::from_inner(positives)
    } else {
        positives
    };
    let count = positives.clone().sum_dim(1);
    let sum = (log_softmax(logits, 1) * positives).sum_dim(1);
    (sum / count).neg().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn nce<const N: usize>(logits: [[f32; 4]; N]) -> InfoNce {
        let logits = Tensor::from_floats(logits, &Device::flex());
        InfoNce { logits }
    }

    #[test]
    fn positives_are_the_own_key_and_each_views_nearest_one() {
        // The own key is never mined, however similar.
        let first = nce([[9.0, 1.0, 2.0, 0.0], [0.0, 3.0, 1.0, 2.0]]);
        let second = nce([[0.0, 1.0, 2.0, 5.0], [0.0, 4.0, 1.0, 2.0]]);
        let found: Vec<f32> = mined(&[&first, &second]).into_data().try_to_vec().unwrap();
        assert_eq!(found, [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    }

    // Logits 0: every key has probability 1/4, whatever counts as positive.
    #[test]
    fn the_loss_is_the_mean_over_positives() {
        let flat = nce([[0.0; 4]]);
        let loss: f32 = mined_loss(&flat, mined(&[&flat])).into_scalar();
        assert!((loss - 4.0_f32.ln()).abs() < 1e-6);
        let peaked = nce([[2.0, 1.0, 0.0, 0.0]]);
        let sum = (2.0_f32.exp() + 1.0_f32.exp() + 2.0).ln();
        let loss: f32 = mined_loss(&peaked, mined(&[&peaked])).into_scalar();
        assert!((loss - (sum - 1.5)).abs() < 1e-6);
    }
}
