//! Plain Rust: the definition of every loop, and the path of processors without a file of their own.
//!
//! Written so that compilers turn it into vectors: fixed numbers of lanes, no branches inside.

use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Mix, Product, Rows};

/// Returns `value / 2^shift` rounded to the nearest integer, halves upwards, `1 <= shift <= 62`.
#[inline]
pub(crate) const fn round_shift(value: i64, shift: u32) -> i64 {
    value.wrapping_add(1 << (shift - 1)) >> shift
}

/// Clamps to the range of an activation.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u8"
)]
pub(super) fn saturate(value: i64) -> u8 {
    value.clamp(0, 255) as u8
}

/// Activations that a sparse sum computes at a time.
const CHUNK: usize = 16;

/// Computes a sparse sum.
pub(super) fn mix(job: &mut Mix<'_>) {
    let (len, channels) = (job.len(), job.channels);
    let rows = job.out.chunks_mut(job.stride).take(job.frames);
    for (frame, row) in rows.enumerate() {
        let row = row.get_mut(..channels).unwrap_or_default();
        for (chunk, out) in row.chunks_mut(CHUNK).enumerate() {
            let at = frame * channels + chunk * CHUNK;
            let mut sums = [job.bias; CHUNK];
            for entry in job.entries {
                let from = job.input.get(entry.source * len + at..).unwrap_or_default();
                let coefficient = i32::from(entry.coefficient);
                if let Some(from) = from.first_chunk::<CHUNK>() {
                    add(&mut sums, from, coefficient);
                } else {
                    add(&mut sums, from, coefficient);
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = saturate(i64::from(sum >> job.shift));
            }
        }
    }
}

#[inline]
fn add(sums: &mut [i32], from: &[u8], coefficient: i32) {
    for (sum, from) in sums.iter_mut().zip(from) {
        *sum = sum.wrapping_add(coefficient.wrapping_mul(i32::from(*from)));
    }
}

/// Rows that share a pass over the weights. With [`DEPTH`], 9 KiB of stack.
pub(super) const TILE: usize = 16;

/// The sums of some rows for one group of outputs.
pub(super) type Sums = [[i32; GROUP]; TILE];

/// Computes a convolution.
pub(super) fn convolve(job: &mut Convolution<'_>) {
    convolve_with(job, sums);
}

/// Computes a convolution with another function for the sums of `product, rows, joint, row, group`.
#[inline]
pub(super) fn convolve_with(
    job: &mut Convolution<'_>,
    sums: impl Fn(&Product<'_>, usize, usize, usize, usize) -> Sums,
) {
    let outputs = job.outputs();
    for group in 0..job.groups() {
        let first = group * GROUP;
        let multipliers = job.main.multipliers(group);
        let beside_multipliers = job.beside_multipliers(group);
        for joint in 0..job.joints {
            for row in (0..job.rows).step_by(TILE) {
                let main = sums(&job.main, job.rows, joint, row, group);
                let beside = match &job.beside {
                    Beside::None => [[0; GROUP]; TILE],
                    Beside::Identity(rows, _) => activations(rows, job.rows, joint, row, first),
                    Beside::Product(product) => sums(product, job.rows, joint, row, group),
                };
                let rows = (row..job.rows).zip(main.iter().zip(&beside));
                for (row, (main, beside)) in rows {
                    let at = joint * job.out_joint + row * outputs;
                    let out = job
                        .out
                        .get_mut(at + first..at + outputs)
                        .unwrap_or_default();
                    let lanes = main.iter().zip(&multipliers);
                    let lanes = lanes.zip(beside.iter().zip(&beside_multipliers));
                    for (out, (main, beside)) in out.iter_mut().zip(lanes) {
                        let sum = product(main).wrapping_add(product(beside));
                        *out = saturate(round_shift(sum, job.rounding.shift));
                    }
                }
            }
        }
    }
}

#[inline]
fn product((sum, multiplier): (&i32, &i32)) -> i64 {
    i64::from(*sum).wrapping_mul(i64::from(*multiplier))
}

/// Returns the bytes of `TILE` rows from `row` on; rows beyond the last repeat it.
#[inline]
pub(super) fn tile<'j>(
    rows: &Rows<'j>,
    count: usize,
    joint: usize,
    row: usize,
) -> [&'j [u8]; TILE] {
    core::array::from_fn(|next| {
        let row = (row + next).min(count - 1);
        rows.bytes
            .get(joint * rows.joint + row * rows.stride..)
            .unwrap_or_default()
    })
}

/// Returns activations as lanes.
fn activations(rows: &Rows<'_>, count: usize, joint: usize, row: usize, first: usize) -> Sums {
    tile(rows, count, joint, row).map(|bytes| {
        let mut lanes = [0; GROUP];
        for (lane, byte) in lanes.iter_mut().zip(bytes.get(first..).unwrap_or_default()) {
            *lane = i32::from(*byte);
        }
        lanes
    })
}

/// Inputs whose weights are widened together: the dot product of 16-bit numbers is what compilers know best.
const DEPTH: usize = 128;

/// Returns biases plus dot products.
fn sums(product: &Product<'_>, count: usize, joint: usize, row: usize, group: usize) -> Sums {
    let rows = tile(&product.rows, count, joint, row);
    let mut sums = [product.biases(joint, group); TILE];
    let mut weights = [[0_i16; DEPTH]; GROUP];
    let mut activations = [[0_i16; DEPTH]; TILE];
    let chunks = product.layer.group(group).chunks(DEPTH / QUAD);
    for (chunk, quads) in chunks.enumerate() {
        let len = quads.len() * QUAD;
        for (out, weights) in weights.iter_mut().enumerate() {
            widen(out, quads, weights);
        }
        for (activations, row) in activations.iter_mut().zip(rows) {
            let row = row.get(chunk * DEPTH..).unwrap_or_default();
            for (wide, activation) in activations.iter_mut().zip(row).take(len) {
                *wide = i16::from(*activation);
            }
        }
        let fours = sums.as_chunks_mut::<4>().0.iter_mut();
        let used = (count - row).div_ceil(4);
        for (sums, activations) in fours.zip(activations.as_chunks::<4>().0).take(used) {
            for (out, weights) in weights.iter().enumerate() {
                let dots = dot4(activations, weights.get(..len).unwrap_or_default());
                for (sums, dot) in sums.iter_mut().zip(dots) {
                    if let Some(sum) = sums.get_mut(out) {
                        *sum = sum.wrapping_add(dot);
                    }
                }
            }
        }
    }
    sums
}

/// Widens the weights of one output.
#[inline]
fn widen(out: usize, quads: &[[u8; GROUP * QUAD]], wide: &mut [i16; DEPTH]) {
    for (wide, quads) in wide.as_chunks_mut::<QUAD>().0.iter_mut().zip(quads) {
        if let Some(quad) = quads.as_chunks::<QUAD>().0.get(out) {
            *wide = quad.map(|weight| i16::from(weight.cast_signed()));
        }
    }
}

/// Returns the dot products of four rows with one row of weights.
#[inline]
#[allow(
    clippy::indexing_slicing,
    reason = "all five slices are cut to one length before the loop"
)]
fn dot4([a, b, c, d]: &[[i16; DEPTH]; 4], weights: &[i16]) -> [i32; 4] {
    let n = weights.len().min(DEPTH);
    let (a, b, c, d, w) = (&a[..n], &b[..n], &c[..n], &d[..n], &weights[..n]);
    let mut sums = [0_i32; 4];
    for i in 0..n {
        let weight = i32::from(w[i]);
        sums[0] = sums[0].wrapping_add(i32::from(a[i]).wrapping_mul(weight));
        sums[1] = sums[1].wrapping_add(i32::from(b[i]).wrapping_mul(weight));
        sums[2] = sums[2].wrapping_add(i32::from(c[i]).wrapping_mul(weight));
        sums[3] = sums[3].wrapping_add(i32::from(d[i]).wrapping_mul(weight));
    }
    sums
}

/// Sums that are kept in registers over all rows.
const LANES: usize = 16;

/// Sums rows of activations. Inlined into the paths, whose vectors it then uses.
///
/// # Shapes
/// `rows [row, dim]`, `sums [dim]`
#[inline(always)]
pub(super) fn pool(rows: &[u8], sums: &mut [i32]) {
    let dim = sums.len();
    for (chunk, sums) in sums.chunks_mut(LANES).enumerate() {
        let mut lanes = [0; LANES];
        for row in rows.chunks_exact(dim) {
            let row = row.get(chunk * LANES..).unwrap_or_default();
            if let Some(row) = row.first_chunk::<LANES>() {
                add(&mut lanes, row, 1);
            } else {
                add(&mut lanes, row, 1);
            }
        }
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum = lane;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_upwards() {
        assert_eq!(
            [-3, -2, -1, 0, 1, 2, 3].map(|v| round_shift(v, 1)),
            [-1, -1, 0, 0, 1, 1, 2]
        );
        assert_eq!(round_shift((1 << 62) - 1, 62), 1);
        assert_eq!(round_shift(-(1 << 62), 62), -1);
    }

    #[test]
    fn activations_saturate_with_zero_at_the_lower_end() {
        assert_eq!(
            [-5, 0, 2, 255, 300].map(|v| saturate(round_shift(v << 3, 3))),
            [0, 0, 2, 255, 255]
        );
    }

    #[test]
    fn sums_of_rows_whose_length_is_no_multiple_of_a_vector_are_whole() {
        let rows: [u8; 3 * 35] = core::array::from_fn(|at| at as u8);
        let mut sums = [7; 35];
        pool(&rows, &mut sums);
        assert_eq!(sums[0], 35 + 70);
        assert_eq!(sums[34], 34 + 69 + 104);
    }
}
