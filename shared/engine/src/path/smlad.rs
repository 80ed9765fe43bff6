//! `smlad` of ARMv7E-M (Cortex-M4 and M7): two 16-bit products, added to a sum in one instruction.
//!
//! Four activations become two registers of two halves, even bytes and odd bytes; so do four weights of one output.
#![allow(
    unsafe_code,
    reason = "the instructions have no stable intrinsics; they touch nothing but their registers"
)]

use super::portable::{self, Sums, TILE, tile};
use crate::format::QUAD;
use crate::job::{Convolution, Product};
use core::arch::asm;

/// Computes a convolution.
pub(super) fn convolve(job: &mut Convolution<'_>) {
    portable::convolve_with(job, sums);
}

/// Returns biases plus dot products. Two rows share the unpacked weights.
fn sums(product: &Product<'_>, count: usize, joint: usize, row: usize, group: usize) -> Sums {
    let rows = tile(&product.rows, count, joint, row).map(|bytes| bytes.as_chunks::<QUAD>().0);
    let mut sums = [product.biases(joint, group); TILE];
    let pairs = sums.as_chunks_mut::<2>().0.iter_mut();
    let used = (count - row).div_ceil(2);
    for ([to_a, to_b], [a, b]) in pairs.zip(rows.as_chunks::<2>().0).take(used) {
        for ((a, b), quads) in a.iter().zip(*b).zip(product.layer.group(group)) {
            let (a, b) = (unsigned(*a), unsigned(*b));
            let outputs = to_a.iter_mut().zip(to_b.iter_mut());
            for ((to_a, to_b), weights) in outputs.zip(quads.as_chunks::<QUAD>().0) {
                let weights = signed(*weights);
                *to_a = add(add(*to_a, a.0, weights.0), a.1, weights.1);
                *to_b = add(add(*to_b, b.0, weights.0), b.1, weights.1);
            }
        }
    }
    sums
}

/// Two registers of two 16-bit halves: even and odd bytes.
type Halves = (u32, u32);

/// Unpacks four unsigned bytes.
#[inline(always)]
fn unsigned(bytes: [u8; QUAD]) -> Halves {
    let bytes = u32::from_le_bytes(bytes);
    (bytes & 0x00ff_00ff, (bytes >> 8) & 0x00ff_00ff)
}

/// Unpacks four signed bytes.
#[inline(always)]
fn signed(bytes: [u8; QUAD]) -> Halves {
    let bytes = u32::from_le_bytes(bytes);
    let (even, odd): (u32, u32);
    // SAFETY: registers only.
    unsafe {
        asm!("sxtb16 {}, {}", out(reg) even, in(reg) bytes, options(pure, nomem, nostack, preserves_flags));
        asm!("sxtb16 {}, {}, ror #8", out(reg) odd, in(reg) bytes, options(pure, nomem, nostack, preserves_flags));
    }
    (even, odd)
}

/// Adds the products of the halves. The instruction notes an overflow in the Q flag, but sums never overflow.
#[inline(always)]
fn add(sum: i32, a: u32, b: u32) -> i32 {
    let result: i32;
    // SAFETY: registers only.
    unsafe {
        asm!("smlad {}, {}, {}, {}", out(reg) result, in(reg) a, in(reg) b, in(reg) sum, options(pure, nomem, nostack, preserves_flags));
    }
    result
}
