//! Cosine similarities and the distance of BYOL-type methods.

use burn::tensor::Tensor;
use tendon_model::head::unit_rows;

/// Cosines of all pairs of rows.
///
/// # Shapes
/// `[batch, dim], [other, dim] -> [batch, other]`
pub fn cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    unit_rows(a).matmul(unit_rows(b).transpose())
}

/// Mean over rows of `2 - 2 cos(a, b)`; detach the side that must not learn.
///
/// # Shapes
/// `[batch, dim], [batch, dim] -> [1]`
///
/// # Source
/// BYOL; CMAL combines three of these with signs.
pub fn cosine_distance(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let similarity = (unit_rows(a) * unit_rows(b)).sum_dim(1);
    (similarity * -2.0 + 2.0).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    // Golden vectors: p1, p2 predictions, t1, t2 targets.
    #[test]
    fn distances_have_the_golden_values() {
        let device = Device::flex();
        let vector = |values: [f32; 3]| Tensor::<2>::from_floats([values], &device);
        let (p1, p2) = ([1.0, 0.0, 0.0], [0.8, 0.6, 0.0]);
        let (t1, t2) = ([0.6, 0.8, 0.0], [0.0, 1.0, 0.0]);
        let check = |a, b, expect: f32| {
            let distance: f32 = cosine_distance(vector(a), vector(b)).into_scalar();
            assert!((distance - expect).abs() < 1e-6, "{distance} v {expect}");
        };
        check(p1, p2, 0.4);
        check(p1, t1, 0.8);
        check(p2, t2, 0.8);
        check(p1, t2, 2.0);
        check(p2, t1, 0.08);
    }
}
