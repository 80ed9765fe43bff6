//! The paths: one file per instruction set, each with the same three loops and the same results.
//!
//! [`Path`] names them, [`Kernels`] proves that one of them runs here. Unsafe code is in the files of the instruction sets only.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod kernels;
mod portable;
#[cfg(armv7e)]
mod smlad;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;

pub(crate) use kernels::Kernels;
pub(crate) use portable::round_shift;

/// How the encoder computes. All paths give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Path {
    /// Plain Rust, on any processor.
    Portable,
    /// x86-64 with AVX2: 16-bit products.
    Avx2,
    /// x86-64 with AVX-VNNI: 8-bit dot products of 256 bits.
    AvxVnni,
    /// x86-64 with AVX-512 VNNI: 8-bit dot products of 512 bits.
    Avx512Vnni,
    /// x86-64 with AMX, under Linux: products of 8-bit tiles.
    Amx,
    /// 64-bit ARM: 8-bit products, added in pairs.
    Neon,
    /// 64-bit ARM with the dot products of ARMv8.2. Seen at run time with the feature `std`, otherwise taken from the build's
    /// target features.
    NeonDot,
    /// 32-bit ARM with DSP instructions, such as Cortex-M4 and M7: two 16-bit products at once.
    Smlad,
}

impl Path {
    /// Every path, the fastest of a processor after the slower ones.
    pub const ALL: [Self; 8] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Amx,
        Self::Neon,
        Self::NeonDot,
        Self::Smlad,
    ];

    /// Whether this machine and this build have the path.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni | Self::Amx => x86::detect::has(self),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => aarch64::has_dot_product(),
            #[cfg(armv7e)]
            Self::Smlad => true,
            _ => false,
        }
    }

    /// Returns the fastest path of this machine.
    #[must_use]
    pub fn best() -> Self {
        let available = Self::ALL.into_iter().rev().find(|path| path.is_available());
        available.unwrap_or(Self::Portable)
    }

    /// Returns the path's name, as in messages and benchmarks.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512Vnni => "avx512vnni",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
            Self::Smlad => "smlad",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
