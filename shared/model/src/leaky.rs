//! The leaky ReLU behind the sums of PSP Learning's layers.

use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;

use crate::fused;

/// Share of a negative value that passes (PSP Learning's code).
pub const SLOPE: f32 = 0.1;

/// Adds two tensors; of what is negative a tenth passes.
///
/// # Shapes
/// `[row, channel]`, all the same
pub fn leaky_sum(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    if fused::available(&a.device()) {
        fused::leaky_sum(a, b)
    } else {
        leaky_relu(a + b, f64::from(SLOPE))
    }
}
