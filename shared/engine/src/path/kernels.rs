//! Calling the loops of a path, once it is known to run here.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called after its detection"
)]

#[cfg(target_arch = "aarch64")]
use super::aarch64::{neon, sdot};
#[cfg(armv7e)]
use super::smlad;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::x86::amx;
#[cfg(target_arch = "x86_64")]
use super::x86::{avx2, avx512, avxvnni, ymm};
use super::{Path, portable};
use crate::job::{Convolution, Mix};

/// The loops of a path that is available: there is no other way to make one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernels(Path);

impl Kernels {
    /// Returns the loops of `path` if it is available.
    pub(crate) fn new(path: Path) -> Option<Self> {
        path.is_available().then_some(Self(path))
    }

    /// Returns the loops of the fastest path.
    pub(crate) fn best() -> Self {
        Self(Path::best())
    }

    /// Returns the path.
    pub(crate) const fn path(self) -> Path {
        self.0
    }

    /// Computes a sparse sum.
    pub(crate) fn mix(self, job: &mut Mix<'_>) {
        debug_assert!(job.fits());
        if job.len() == 0 || !job.fits() {
            return;
        }
        match self.0 {
            // SAFETY: `Path::is_available` saw the instructions, and `fits` that all memory lies inside the job's slices.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni | Path::Amx => unsafe { avx512::mix(job) },
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 | Path::AvxVnni => unsafe { ymm::mix(job) },
            #[cfg(target_arch = "aarch64")]
            Path::Neon | Path::NeonDot => unsafe { neon::mix(job) },
            _ => portable::mix(job),
        }
    }

    /// Computes a convolution.
    pub(crate) fn convolve(self, job: &mut Convolution<'_>) {
        debug_assert!(job.fits());
        if job.joints == 0 || job.rows == 0 || !job.fits() {
            return;
        }
        match self.0 {
            // SAFETY: as for `mix`.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni => unsafe { avx512::convolve(job) },
            // SAFETY: as for `mix`; a block never hands on more joints than a batch.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Path::Amx if job.joints <= crate::spec::BATCH => unsafe { amx::convolve(job) },
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { avx2::convolve(job) },
            #[cfg(target_arch = "x86_64")]
            Path::AvxVnni => unsafe { avxvnni::convolve(job) },
            #[cfg(target_arch = "aarch64")]
            Path::Neon => unsafe { neon::convolve(job) },
            #[cfg(target_arch = "aarch64")]
            Path::NeonDot => unsafe { sdot::convolve(job) },
            #[cfg(armv7e)]
            Path::Smlad => smlad::convolve(job),
            _ => portable::convolve(job),
        }
    }

    /// Sums rows of activations.
    ///
    /// # Shapes
    /// `rows [row, dim]`, `sums [dim]`
    pub(crate) fn pool(self, rows: &[u8], sums: &mut [i32]) {
        match self.0 {
            // SAFETY: `Path::is_available` saw the instructions.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni | Path::Amx => unsafe { avx512::pool(rows, sums) },
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 | Path::AvxVnni => unsafe { ymm::pool(rows, sums) },
            _ => portable::pool(rows, sums),
        }
    }
}
