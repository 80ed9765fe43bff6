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
//! a layer is: i8 weight[out / 16][in / 4][16][4], i32 bias[..], i32 multiplier[out], f32 scale[out]
//!   outputs are rounded up to a multiple of 16, inputs to a multiple of 4; the weights of the padding are zero
//!   in = [subset][in] of a graph convolution, [tap][out] of a temporal one, [in] of a residual one
//! classifier: i16 weight[class][dim], i64 bias[class]
//! ```
//!
//! Sixteen outputs times four inputs are 64 bytes: one vector of AVX-512, two of AVX2, four of NEON, each lane holding four inputs of
//! one output, as the dot-product instructions want them; sixteen such vectors are one tile of AMX.
//!
//! # Arithmetic
//! `rshift(v, s) = (v + 2^(s-1)) >> s` with an arithmetic shift: to the nearest, halves upwards. `clamp` is to 0..=255.
//! Activations are `a = q + 128` with `q` the int8 numbers that go in and out: unsigned, and from the first hidden layer on
//! zero stands for zero, value = scale * a.
//!
//! 1. Input: `a = floor(clamp(x * gain + offset) + 128.5)` in f32 with the clamp to -128..=127, one multiplication and two
//!    additions, never fused; NaN becomes the zero point.
//! 2. Adjacency, subset `k` into joint `w`: `u = clamp(rshift(sum over entries of coefficient * a + bias, shift))`.
//! 3. Graph convolution: `h = clamp(rshift((sum of weight * u + bias) * multiplier, shift))`. Clamping is the ReLU.
//! 4. Temporal convolution (9 taps, 4 frames of zeros before and after) and residual share one rounding:
//!    `a' = clamp(rshift((sum of weight * h + bias) * multiplier + r * residual multiplier, shift))`, with
//!    `r = a` of the same joint and frame (identity) or `sum of weight * a + bias` (convolution).
//! 5. Pooling: `pooled = sum over frames and joints of a`; the mean over bodies with 7 fractional bits is
//!    `m = floor((sum over bodies * 128 + n / 2) / n)`, `n = frames * joints * bodies`.
//! 6. Classifier: `logit = clamp to i32 (rshift(sum of weight * m + bias, logit shift))`; times the logit scale it is the float one.
//!
//! # Bounds
//! With at most 512 channels a sum of products stays below 9 * 512 * 255 * 128 < 2^28, biases are limited to 2^29, so
//! every 32-bit sum is below 2^30, both products of step 4 below 2^61, and with its rounding term (at most 2^61) their sum is
//! below 2^63. A sum of step 2 with its rounding term stays below 33 * 255 * 2^15 + 2^29 + 2^29 < 2^31.

/// The first eight bytes of every encoder blob.
pub const MAGIC: [u8; 8] = *b"TNDN-ENC";
/// The version of the format and of the arithmetic described here.
pub const VERSION: u16 = 2;
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
/// Outputs of one group of weights.
pub const GROUP: usize = 16;
/// Inputs that stand side by side in a group of weights.
pub const QUAD: usize = 4;
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

/// Returns `inputs` rounded up to a multiple of [`QUAD`].
#[must_use]
pub const fn row(inputs: usize) -> usize {
    inputs.div_ceil(QUAD) * QUAD
}

/// Returns the length of a layer's weights, bytes.
#[must_use]
pub const fn weight_bytes(inputs: usize, outputs: usize) -> usize {
    outputs.div_ceil(GROUP) * GROUP * row(inputs)
}

/// Returns where the weight of output `out` for input number `input` stands in a layer with `inputs` inputs.
#[must_use]
pub const fn weight_at(inputs: usize, out: usize, input: usize) -> usize {
    (out / GROUP) * GROUP * row(inputs)
        + (input / QUAD) * GROUP * QUAD
        + (out % GROUP) * QUAD
        + input % QUAD
}
