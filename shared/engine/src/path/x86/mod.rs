//! Paths of x86-64.

#[cfg(target_os = "linux")]
pub(super) mod amx;
pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod avxvnni;
pub(super) mod detect;
pub(super) mod ymm;

// How the 64-bit sums of a convolution are rounded with the vectors at hand, by the lift of its rounding.
/// The result is in the upper halves.
const UPPER: u8 = 0;
/// It is there when the 32-bit sums are shifted up.
const LIFTED: u8 = 1;
/// It may be anywhere.
const WHOLE: u8 = 2;
