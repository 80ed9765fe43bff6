//! The paths: one file per instruction set, each with the same three loops and the same results.
//!
//! [`Path`] names them, [`Kernels`] proves that one of them runs here. Unsafe code is in the files of the instruction sets only.

mod kernels;
mod portable;
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
}

impl Path {
    /// Every path, the fastest of a processor after the slower ones.
    pub const ALL: [Self; 5] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Amx,
    ];

    /// Whether this machine and this build have the path.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni | Self::Amx => x86::detect::has(self),
            #[cfg(not(target_arch = "x86_64"))]
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
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
