//! UARTs: bytes out one at a time, bytes in by interrupt. Every kind has the same four functions.

#[cfg(any(feature = "mps2-an386", feature = "mps2-an500", feature = "mps3-an547"))]
pub(crate) mod cmsdk;
#[cfg(feature = "lm3s6965evb")]
pub(crate) mod pl011;

/// Speed of the line, in baud.
pub(crate) const BAUD: u32 = 115_200;
