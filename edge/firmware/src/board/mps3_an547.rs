//! Arm's MPS3 with image AN547: a Cortex-M55, which starts in its secure state.

use crate::uart::cmsdk::Uart;

/// The core's clock, Hz.
pub(crate) const CLOCK_HZ: u32 = 32_000_000;

/// Interrupts of the UART: 33 receives, 34 sends.
pub(crate) const INTERRUPTS: core::ops::Range<u16> = 33..35;

/// UART 0, where secure programs see it.
pub(crate) const UART: Uart = Uart::at(0x5930_3000, CLOCK_HZ);

/// Nothing has to be done before the UART can be used.
pub(crate) fn prepare() {}
