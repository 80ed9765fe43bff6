//! Matrix products on parts of slices: no copies, no cleared results, strides where rows are not adjacent.

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of adjacent values, one row every `stride` values.
    pub(super) fn new(values: &'a [f32], [rows, columns]: [usize; 2], stride: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// All of `values` as adjacent rows of `columns` values.
    pub(super) fn dense(values: &'a [f32], columns: usize) -> Self {
        Self::new(values, [values.len() / columns.max(1), columns], columns)
    }

    /// Rows become columns.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// One more than the largest offset of an entry.
    fn reach(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// What a product does to what its destination holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// Overwrites it.
    Set,
    /// Adds to it.
    Add,
}

/// `out = a b` or `out += a b`; the rows of `out` begin every `stride` values. On the calling thread, so that
/// the order of sums does not depend on the number of threads.
///
/// # Panics
/// When sizes disagree: programmer error.
#[allow(unsafe_code, reason = "the product works on pointers")]
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], stride: usize, write: Write) {
    let destination = Matrix::new(out, [a.rows, b.columns], stride);
    assert_eq!(a.columns, b.rows, "inner sizes");
    assert!(stride >= b.columns, "rows of the result overlap");
    for matrix in [&a, &b, &destination] {
        assert!(
            matrix.reach() <= matrix.values.len(),
            "a matrix outside its slice"
        );
    }
    // SAFETY: all offsets that the product touches are inside the slices, as just checked; `out` is borrowed mutably, so it
    // does not overlap `a` or `b`, and its rows do not overlap each other.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride as isize,
            write == Write::Add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_transposition_pick_the_right_entries() {
        // [[1, 2], [3, 4]] with a gap after each row, times its own transpose, into rows of three.
        let a = [1.0, 2.0, 9.0, 3.0, 4.0];
        let a = Matrix::new(&a, [2, 2], 3);
        let mut out = [1.0; 5];
        product(a, a.transposed(), &mut out, 3, Write::Add);
        assert_eq!(out, [6.0, 12.0, 1.0, 12.0, 26.0]);
        product(a, a.transposed(), &mut out, 3, Write::Set);
        assert_eq!(out, [5.0, 11.0, 1.0, 11.0, 25.0]);
    }
}
