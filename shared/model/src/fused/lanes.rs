//! Loops over values in the widest vectors that the processor has, chosen at run time.
//!
//! Every loop does the same operations on each value on every processor: vectors never change a result.

/// Values of one step of [`zip`]: a whole vector on every processor.
pub(super) const LANES: usize = 16;

/// Runs `work` compiled for the processor at hand. What `work` calls must be inlined, or it gains nothing.
#[inline(always)]
pub(super) fn wide<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Runs a block for each index of some slices of one length; in it, names of the first list are `&mut f32`, of the
/// second `f32`. Steps of [`LANES`] values become vectors, because they are loaded, computed and only then stored.
macro_rules! zip {
    ([$($out:ident),+], [$($x:ident),*], $body:block) => {{
        let length = [$($out.len()),+][0];
        let mut at = 0;
        while at < length {
            if length - at >= $crate::fused::lanes::LANES {
                let done = zip!(@compute [$($out),+], [$($x),*], at, $crate::fused::lanes::LANES, $body);
                zip!(@store done, at, $crate::fused::lanes::LANES, [$($out),+]);
                at += $crate::fused::lanes::LANES;
            } else {
                let done = zip!(@compute [$($out),+], [$($x),*], at, 1, $body);
                zip!(@store done, at, 1, [$($out),+]);
                at += 1;
            }
        }
    }};
    (@compute [$($out:ident),+], [$($x:ident),*], $at:ident, $count:expr, $body:block) => {{
        $(let Some($x) = $x[$at..].first_chunk::<{ $count }>().copied() else { break };)*
        $(let Some(mut $out) = $out[$at..].first_chunk::<{ $count }>().copied() else { break };)+
        for lane in 0..$count {
            $(let $out = &mut $out[lane];)+
            $(let $x = $x[lane];)*
            $body
        }
        ($($out,)+)
    }};
    (@store $done:ident, $at:ident, $count:expr, [$a:ident]) => {
        $a[$at..$at + $count].copy_from_slice(&$done.0);
    };
    (@store $done:ident, $at:ident, $count:expr, [$a:ident, $b:ident]) => {
        $a[$at..$at + $count].copy_from_slice(&$done.0);
        $b[$at..$at + $count].copy_from_slice(&$done.1);
    };
    (@store $done:ident, $at:ident, $count:expr, [$a:ident, $b:ident, $c:ident]) => {
        $a[$at..$at + $count].copy_from_slice(&$done.0);
        $b[$at..$at + $count].copy_from_slice(&$done.1);
        $c[$at..$at + $count].copy_from_slice(&$done.2);
    };
}
pub(super) use zip;

/// `sum += x`.
#[inline(always)]
pub(super) fn add(sum: &mut [f32], x: &[f32]) {
    zip!([sum], [x], {
        *sum += x;
    });
}

/// `sum += weight * x`.
#[inline(always)]
pub(super) fn add_scaled(sum: &mut [f32], weight: f32, x: &[f32]) {
    zip!([sum], [x], {
        *sum += weight * x;
    });
}

/// Sum of products, in [`LANES`] partial sums.
#[inline(always)]
pub(super) fn dot(sums: &mut [f32; LANES], a: &[f32], b: &[f32]) {
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    let mut local = *sums;
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..LANES {
            local[lane] += a[lane] * b[lane];
        }
    }
    *sums = local;
    for ((sum, a), b) in sums.iter_mut().zip(rest_a).zip(rest_b) {
        *sum += a * b;
    }
}

/// `rows[row] += offset`, for rows of the offset's length.
pub(super) fn add_to_rows(rows: &mut [f32], offset: &[f32]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(offset.len()) {
                add(row, offset);
            }
        },
    );
}

/// `sum += row` for each row.
pub(super) fn sum_rows(sum: &mut [f32], rows: &[f32]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sum.len()) {
                add(sum, row);
            }
        },
    );
}
