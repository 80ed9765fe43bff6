//! Paths of x86-64.

pub(super) mod avx512;
pub(super) mod detect;
