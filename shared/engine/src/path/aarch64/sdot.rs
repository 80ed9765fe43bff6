//! `sdot` of ARMv8.2: four products of each of four outputs in one instruction.
#![allow(
    unsafe_code,
    reason = "the instruction has no stable intrinsic; bounds are the job's, which were checked"
)]

use super::neon::{Dot, Lanes, convolve_with};
use crate::format::{GROUP, QUAD};
use crate::job::Convolution;
use core::arch::aarch64::*;
use core::arch::asm;

/// Computes a convolution.
///
/// # Safety
/// `job.fits()` holds, and the processor has `sdot`.
pub(in crate::path) unsafe fn convolve(job: &mut Convolution<'_>) {
    // SAFETY: the caller's promise.
    unsafe { convolve_with::<Quads>(job) };
}

/// Products of four inputs, added at once.
struct Quads;

impl Dot for Quads {
    #[inline]
    unsafe fn sums<const R: usize>(
        start: Lanes,
        from: *const u8,
        stride: usize,
        weights: &[[u8; GROUP * QUAD]],
    ) -> [Lanes; R] {
        // SAFETY: the caller's promise.
        unsafe { sums(start, from, stride, weights) }
    }
}

/// See [`Dot::sums`]. Sixteen activations of a row are loaded at once and taken four by four.
///
/// # Safety
/// As [`Dot::sums`].
#[target_feature(enable = "neon,dotprod")]
unsafe fn sums<const R: usize>(
    start: Lanes,
    mut from: *const u8,
    stride: usize,
    weights: &[[u8; GROUP * QUAD]],
) -> [Lanes; R] {
    let sign = vdupq_n_u8(0x80);
    let mut sums = [start; R];
    let (blocks, rest) = weights.as_chunks::<4>();
    for [a, b, c, d] in blocks {
        let mut rows = [vdupq_n_s8(0); R];
        for (r, row) in rows.iter_mut().enumerate() {
            // SAFETY: the caller's promise: four quads are left.
            let bytes = unsafe { vld1q_u8(from.add(r * stride)) };
            *row = vreinterpretq_s8_u8(veorq_u8(bytes, sign));
        }
        add::<R, 0>(&mut sums, a, &rows);
        add::<R, 1>(&mut sums, b, &rows);
        add::<R, 2>(&mut sums, c, &rows);
        add::<R, 3>(&mut sums, d, &rows);
        // SAFETY: four quads of the row.
        from = unsafe { from.add(4 * QUAD) };
    }
    for quads in rest {
        let mut rows = [vdupq_n_s8(0); R];
        for (r, row) in rows.iter_mut().enumerate() {
            // SAFETY: the caller's promise: a quad is left.
            let quad = unsafe { from.add(r * stride).cast::<u32>().read_unaligned() };
            *row = vreinterpretq_s8_u32(vdupq_n_u32(quad ^ 0x8080_8080));
        }
        add::<R, 0>(&mut sums, quads, &rows);
        // SAFETY: a quad of the row.
        from = unsafe { from.add(QUAD) };
    }
    sums
}

/// Adds the products of quad `LANE` of each row.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add<const R: usize, const LANE: u8>(
    sums: &mut [Lanes; R],
    quads: &[u8; GROUP * QUAD],
    rows: &[int8x16_t; R],
) {
    // SAFETY: four times 16 bytes.
    let quads = [0, 16, 32, 48].map(|first| unsafe { vld1q_s8(quads.as_ptr().add(first).cast()) });
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (sum, weights) in sums.iter_mut().zip(quads) {
            // SAFETY: the instruction touches nothing but its registers.
            unsafe {
                asm!(
                    "sdot {sum:v}.4s, {weights:v}.16b, {row:v}.4b[{lane}]",
                    sum = inout(vreg) *sum,
                    weights = in(vreg) weights,
                    row = in(vreg) *row,
                    lane = const LANE,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
        }
    }
}
