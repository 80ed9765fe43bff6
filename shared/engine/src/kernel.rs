//! The inner loops: dot products and rounding. A faster path for one processor replaces this file's functions, bit for bit.

/// Returns four dot products of activation rows with one row of weights.
///
/// The sums wrap in principle; the bounds in [`crate::format`] show that they never do.
#[inline]
#[allow(
    clippy::indexing_slicing,
    reason = "all five slices are cut to one length before the loop"
)]
pub(crate) fn dot4(rows: [&[i16]; 4], weights: &[i16]) -> [i32; 4] {
    let n = rows.iter().fold(weights.len(), |n, row| n.min(row.len()));
    let [a, b, c, d] = rows;
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

/// Calls `emit(row, sum)` with the dot product of each of `rows` rows, which start `stride` numbers apart.
#[inline]
pub(crate) fn dot_rows(
    input: &[i16],
    stride: usize,
    rows: usize,
    weights: &[i16],
    mut emit: impl FnMut(usize, i32),
) {
    let last = rows.saturating_sub(1);
    let at = |row: usize| {
        let start = row.min(last) * stride;
        input.get(start..start + weights.len()).unwrap_or_default()
    };
    for first in (0..rows).step_by(4) {
        let sums = dot4(
            [at(first), at(first + 1), at(first + 2), at(first + 3)],
            weights,
        );
        for (row, sum) in (first..rows).zip(sums) {
            emit(row, sum);
        }
    }
}

/// Widens a row of weights.
#[inline]
pub(crate) fn widen(from: &[u8], to: &mut [i16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = i16::from(from.cast_signed());
    }
}

/// Returns `value / 2^shift` rounded to the nearest integer, halves upwards, `1 <= shift <= 62`.
#[inline]
pub(crate) const fn round_shift(value: i64, shift: u32) -> i64 {
    value.wrapping_add(1 << (shift - 1)) >> shift
}

/// Returns the activation nearest to `value / 2^shift`, with -128 standing for zero.
#[inline]
pub(crate) fn requantize(value: i64, shift: u32) -> i8 {
    saturate(round_shift(value, shift) - 128)
}

/// Clamps to the range of an activation.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of i8"
)]
pub(crate) fn saturate(value: i64) -> i8 {
    value.clamp(-128, 127) as i8
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
            [-5, 0, 2, 255, 300].map(|v| requantize(v << 3, 3)),
            [-128, -128, -126, 127, 127]
        );
    }

    #[test]
    fn rows_beyond_a_multiple_of_four_are_computed_once() {
        let input: [i16; 6] = [1, 2, 3, 4, 5, 6];
        let mut seen = [0; 8];
        dot_rows(&input, 1, 5, &[10, 1], |row, sum| seen[row] += sum);
        assert_eq!(seen, [12, 23, 34, 45, 56, 0, 0, 0]);
    }
}
