//! A sum and the leaky ReLU behind it in one walk; only the result is kept for the gradient.

use rayon::prelude::*;

use super::lanes::{wide, zip};
use super::{Flat, Raw, dims, group, raw};
use crate::leaky::SLOPE;

pub(super) fn forward(a: &Raw, b: &Raw) -> Raw {
    let shape: [usize; 2] = dims(a);
    let (a, b) = (Flat::new(a), Flat::new(b));
    let mut out = vec![0.0; a.values().len()];
    let size = group(out.len());
    out.par_chunks_mut(size)
        .zip(a.values().par_chunks(size).zip(b.values().par_chunks(size)))
        .for_each(|(out, (a, b))| {
            wide(
                #[inline(always)]
                || {
                    zip!([out], [a, b], {
                        let sum = a + b;
                        *out = if sum > 0.0 { sum } else { sum * SLOPE };
                    });
                },
            );
        });
    raw(out, shape)
}

/// The gradient of either summand.
pub(super) fn backward(output: &Raw, grad: &Raw) -> Raw {
    let shape: [usize; 2] = dims(output);
    let (output, mut grad) = (Flat::new(output), Flat::new(grad));
    let values = grad.values_mut();
    let size = group(values.len());
    values
        .par_chunks_mut(size)
        .zip(output.values().par_chunks(size))
        .for_each(|(grad, output)| {
            wide(
                #[inline(always)]
                || {
                    zip!([grad], [output], {
                        let passed = *grad;
                        *grad = if output > 0.0 { passed } else { passed * SLOPE };
                    });
                },
            );
        });
    grad.reshaped(shape)
}
