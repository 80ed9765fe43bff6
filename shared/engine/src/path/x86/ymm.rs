//! What the paths with registers of 256 bits share: sparse sums, rounding, and the walk over rows and output groups.
#![allow(
    unsafe_code,
    reason = "loads and stores through pointers that the job's bounds were checked for"
)]

use super::{LIFTED, WHOLE};
use crate::format::{GROUP, QUAD};
use crate::job::{Convolution, Mix, Rows};
use crate::path::portable;
use core::arch::x86_64::*;

/// Bytes of one register.
pub(super) const BYTES: usize = 32;

/// The lanes of one output group.
pub(super) type Lanes = [__m256i; 2];

/// Sums rows of activations, see [`portable::pool`].
#[target_feature(enable = "avx2")]
pub(in crate::path) fn pool(rows: &[u8], sums: &mut [i32]) {
    portable::pool(rows, sums);
}

/// Computes a sparse sum.
///
/// # Safety
/// `job.fits()` holds.
#[target_feature(enable = "avx2")]
pub(in crate::path) unsafe fn mix(job: &mut Mix<'_>) {
    let len = job.len();
    let shift = _mm_cvtsi32_si128(job.shift.cast_signed());
    for at in (0..len).step_by(BYTES) {
        let count = BYTES.min(len - at);
        // Lane i of sum k is for byte 4 * i + k: a 16-bit half of the lane holds the byte, the other a byte that the
        // coefficient's zero half leaves out.
        let mut sums = [_mm256_set1_epi32(job.bias); QUAD];
        for entry in job.entries {
            let low = _mm256_set1_epi32(i32::from(entry.coefficient.cast_unsigned()));
            let high = _mm256_slli_epi32::<16>(low);
            // SAFETY: `fits`: the source's `len` bytes lie inside `input`.
            let bytes = unsafe { read(job.input.as_ptr().add(entry.source * len + at), count) };
            let even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
            let odd = _mm256_srli_epi16::<8>(bytes);
            let products = [(even, low), (odd, low), (even, high), (odd, high)];
            for (sum, (bytes, coefficient)) in sums.iter_mut().zip(products) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(bytes, coefficient));
            }
        }
        let [a, b, c, d] = sums.map(|sum| _mm256_sra_epi32(sum, shift));
        let packed = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
        ));
        let mut bytes = [0_u8; BYTES];
        // SAFETY: 32 bytes.
        unsafe {
            let packed = _mm256_shuffle_epi8(packed, order);
            _mm256_storeu_si256(bytes.as_mut_ptr().cast(), packed);
        }
        job.scatter(at, bytes.get(..count).unwrap_or_default());
    }
}

/// Loads `count` bytes, at most 32, and zeros.
///
/// # Safety
/// The bytes can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn read(from: *const u8, count: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        if count == BYTES {
            return _mm256_loadu_si256(from.cast());
        }
        let mut bytes = [0_u8; BYTES];
        from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(BYTES));
        _mm256_loadu_si256(bytes.as_ptr().cast())
    }
}

/// How sums become activations, for one output group.
#[derive(Clone, Copy)]
pub(super) struct Rounding<const MODE: u8> {
    /// Multipliers of each half: of its even lanes and of its odd ones.
    main: [[__m256i; 2]; 2],
    beside: [[__m256i; 2]; 2],
    half: __m256i,
    shift: __m128i,
    lift: __m128i,
    /// The largest sum that is not clamped.
    limit: __m256i,
    /// Outputs that exist.
    width: usize,
}

impl<const MODE: u8> Rounding<MODE> {
    /// Reads the tables of one output group.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(job: &Convolution<'_>, group: usize) -> Self {
        let split = |lanes: [i32; GROUP]| {
            lanes_of(&lanes).map(|even| [even, _mm256_srli_epi64::<32>(even)])
        };
        let shift = i64::from(job.rounding.shift);
        let lift = i64::from(job.rounding.lift.unwrap_or(0));
        Self {
            main: split(job.main.multipliers(group)),
            beside: split(job.beside_multipliers(group)),
            half: _mm256_set1_epi64x(1 << (shift + lift - 1)),
            shift: _mm_cvtsi64_si128(if MODE == WHOLE {
                shift
            } else {
                shift + lift - 32
            }),
            lift: _mm_cvtsi64_si128(lift),
            limit: _mm256_set1_epi64x(if shift < 55 {
                (256 << shift) - 1
            } else {
                i64::MAX
            }),
            width: (job.outputs() - group * GROUP).min(GROUP),
        }
    }

    /// Rounds and stores one row.
    ///
    /// # Safety
    /// As many bytes as the group has outputs may be written at `to`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn store(&self, to: *mut u8, main: Lanes, beside: Option<Lanes>) {
        let [low, high] = main;
        let [low_factors, high_factors] = self.main;
        let [low_beside, high_beside] = self.beside;
        let [low, high] = [
            self.round((low, low_factors), beside.map(|[low, _]| (low, low_beside))),
            self.round(
                (high, high_factors),
                beside.map(|[_, high]| (high, high_beside)),
            ),
        ];
        let packed = _mm256_packs_epi32(low, high);
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
        let packed = _mm_packus_epi16(
            _mm256_castsi256_si128(packed),
            _mm256_extracti128_si256::<1>(packed),
        );
        // SAFETY: the caller's promise.
        unsafe {
            if self.width == GROUP {
                _mm_storeu_si128(to.cast(), packed);
            } else {
                let mut bytes = [0_u8; GROUP];
                _mm_storeu_si128(bytes.as_mut_ptr().cast(), packed);
                bytes.as_ptr().copy_to_nonoverlapping(to, self.width);
            }
        }
    }

    /// Loads one row of activations.
    ///
    /// # Safety
    /// As many bytes as the group has outputs may be read at `from`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn load(&self, from: *const u8) -> Lanes {
        let mut bytes = [0_u8; GROUP];
        // SAFETY: the caller's promise.
        let row = unsafe {
            if self.width == GROUP {
                _mm_loadu_si128(from.cast())
            } else {
                from.copy_to_nonoverlapping(bytes.as_mut_ptr(), self.width);
                _mm_loadu_si128(bytes.as_ptr().cast())
            }
        };
        [
            _mm256_cvtepu8_epi32(row),
            _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(row)),
        ]
    }

    /// Returns activations as 32-bit lanes, still to be clamped.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn round(
        &self,
        main: (__m256i, [__m256i; 2]),
        beside: Option<(__m256i, [__m256i; 2])>,
    ) -> __m256i {
        let products = |(sums, [even, odd]): (__m256i, [__m256i; 2])| {
            let sums = match MODE {
                LIFTED => _mm256_sll_epi32(sums, self.lift),
                _ => sums,
            };
            [
                _mm256_mul_epi32(sums, even),
                _mm256_mul_epi32(_mm256_srli_epi64::<32>(sums), odd),
            ]
        };
        let [mut even, mut odd] = products(main).map(|sum| _mm256_add_epi64(sum, self.half));
        if let Some(beside) = beside {
            let [more_even, more_odd] = products(beside);
            even = _mm256_add_epi64(even, more_even);
            odd = _mm256_add_epi64(odd, more_odd);
        }
        if MODE != WHOLE {
            // Only the upper halves count.
            let upper = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
            return _mm256_sra_epi32(upper, self.shift);
        }
        let [even, odd] = [even, odd].map(|sum| {
            let sum = _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_setzero_si256(), sum), sum);
            let over = _mm256_cmpgt_epi64(sum, self.limit);
            _mm256_srl_epi64(_mm256_blendv_epi8(sum, self.limit, over), self.shift)
        });
        _mm256_or_si256(even, _mm256_slli_epi64::<32>(odd))
    }
}

/// Loads the lanes of one output group.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lanes_of(lanes: &[i32; GROUP]) -> Lanes {
    let [low, high] = [0, 8].map(|first| {
        // SAFETY: 32 bytes of the 64.
        unsafe { _mm256_loadu_si256(lanes.as_ptr().add(first).cast()) }
    });
    [low, high]
}

/// Returns where a row of a joint starts.
///
/// # Safety
/// The row lies inside.
#[inline]
pub(super) unsafe fn first(rows: &Rows<'_>, joint: usize, row: usize) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe {
        rows.bytes
            .as_ptr()
            .add(joint * rows.joint + row * rows.stride)
    }
}

/// Defines `convolve` around a function `sums::<R>(product, joint, row, group) -> [Lanes; R]` of the same instruction set, where `R`
/// is each of `$rows`, from the largest to 1.
macro_rules! convolution {
    ($features:literal, $sums:ident, [$($rows:literal),+]) => {
        /// Computes a convolution.
        ///
        /// # Safety
        /// `job.fits()` holds.
        #[target_feature(enable = $features)]
        pub(in crate::path) unsafe fn convolve(job: &mut Convolution<'_>) {
            // SAFETY: the caller's promise.
            unsafe {
                match job.rounding.lift {
                    Some(0) => groups::<UPPER>(job),
                    Some(_) => groups::<LIFTED>(job),
                    None => groups::<WHOLE>(job),
                }
            }
        }

        /// # Safety
        /// `job.fits()` holds, and `MODE` belongs to its rounding.
        #[target_feature(enable = $features)]
        unsafe fn groups<const MODE: u8>(job: &mut Convolution<'_>) {
            for group in 0..job.groups() {
                let rounding = Rounding::<MODE>::new(job, group);
                for joint in 0..job.joints {
                    let mut row = 0;
                    while row < job.rows {
                        let left = job.rows - row;
                        $(
                            if left >= $rows {
                                // SAFETY: the rows of every tile exist.
                                unsafe { tile::<MODE, $rows>(job, &rounding, joint, row, group) };
                                row += $rows;
                                continue;
                            }
                        )+
                    }
                }
            }
        }

        /// Computes `R` rows.
        ///
        /// # Safety
        /// `job.fits()` holds, and the rows, joint and group exist.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn tile<const MODE: u8, const R: usize>(
            job: &mut Convolution<'_>,
            rounding: &Rounding<MODE>,
            joint: usize,
            row: usize,
            group: usize,
        ) {
            let outputs = job.outputs();
            // SAFETY: `fits` covers the rows of all operands and of `out`, and `Rounding` leaves out outputs that do not exist.
            unsafe {
                let to = joint * job.out_joint + row * outputs + group * GROUP;
                let to = job.out.as_mut_ptr().add(to);
                let main = $sums::<R>(&job.main, joint, row, group);
                match &job.beside {
                    Beside::None => {
                        for (r, main) in main.into_iter().enumerate() {
                            rounding.store(to.add(r * outputs), main, None);
                        }
                    }
                    Beside::Identity(own, _) => {
                        let from = first(own, joint, row).add(group * GROUP);
                        for (r, main) in main.into_iter().enumerate() {
                            let own = rounding.load(from.add(r * own.stride));
                            rounding.store(to.add(r * outputs), main, Some(own));
                        }
                    }
                    Beside::Product(product) => {
                        let beside = $sums::<R>(product, joint, row, group);
                        for (r, (main, beside)) in main.into_iter().zip(beside).enumerate() {
                            rounding.store(to.add(r * outputs), main, Some(beside));
                        }
                    }
                }
            }
        }
    };
}
pub(super) use convolution;
