//! AVX-512 with VNNI: sixteen outputs in a register, four products of each in one instruction.
//!
//! Activations are the unsigned operand of `vpdpbusd`, weights the signed one; the sums never saturate.
#![allow(
    unsafe_code,
    reason = "loads and stores through pointers that the job's bounds were checked for"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "arrays of registers, whose lengths are the loops' constants"
)]

use super::{LIFTED, UPPER, WHOLE};
use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Mix, Product, Rows};
use crate::path::portable;
use core::arch::x86_64::*;

/// Bytes of one register.
const BYTES: usize = 64;

/// Sums rows of activations, see [`portable::pool`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(in crate::path) fn pool(rows: &[u8], sums: &mut [i32]) {
    portable::pool(rows, sums);
}

/// Computes a sparse sum.
///
/// # Safety
/// `job.fits()` holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::path) unsafe fn mix(job: &mut Mix<'_>) {
    let len = job.len();
    let shift = _mm_cvtsi32_si128(job.shift.cast_signed());
    let mut to = Position::default();
    for at in (0..len).step_by(BYTES) {
        let left = len - at;
        let mask = if left < BYTES {
            (1_u64 << left) - 1
        } else {
            u64::MAX
        };
        // Lane i of sum k is for byte 4 * i + k: a 16-bit half of the lane holds the byte, the other a byte that the
        // coefficient's zero half leaves out.
        let mut sums = [_mm512_set1_epi32(job.bias); QUAD];
        for entry in job.entries {
            let low = _mm512_set1_epi32(i32::from(entry.coefficient.cast_unsigned()));
            let high = _mm512_slli_epi32::<16>(low);
            // SAFETY: `fits`: the source's `len` bytes lie inside `input`, and the mask leaves out what lies beyond.
            let bytes = unsafe {
                let from = job.input.as_ptr().add(entry.source * len + at);
                _mm512_maskz_loadu_epi8(mask, from.cast())
            };
            let even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xff));
            let odd = _mm512_srli_epi16::<8>(bytes);
            sums[0] = _mm512_dpwssd_epi32(sums[0], even, low);
            sums[1] = _mm512_dpwssd_epi32(sums[1], odd, low);
            sums[2] = _mm512_dpwssd_epi32(sums[2], even, high);
            sums[3] = _mm512_dpwssd_epi32(sums[3], odd, high);
        }
        let [a, b, c, d] = sums.map(|sum| _mm512_sra_epi32(sum, shift));
        let packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        let order = _mm512_broadcast_i32x4(_mm_setr_epi8(
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
        ));
        let packed = _mm512_shuffle_epi8(packed, order);
        if left >= BYTES && job.channels.is_multiple_of(PART) {
            // SAFETY: `fits` holds, and 64 activations are left.
            unsafe { store_mixed(job, &mut to, packed) };
            continue;
        }
        let mut bytes = [0_u8; BYTES];
        // SAFETY: 64 bytes.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), packed) };
        job.scatter(at, &bytes[..left.min(BYTES)]);
    }
}

/// Mixed activations that are stored at a time.
const PART: usize = 16;

/// A place in the rows that a sparse sum writes.
#[derive(Clone, Copy, Default)]
struct Position {
    channel: usize,
    /// Offset in `out`.
    offset: usize,
}

/// Stores 64 mixed activations, which stand without gaps, into the rows of `out`.
///
/// # Safety
/// `job.fits()` holds, the number of channels is a multiple of [`PART`], and at least 64 activations follow `to`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn store_mixed(job: &mut Mix<'_>, to: &mut Position, packed: __m512i) {
    let parts = [
        _mm512_castsi512_si128(packed),
        _mm512_extracti32x4_epi32::<1>(packed),
        _mm512_extracti32x4_epi32::<2>(packed),
        _mm512_extracti32x4_epi32::<3>(packed),
    ];
    for part in parts {
        // SAFETY: `channel` and the number of channels are multiples of `PART`, so the part lies inside its row.
        unsafe { _mm_storeu_si128(job.out.as_mut_ptr().add(to.offset).cast(), part) };
        to.channel += PART;
        to.offset += PART;
        if to.channel == job.channels {
            to.channel = 0;
            to.offset += job.stride - job.channels;
        }
    }
}

/// Computes a convolution.
///
/// # Safety
/// `job.fits()` holds.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::path) unsafe fn convolve(job: &mut Convolution<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.rounding.lift {
            Some(0) => panels::<UPPER>(job),
            Some(_) => panels::<LIFTED>(job),
            None => panels::<WHOLE>(job),
        }
    }
}

/// Goes through the output groups, two at a time.
///
/// # Safety
/// `job.fits()` holds, and `MODE` belongs to its rounding.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn panels<const MODE: u8>(job: &mut Convolution<'_>) {
    let mut group = 0;
    while group < job.groups() {
        let pair = group + 2 <= job.groups();
        for joint in 0..job.joints {
            // SAFETY: the caller's promise; both groups exist.
            unsafe {
                if pair {
                    let panel = Panel::<2, MODE>::new(job, group, joint);
                    panel.rows::<8>(job);
                } else {
                    let panel = Panel::<1, MODE>::new(job, group, joint);
                    panel.rows::<16>(job);
                }
            }
        }
        group += if pair { 2 } else { 1 };
    }
}

/// How sums become activations.
#[derive(Clone, Copy)]
pub(super) struct Rounding<const MODE: u8> {
    /// Multipliers of the even lanes and of the odd ones.
    main: [__m512i; 2],
    beside: [__m512i; 2],
    half: __m512i,
    shift: __m128i,
    lift: __m128i,
    /// The largest sum that is not clamped.
    limit: __m512i,
    /// Outputs that exist.
    mask: __mmask16,
}

impl<const MODE: u8> Rounding<MODE> {
    /// Reads the tables of one output group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn new(job: &Convolution<'_>, group: usize) -> Self {
        let split = |lanes: [i32; GROUP]| {
            let even = vector(&lanes);
            [even, _mm512_srli_epi64::<32>(even)]
        };
        let width = (job.outputs() - group * GROUP).min(GROUP);
        let shift = i64::from(job.rounding.shift);
        let lift = i64::from(job.rounding.lift.unwrap_or(0));
        Self {
            main: split(job.main.multipliers(group)),
            beside: split(job.beside_multipliers(group)),
            half: _mm512_set1_epi64(1 << (shift + lift - 1)),
            shift: _mm_cvtsi64_si128(if MODE == WHOLE {
                shift
            } else {
                shift + lift - 32
            }),
            lift: _mm_cvtsi64_si128(lift),
            limit: _mm512_set1_epi64(if shift < 55 {
                (256 << shift) - 1
            } else {
                i64::MAX
            }),
            mask: ((1_u32 << width) - 1) as __mmask16,
        }
    }

    /// Returns activations as 32-bit lanes, still to be clamped.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn round(&self, main: __m512i, beside: Option<__m512i>) -> __m512i {
        let lift = |sums| match MODE {
            LIFTED => _mm512_sll_epi32(sums, self.lift),
            _ => sums,
        };
        let [mut even, mut odd] = products(lift(main), self.main);
        even = _mm512_add_epi64(even, self.half);
        odd = _mm512_add_epi64(odd, self.half);
        if let Some(beside) = beside {
            let [more_even, more_odd] = products(lift(beside), self.beside);
            even = _mm512_add_epi64(even, more_even);
            odd = _mm512_add_epi64(odd, more_odd);
        }
        if MODE != WHOLE {
            // Only the upper halves count.
            let upper = _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even);
            return _mm512_sra_epi32(upper, self.shift);
        }
        let [even, odd] = [even, odd].map(|sum| {
            let sum = _mm512_max_epi64(sum, _mm512_setzero_si512());
            _mm512_srl_epi64(_mm512_min_epi64(sum, self.limit), self.shift)
        });
        _mm512_or_si512(even, _mm512_slli_epi64::<32>(odd))
    }

    /// Clamps and stores rows of one group; `rounded` returns the lanes of a row.
    ///
    /// # Safety
    /// In each of `rows` rows, `stride` bytes apart, as many bytes as the group has outputs may be written.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) unsafe fn store(
        &self,
        to: *mut u8,
        stride: usize,
        rows: usize,
        rounded: impl Fn(usize) -> __m512i,
    ) {
        let fours = if self.mask == u16::MAX {
            rows / 4 * 4
        } else {
            0
        };
        for row in (0..fours).step_by(4) {
            let lanes = [
                rounded(row),
                rounded(row + 1),
                rounded(row + 2),
                rounded(row + 3),
            ];
            let parts = pack(lanes);
            for (next, part) in parts.into_iter().enumerate() {
                // SAFETY: the caller's promise; the group has 16 outputs.
                unsafe { _mm_storeu_si128(to.add((row + next) * stride).cast(), part) };
            }
        }
        for row in fours..rows {
            let positive = _mm512_max_epi32(rounded(row), _mm512_setzero_si512());
            // SAFETY: the caller's promise; the mask leaves out the rest.
            unsafe {
                let to = to.add(row * stride).cast();
                _mm512_mask_cvtusepi32_storeu_epi8(to, self.mask, positive);
            }
        }
    }

    /// Loads one row of one group of activations.
    ///
    /// # Safety
    /// As many bytes as the group has outputs may be read at `from`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) unsafe fn load(&self, from: *const u8) -> __m512i {
        // SAFETY: the caller's promise; the mask leaves out the rest.
        unsafe { _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(self.mask, from.cast())) }
    }
}

/// Clamps four rows of lanes to bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn pack([a, b, c, d]: [__m512i; 4]) -> [__m128i; 4] {
    // Each quarter of the result holds four bytes of every row.
    let packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let packed = _mm512_permutexvar_epi32(order, packed);
    [
        _mm512_castsi512_si128(packed),
        _mm512_extracti32x4_epi32::<1>(packed),
        _mm512_extracti32x4_epi32::<2>(packed),
        _mm512_extracti32x4_epi32::<3>(packed),
    ]
}

/// Returns the 64-bit products of the even lanes and of the odd ones.
#[inline]
#[target_feature(enable = "avx512f")]
fn products(sums: __m512i, [even, odd]: [__m512i; 2]) -> [__m512i; 2] {
    [
        _mm512_mul_epi32(sums, even),
        _mm512_mul_epi32(_mm512_srli_epi64::<32>(sums), odd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn vector(lanes: &[i32; GROUP]) -> __m512i {
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

/// `N` output groups at one joint.
struct Panel<const N: usize, const MODE: u8> {
    group: usize,
    joint: usize,
    rounding: [Rounding<MODE>; N],
}

impl<const N: usize, const MODE: u8> Panel<N, MODE> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn new(job: &Convolution<'_>, group: usize, joint: usize) -> Self {
        let mut rounding = [Rounding::new(job, group); N];
        for (next, rounding) in rounding.iter_mut().enumerate().skip(1) {
            *rounding = Rounding::new(job, group + next);
        }
        Self {
            group,
            joint,
            rounding,
        }
    }

    /// Computes all rows, `R` at a time; the last ones twice when `R` does not divide them.
    ///
    /// # Safety
    /// `job.fits()` holds and the panel's groups and joint exist.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn rows<const R: usize>(&self, job: &mut Convolution<'_>) {
        // SAFETY: the rows of each tile exist; otherwise the caller's promise.
        unsafe {
            if let Some(last) = job.rows.checked_sub(R) {
                for row in (0..job.rows).step_by(R) {
                    self.tile::<R>(job, row.min(last));
                }
            } else {
                for row in 0..job.rows {
                    self.tile::<1>(job, row);
                }
            }
        }
    }

    /// Computes `R` rows.
    ///
    /// # Safety
    /// `job.fits()` holds, and the panel's groups and joint and the rows exist.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn tile<const R: usize>(&self, job: &mut Convolution<'_>, row: usize) {
        let outputs = job.outputs();
        // SAFETY: `fits` covers the rows of all operands and of `out`, and the masks of `Rounding` the outputs of a group.
        unsafe {
            let out = job
                .out
                .as_mut_ptr()
                .add(self.joint * job.out_joint + row * outputs + self.group * GROUP);
            let main = self.sums::<R>(&job.main, row);
            let mut beside = [[_mm512_setzero_si512(); N]; R];
            if let Beside::Product(product) = &job.beside {
                beside = self.sums::<R>(product, row);
            }
            for (n, rounding) in self.rounding.iter().enumerate() {
                let to = out.add(n * GROUP);
                match &job.beside {
                    Beside::None => {
                        rounding.store(to, outputs, R, |r| rounding.round(main[r][n], None));
                    }
                    Beside::Identity(own, _) => {
                        let from = self.first(own, row).add((self.group + n) * GROUP);
                        rounding.store(to, outputs, R, |r| {
                            let own = rounding.load(from.add(r * own.stride));
                            rounding.round(main[r][n], Some(own))
                        });
                    }
                    Beside::Product(_) => {
                        rounding.store(to, outputs, R, |r| {
                            rounding.round(main[r][n], Some(beside[r][n]))
                        });
                    }
                }
            }
        }
    }

    /// Returns where a row of the panel's joint starts.
    ///
    /// # Safety
    /// The row lies inside.
    #[inline]
    unsafe fn first(&self, rows: &Rows<'_>, row: usize) -> *const u8 {
        // SAFETY: the caller's promise.
        unsafe {
            rows.bytes
                .as_ptr()
                .add(self.joint * rows.joint + row * rows.stride)
        }
    }

    /// Returns biases plus dot products of `R` rows.
    ///
    /// # Safety
    /// The rows lie inside, and the groups exist.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn sums<const R: usize>(&self, product: &Product<'_>, row: usize) -> [[__m512i; N]; R] {
        let mut bias = [_mm512_setzero_si512(); N];
        for (n, bias) in bias.iter_mut().enumerate() {
            *bias = vector(&product.biases(self.joint, self.group + n));
        }
        let mut sums = [bias; R];
        let stride = product.rows.stride;
        let depth = product.layer.row() / QUAD;
        // SAFETY: a group has `depth` times 64 bytes of weights; a row has `depth` times 4 bytes of activations.
        unsafe {
            let mut from = self.first(&product.rows, row);
            let mut weights = product
                .layer
                .weights
                .as_ptr()
                .add(self.group * depth * BYTES);
            for _ in 0..depth {
                let mut vectors = [_mm512_setzero_si512(); N];
                for (n, vector) in vectors.iter_mut().enumerate() {
                    *vector = _mm512_loadu_si512(weights.add(n * depth * BYTES).cast());
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let quad = from.add(r * stride).cast::<i32>().read_unaligned();
                    let quad = _mm512_set1_epi32(quad);
                    for (sum, weights) in sums.iter_mut().zip(vectors) {
                        *sum = _mm512_dpbusd_epi32(*sum, quad, weights);
                    }
                }
                from = from.add(QUAD);
                weights = weights.add(BYTES);
            }
        }
        sums
    }
}
