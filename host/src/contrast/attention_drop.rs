//! Attention-guided drop: features without what stands out most, so that the rest must be recognised too.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

/// Added to the variance (SimAM).
const LAMBDA: f64 = 1e-4;

/// Sets to zero the joints whose attention is at least `keep` in the mean, then every value whose attention is; after each,
/// what is left is scaled up by the share that was kept in the whole batch. The choice gets no gradient.
///
/// # Shapes
/// `[row, joint, frame, channel]`, the same in and out
///
/// # Source
/// AimCLR's EADM: SimAM's energy (at least 0.5, three quarters in the mean) through a sigmoid, so attention is at least 0.62;
/// `keep` is 0.7 there. It is a plain threshold, not a share. If nothing is left, the result is zero; published code divides by it.
pub fn attention_drop(features: Tensor<4>, keep: f64) -> Tensor<4> {
    let [row, joint, frame, channel] = features.dims();
    let attention = attention(features.clone().without_autodiff());
    let joints = attention.clone().mean_dim(3).mean_dim(2);
    let factors = kept(joints, keep) * kept(attention, keep);
    let factors = factors.reshape([row, joint, frame, channel]);
    if features.is_autodiff() {
        features * Tensor::from_inner(factors)
    } else {
        features * factors
    }
}

/// The attention of each value: how far it is from its channel's mean over joints and frames.
fn attention(x: Tensor<4>) -> Tensor<4> {
    let [row, joint, frame, channel] = x.dims();
    let cells = joint * frame;
    let flat = x.reshape([row, cells, channel]);
    let square = (flat.clone() - flat.mean_dim(1)).powi_scalar(2);
    let variance = square.clone().sum_dim(1) / (cells.max(2) - 1) as f64;
    let energy = square / ((variance + LAMBDA) * 4.0) + 0.5;
    sigmoid(energy).reshape([row, joint, frame, channel])
}

/// Zero where attention is at least `keep`; elsewhere the number of values over the number of those kept.
fn kept(attention: Tensor<4>, keep: f64) -> Tensor<4> {
    let count = attention.shape().num_elements() as f64;
    let mask = attention.lower_elem(keep).float();
    let left = mask.clone().sum().clamp_min(1.0).reshape([1, 1, 1, 1]);
    mask * count / left
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    // Four joints, one frame, one channel: 0, 0, 0, 4. Mean 1, variance 12 / 3 = 4; energies 1/16 + 0.5 and 9/16 + 0.5.
    #[test]
    fn attention_is_the_published_energy_through_a_sigmoid() {
        let x = TensorData::new(vec![0.0_f32, 0.0, 0.0, 4.0], [1, 4, 1, 1]);
        let found = values(attention(Tensor::from_data(x, &Device::flex())));
        let expect = |energy: f32| 1.0 / (1.0 + (-energy).exp());
        assert!((found[0] - expect(0.5625)).abs() < 1e-5);
        assert!((found[3] - expect(1.0625)).abs() < 1e-5);
    }

    // The last joint's attention is 0.743, the others' 0.637: it goes, twice, and four thirds scale the rest twice.
    #[test]
    fn what_stands_out_goes_and_the_rest_is_scaled_up() {
        let x = TensorData::new(vec![1.0_f32, 1.0, 1.0, 5.0], [1, 4, 1, 1]);
        let x: Tensor<4> = Tensor::from_data(x, &Device::flex());
        let found = values(attention_drop(x.clone(), 0.7));
        for (found, expect) in found.iter().zip([16.0 / 9.0, 16.0 / 9.0, 16.0 / 9.0, 0.0]) {
            assert!((found - expect).abs() < 1e-5, "{found}");
        }
        assert_eq!(values(attention_drop(x.clone(), 0.9)), values(x.clone()));
        assert_eq!(values(attention_drop(x, 0.5)), [0.0; 4]);
    }

    #[test]
    fn gradients_reach_only_what_was_kept() {
        let device = Device::flex().autodiff();
        let x = TensorData::new(vec![1.0_f32, 1.0, 1.0, 5.0], [1, 4, 1, 1]);
        let x: Tensor<4> = Tensor::from_data(x, &device).require_grad();
        let gradients = attention_drop(x.clone(), 0.7).sum().backward();
        let found = values(x.grad(&gradients).unwrap());
        assert!(found[0] > 1.0 && found[3] == 0.0);
    }
}
