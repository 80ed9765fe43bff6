//! The encoder blob, byte by byte. Everything is little-endian and nothing is aligned.
//!
//! ```text
//! header, 48 bytes
//!   0  "TNDN-ENC"            8  u16 version          10 u16 flags: bit 0 = leave absent bodies out
//!  12  u8 joints            13  u8 bodies            14 u8 channels       15 u8 blocks
//!  16  u8 trunk blocks      17  u8 logit shift       18 u16 frames        20 u16 dim
//!  22  u16 classes          24  i8 input zero point  25 u8 x 3: zero      28 u32 blob length, bytes
//!  32  f32 input scale      36  f32 logit scale      40 u8 x 8: zero
//! block headers, 8 bytes each
//!   u16 in channels, u16 out channels, u8 time stride, u8 residual (0 none, 1 identity, 2 convolution), u16 zero
//! input table: f32 gain[joint][channel], f32 offset[joint][channel]
//! blocks, each
//!   adjacency: u8 shift, u8 x 3: zero, u8 count[joint][subset], u8 source[entries], i16 coefficient[entries],
//!              i32 bias[joint][subset], f32 scale[subset], i8 zero point[subset], u8 zero
//!   graph convolution: u8 shift, u8 x 3: zero, layer with bias[joint][out], f32 hidden scale[out]
//!   temporal convolution: u8 shift, u8 x 3: zero, layer with bias[out]
//!   residual: identity: i32 multiplier[out]; convolution: layer with bias[out]
//!   f32 out scale
//! a layer is: i8 weight[out][row], i32 bias[..], i32 multiplier[out], f32 scale[out]
//!   row = the number of inputs rounded up to a multiple of 16 (padding weights are zero):
//!   graph convolution [subset][in], temporal convolution [tap][out], residual convolution [in]
//! classifier: i16 weight[class][dim], i64 bias[class]
//! ```
//!
//! # Arithmetic
//! `rshift(v, s) = (v + 2^(s-1)) >> s` with an arithmetic shift: to the nearest, halves upwards. `clamp` is to -128..=127.
//!
//! 1. Input: `q = floor(clamp(x * gain + offset) + 128.5) - 128` in f32, one multiplication and two additions, never fused;
//!    NaN becomes the zero point.
//! 2. Adjacency, subset `k` into joint `w`: `u = clamp(rshift(sum over entries of coefficient * q + bias, shift))`.
//! 3. Graph convolution: `h = clamp(rshift((sum of weight * u + bias) * multiplier, shift) - 128)`. The -128 stands for zero, so
//!    clamping is the ReLU. All activations after the first block's input are of this kind: value = scale * (q + 128).
//! 4. Temporal convolution (9 taps, 4 frames of -128 before and after) and residual share one rounding:
//!    `q' = clamp(rshift((sum of weight * h + bias) * multiplier + r * residual multiplier, shift) - 128)`, with
//!    `r = q + 128` of the same joint and frame (identity) or `sum of weight * q + bias` (convolution).
//! 5. Pooling: `pooled = sum over frames and joints of (q + 128)`; the mean over bodies with 7 fractional bits is
//!    `m = floor((sum over bodies * 128 + n / 2) / n)`, `n = frames * joints * bodies`.
//! 6. Classifier: `logit = clamp to i32 (rshift(sum of weight * m + bias, logit shift))`; times the logit scale it is the float one.
//!
//! # Bounds
//! With at most 512 channels a sum of products stays below 9 * 512 * 128 * 128 < 2^27, biases are limited to 2^29, so
//! every 32-bit sum is below 2^30 and both products of step 4 below 2^61.

/// The first eight bytes of every encoder blob.
pub const MAGIC: [u8; 8] = *b"TNDN-ENC";
/// The version of the format and of the arithmetic described here.
pub const VERSION: u16 = 1;
/// Header length, bytes.
pub const HEADER_BYTES: usize = 48;
/// Block header length, bytes.
pub const BLOCK_HEADER_BYTES: usize = 8;
/// Subsets of the skeleton graph. Source: Yan et al. 2018, spatial configuration.
pub const SUBSETS: usize = 3;
/// Taps of the temporal convolution. Source: Yan et al. 2018.
pub const TAPS: usize = 9;
/// Frames of padding on either side of the temporal convolution.
pub const PAD: usize = TAPS / 2;
/// Rows of weights are padded to a multiple of this many inputs.
pub const ROW: usize = 16;
/// The most blocks of one encoder.
pub const MAX_BLOCKS: usize = 16;
/// The most channels of one block, and the largest feature dimension.
pub const MAX_CHANNELS: usize = 512;
/// The largest absolute bias, in units of its accumulator.
pub const MAX_BIAS: i32 = 1 << 29;
/// Fractional bits of the pooled mean.
pub const MEAN_BITS: u32 = 7;
/// Flag: bodies that are absent are left out of the mean.
pub const FLAG_BODY_MASK: u16 = 1;

/// Returns `inputs` rounded up to a multiple of [`ROW`]: the stride of one row of weights.
#[must_use]
pub const fn row(inputs: usize) -> usize {
    inputs.div_ceil(ROW) * ROW
}
