//! Arm's MPS2 with image AN500: a Cortex-M7.

use crate::uart::cmsdk::Uart;

/// The core's clock, Hz.
pub(crate) const CLOCK_HZ: u32 = 25_000_000;

/// Interrupts of the UART: 0 receives, 1 sends.
pub(crate) const INTERRUPTS: core::ops::Range<u16> = 0..2;

/// UART 0.
pub(crate) const UART: Uart = Uart::at(0x4000_4000, CLOCK_HZ);

/// Nothing has to be done before the UART can be used.
pub(crate) fn prepare() {}
