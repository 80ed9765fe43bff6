//! AVX2: products of 16 bits, as the 8-bit multiplication of this instruction set saturates.
//!
//! The four inputs of an output lie in one 32-bit lane: its even bytes are multiplied together, then its odd ones.
#![allow(
    unsafe_code,
    reason = "loads through pointers that the job's bounds were checked for"
)]

use super::ymm::{BYTES, Lanes, Rounding, convolution, first, lanes_of};
use super::{LIFTED, UPPER, WHOLE};
use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Product};
use core::arch::x86_64::*;

convolution!("avx2", sums, [4, 2, 1]);

/// Returns biases plus dot products of `R` rows.
///
/// # Safety
/// The rows lie inside, and the group exists.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums<const R: usize>(
    product: &Product<'_>,
    joint: usize,
    row: usize,
    group: usize,
) -> [Lanes; R] {
    let mut sums = [lanes_of(&product.biases(joint, group)); R];
    let stride = product.rows.stride;
    let depth = product.layer.row() / QUAD;
    let low = _mm256_set1_epi16(0xff);
    // SAFETY: a group has `depth` times 64 bytes of weights; a row has `depth` times 4 bytes of activations.
    unsafe {
        let mut from = first(&product.rows, joint, row);
        let weights = product.layer.weights.as_ptr();
        let mut weights = weights.add(group * depth * GROUP * QUAD);
        for _ in 0..depth {
            let [a, b] = [0, BYTES].map(|half| {
                let bytes = _mm256_loadu_si256(weights.add(half).cast());
                let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
                [even, _mm256_srai_epi16::<8>(bytes)]
            });
            for (r, sums) in sums.iter_mut().enumerate() {
                let quad = from.add(r * stride).cast::<i32>().read_unaligned();
                let quad = _mm256_set1_epi32(quad);
                let (even, odd) = (_mm256_and_si256(quad, low), _mm256_srli_epi16::<8>(quad));
                for (sum, [even_weights, odd_weights]) in sums.iter_mut().zip([a, b]) {
                    let even = _mm256_madd_epi16(even, even_weights);
                    let odd = _mm256_madd_epi16(odd, odd_weights);
                    *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(even, odd));
                }
            }
            from = from.add(QUAD);
            weights = weights.add(GROUP * QUAD);
        }
    }
    sums
}
