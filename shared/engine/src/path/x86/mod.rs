//! Paths of x86-64.

#[cfg(target_os = "linux")]
pub(super) mod amx;
pub(super) mod avx512;
pub(super) mod detect;
