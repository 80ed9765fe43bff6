//! NEON, which every 64-bit ARM has: 8-bit products, added in pairs to 32-bit sums.
//!
//! Both operands of a product are signed here, so activations are taken as `a - 128` and the sums of the weights make up for it.
#![allow(
    unsafe_code,
    reason = "loads and stores through pointers that the job's bounds were checked for"
)]

use crate::format::{GROUP, QUAD};
use crate::job::{Beside, Convolution, Mix, Product, Rows};
use core::arch::aarch64::*;

/// Bytes of one register.
const BYTES: usize = 16;
/// Rows that share a pass over the weights, at most.
const ROWS: usize = 4;

/// The lanes of one output group.
pub(super) type Lanes = [int32x4_t; 4];

/// Computes a sparse sum.
///
/// # Safety
/// `job.fits()` holds.
#[target_feature(enable = "neon")]
pub(in crate::path) unsafe fn mix(job: &mut Mix<'_>) {
    let len = job.len();
    let shift = vdupq_n_s32(-job.shift.cast_signed());
    for at in (0..len).step_by(BYTES) {
        let count = BYTES.min(len - at);
        let mut sums = [vdupq_n_s32(job.bias); QUAD];
        for entry in job.entries {
            // SAFETY: `fits`: the source's `len` bytes lie inside `input`.
            let bytes = unsafe { read(job.input.as_ptr().add(entry.source * len + at), count) };
            let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
            let high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
            let [a, b, c, d] = sums;
            sums = [
                vmlal_n_s16(a, vget_low_s16(low), entry.coefficient),
                vmlal_high_n_s16(b, low, entry.coefficient),
                vmlal_n_s16(c, vget_low_s16(high), entry.coefficient),
                vmlal_high_n_s16(d, high, entry.coefficient),
            ];
        }
        let packed = pack(sums.map(|sum| vshlq_s32(sum, shift)));
        let mut bytes = [0_u8; BYTES];
        // SAFETY: 16 bytes.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), packed) };
        job.scatter(at, bytes.get(..count).unwrap_or_default());
    }
}

/// Clamps and packs lanes.
#[inline]
#[target_feature(enable = "neon")]
fn pack([a, b, c, d]: Lanes) -> uint8x16_t {
    let low = vcombine_u16(vqmovun_s32(a), vqmovun_s32(b));
    let high = vcombine_u16(vqmovun_s32(c), vqmovun_s32(d));
    vcombine_u8(vqmovn_u16(low), vqmovn_u16(high))
}

/// Loads `count` bytes, at most 16, and zeros.
///
/// # Safety
/// The bytes can be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn read(from: *const u8, count: usize) -> uint8x16_t {
    // SAFETY: the caller's promise.
    unsafe {
        if count == BYTES {
            return vld1q_u8(from);
        }
        let mut bytes = [0_u8; BYTES];
        from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(BYTES));
        vld1q_u8(bytes.as_ptr())
    }
}

/// How sums become activations, for one output group.
struct Rounding {
    main: Lanes,
    beside: Lanes,
    /// Minus the shift.
    shift: int64x2_t,
    /// Outputs that exist.
    width: usize,
}

impl Rounding {
    /// Reads the tables of one output group.
    #[target_feature(enable = "neon")]
    fn new(job: &Convolution<'_>, group: usize) -> Self {
        Self {
            main: lanes_of(&job.main.multipliers(group)),
            beside: lanes_of(&job.beside_multipliers(group)),
            shift: vdupq_n_s64(-i64::from(job.rounding.shift)),
            width: (job.outputs() - group * GROUP).min(GROUP),
        }
    }

    /// Rounds and stores one row.
    ///
    /// # Safety
    /// As many bytes as the group has outputs may be written at `to`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store(&self, to: *mut u8, main: Lanes, beside: Option<Lanes>) {
        let [mut a, mut b, mut c, mut d] = products(main, self.main);
        if let Some(beside) = beside {
            let [e, f, g, h] = products(beside, self.beside);
            (a, b, c, d) = (add(a, e), add(b, f), add(c, g), add(d, h));
        }
        let packed = pack([a, b, c, d].map(|[low, high]| {
            let [low, high] = [low, high].map(|sum| vqmovn_s64(vrshlq_s64(sum, self.shift)));
            vcombine_s32(low, high)
        }));
        // SAFETY: the caller's promise.
        unsafe {
            if self.width == GROUP {
                vst1q_u8(to, packed);
            } else {
                let mut bytes = [0_u8; GROUP];
                vst1q_u8(bytes.as_mut_ptr(), packed);
                bytes.as_ptr().copy_to_nonoverlapping(to, self.width);
            }
        }
    }

    /// Loads one row of activations.
    ///
    /// # Safety
    /// As many bytes as the group has outputs may be read at `from`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(&self, from: *const u8) -> Lanes {
        // SAFETY: the caller's promise.
        let bytes = unsafe { read(from, self.width) };
        let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
        [
            vmovl_u16(vget_low_u16(low)),
            vmovl_high_u16(low),
            vmovl_u16(vget_low_u16(high)),
            vmovl_high_u16(high),
        ]
        .map(|lanes| vreinterpretq_s32_u32(lanes))
    }
}

/// Returns 64-bit products of lanes.
#[inline]
#[target_feature(enable = "neon")]
fn products(sums: Lanes, multipliers: Lanes) -> [[int64x2_t; 2]; 4] {
    let [a, b, c, d] = sums;
    let [e, f, g, h] = multipliers;
    [(a, e), (b, f), (c, g), (d, h)].map(|(sum, multiplier)| {
        [
            vmull_s32(vget_low_s32(sum), vget_low_s32(multiplier)),
            vmull_high_s32(sum, multiplier),
        ]
    })
}

#[inline]
#[target_feature(enable = "neon")]
fn add([a, b]: [int64x2_t; 2], [c, d]: [int64x2_t; 2]) -> [int64x2_t; 2] {
    [vaddq_s64(a, c), vaddq_s64(b, d)]
}

/// Loads the lanes of one output group.
#[inline]
#[target_feature(enable = "neon")]
fn lanes_of(lanes: &[i32; GROUP]) -> Lanes {
    // SAFETY: four times 16 bytes.
    [0, 4, 8, 12].map(|first| unsafe { vld1q_s32(lanes.as_ptr().add(first)) })
}

/// How dot products of signed activations are computed.
pub(super) trait Dot {
    /// Returns `start` plus dot products of the weights with `a - 128`, for `R` rows that begin at `from`, `stride` bytes apart.
    ///
    /// # Safety
    /// The processor has the instructions; a row has four bytes for each of the weights' quads.
    unsafe fn sums<const R: usize>(
        start: Lanes,
        from: *const u8,
        stride: usize,
        weights: &[[u8; GROUP * QUAD]],
    ) -> [Lanes; R];
}

/// Products of eight weights, added in pairs.
struct Pairs;

impl Dot for Pairs {
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

/// See [`Dot::sums`].
///
/// # Safety
/// As [`Dot::sums`].
#[target_feature(enable = "neon")]
unsafe fn sums<const R: usize>(
    start: Lanes,
    mut from: *const u8,
    stride: usize,
    weights: &[[u8; GROUP * QUAD]],
) -> [Lanes; R] {
    // Two neighbouring lanes belong to one output.
    let mut pairs = [[vdupq_n_s32(0); 8]; R];
    for quads in weights {
        // SAFETY: the caller's promise, and 64 bytes of weights.
        unsafe {
            let quads = [0, 16, 32, 48].map(|first| vld1q_s8(quads.as_ptr().add(first).cast()));
            for (r, sums) in pairs.iter_mut().enumerate() {
                let quad = from.add(r * stride).cast::<u32>().read_unaligned();
                let quad = vreinterpretq_s8_u32(vdupq_n_u32(quad ^ 0x8080_8080));
                for (sums, weights) in sums.as_chunks_mut::<2>().0.iter_mut().zip(quads) {
                    let [low, high] = sums;
                    let products = vmull_s8(vget_low_s8(quad), vget_low_s8(weights));
                    *low = vpadalq_s16(*low, products);
                    *high = vpadalq_s16(*high, vmull_high_s8(quad, weights));
                }
            }
            from = from.add(QUAD);
        }
    }
    pairs.map(|[a, b, c, d, e, f, g, h]| {
        let [i, j, k, l] = start;
        [
            vaddq_s32(i, vpaddq_s32(a, b)),
            vaddq_s32(j, vpaddq_s32(c, d)),
            vaddq_s32(k, vpaddq_s32(e, f)),
            vaddq_s32(l, vpaddq_s32(g, h)),
        ]
    })
}

/// Computes a convolution.
///
/// # Safety
/// `job.fits()` holds.
#[target_feature(enable = "neon")]
pub(in crate::path) unsafe fn convolve(job: &mut Convolution<'_>) {
    // SAFETY: the caller's promise; NEON is part of the target.
    unsafe { convolve_with::<Pairs>(job) };
}

/// Computes a convolution with the dot products of `D`.
///
/// # Safety
/// `job.fits()` holds, and the processor has the instructions of `D`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn convolve_with<D: Dot>(job: &mut Convolution<'_>) {
    for group in 0..job.groups() {
        let rounding = Rounding::new(job, group);
        let main = Operand::new(&job.main, group);
        let beside = match &job.beside {
            Beside::Product(product) => Some(Operand::new(product, group)),
            Beside::None | Beside::Identity(..) => None,
        };
        for joint in 0..job.joints {
            let mut row = 0;
            while row < job.rows {
                let tile = Tile {
                    main: &main,
                    beside: beside.as_ref(),
                    rounding: &rounding,
                    joint,
                    row,
                    group,
                };
                // SAFETY: the caller's promise; the rows exist.
                row += unsafe {
                    match job.rows - row {
                        ROWS.. => {
                            tile.run::<D, ROWS>(job.outputs(), &job.beside, job.out, job.out_joint)
                        }
                        2.. => tile.run::<D, 2>(job.outputs(), &job.beside, job.out, job.out_joint),
                        _ => tile.run::<D, 1>(job.outputs(), &job.beside, job.out, job.out_joint),
                    }
                };
            }
        }
    }
}

/// A product's weights for one group, and what makes up for signed activations.
struct Operand<'j> {
    rows: Rows<'j>,
    product: Product<'j>,
    weights: &'j [[u8; GROUP * QUAD]],
    /// 128 times the sum of each output's weights.
    shift: [i32; GROUP],
}

impl<'j> Operand<'j> {
    #[target_feature(enable = "neon")]
    fn new(product: &Product<'j>, group: usize) -> Self {
        let weights = product.layer.group(group);
        let mut sums = [vdupq_n_s32(0); 4];
        for quads in weights {
            for (sum, first) in sums.iter_mut().zip([0, 16, 32, 48]) {
                // SAFETY: 64 bytes.
                let weights = unsafe { vld1q_s8(quads.as_ptr().add(first).cast()) };
                *sum = vpadalq_s16(*sum, vpaddlq_s8(weights));
            }
        }
        let mut shift = [0; GROUP];
        for (to, sum) in shift.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
            // SAFETY: 16 bytes.
            unsafe { vst1q_s32(to.as_mut_ptr(), vshlq_n_s32::<7>(sum)) };
        }
        Self {
            rows: product.rows,
            product: *product,
            weights,
            shift,
        }
    }

    /// # Safety
    /// The rows lie inside, and the processor has the instructions of `D`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn sums<D: Dot, const R: usize>(
        &self,
        joint: usize,
        row: usize,
        group: usize,
    ) -> [Lanes; R] {
        let mut start = self.product.biases(joint, group);
        for (start, shift) in start.iter_mut().zip(self.shift) {
            *start = start.wrapping_add(shift);
        }
        // SAFETY: the caller's promise.
        unsafe {
            let from = first(&self.rows, joint, row);
            D::sums::<R>(lanes_of(&start), from, self.rows.stride, self.weights)
        }
    }
}

/// Some rows of one output group at one joint.
struct Tile<'t> {
    main: &'t Operand<'t>,
    beside: Option<&'t Operand<'t>>,
    rounding: &'t Rounding,
    joint: usize,
    row: usize,
    group: usize,
}

impl Tile<'_> {
    /// Computes `R` rows and returns their number.
    ///
    /// # Safety
    /// The job fits, the rows, joint and group exist, and the processor has the instructions of `D`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn run<D: Dot, const R: usize>(
        &self,
        outputs: usize,
        beside: &Beside<'_>,
        out: &mut [u8],
        out_joint: usize,
    ) -> usize {
        let Self {
            joint, row, group, ..
        } = *self;
        // SAFETY: `fits` covers the rows of all operands and of `out`, and `Rounding` leaves out outputs that do not exist.
        unsafe {
            let to = joint * out_joint + row * outputs + group * GROUP;
            let to = out.as_mut_ptr().add(to);
            let main = self.main.sums::<D, R>(joint, row, group);
            if let Beside::Identity(own, _) = beside {
                let from = first(own, joint, row).add(group * GROUP);
                for (r, main) in main.into_iter().enumerate() {
                    let own = self.rounding.load(from.add(r * own.stride));
                    self.rounding.store(to.add(r * outputs), main, Some(own));
                }
            } else if let Some(beside) = self.beside {
                let beside = beside.sums::<D, R>(joint, row, group);
                for (r, (main, beside)) in main.into_iter().zip(beside).enumerate() {
                    self.rounding.store(to.add(r * outputs), main, Some(beside));
                }
            } else {
                for (r, main) in main.into_iter().enumerate() {
                    self.rounding.store(to.add(r * outputs), main, None);
                }
            }
        }
        R
    }
}

/// Returns where a row of a joint starts.
///
/// # Safety
/// The row lies inside.
#[inline]
unsafe fn first(rows: &Rows<'_>, joint: usize, row: usize) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe {
        rows.bytes
            .as_ptr()
            .add(joint * rows.joint + row * rows.stride)
    }
}
