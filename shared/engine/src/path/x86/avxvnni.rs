//! AVX-VNNI: the dot products of AVX-512 VNNI for processors that have only registers of 256 bits.
#![allow(
    unsafe_code,
    reason = "loads through pointers that the job's bounds were checked for"
)]

use super::ymm::{BYTES, Lanes, Rounding, convolution, first, lanes_of};
use super::{LIFTED, UPPER, WHOLE};
use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Product};
use core::arch::x86_64::*;

convolution!("avx2,avxvnni", sums, [6, 4, 2, 1]);

/// Returns biases plus dot products of `R` rows.
///
/// # Safety
/// The rows lie inside, and the group exists.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn sums<const R: usize>(
    product: &Product<'_>,
    joint: usize,
    row: usize,
    group: usize,
) -> [Lanes; R] {
    let mut sums = [lanes_of(&product.biases(joint, group)); R];
    let stride = product.rows.stride;
    let depth = product.layer.row() / QUAD;
    // SAFETY: a group has `depth` times 64 bytes of weights; a row has `depth` times 4 bytes of activations.
    unsafe {
        let mut from = first(&product.rows, joint, row);
        let weights = product.layer.weights.as_ptr();
        let mut weights = weights.add(group * depth * GROUP * QUAD);
        for _ in 0..depth {
            let lanes = [0, BYTES].map(|half| _mm256_loadu_si256(weights.add(half).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let quad = from.add(r * stride).cast::<i32>().read_unaligned();
                let quad = _mm256_set1_epi32(quad);
                for (sum, weights) in sums.iter_mut().zip(lanes) {
                    *sum = _mm256_dpbusd_avx_epi32(*sum, quad, weights);
                }
            }
            from = from.add(QUAD);
            weights = weights.add(GROUP * QUAD);
        }
    }
    sums
}
