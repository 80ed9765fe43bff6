//! TI's evaluation board of the LM3S6965: a Cortex-M3.

use crate::register::Register;
use crate::uart::pl011::Uart;

/// The core's clock after a reset, from the internal oscillator, Hz.
pub(crate) const CLOCK_HZ: u32 = 12_000_000;

/// Interrupt of UART 0.
pub(crate) const INTERRUPTS: core::ops::Range<u16> = 5..6;

/// Run mode clock gating, UARTs and timers: bit 0 is UART 0.
const RCGC1: Register = Register::at(0x400F_E104);
/// Run mode clock gating, ports: bit 0 is port A.
const RCGC2: Register = Register::at(0x400F_E108);
/// Port A, alternate functions: its first two pins are UART 0's.
const PORT_A_AFSEL: Register = Register::at(0x4000_4420);
/// Port A, digital pins.
const PORT_A_DEN: Register = Register::at(0x4000_451C);

/// UART 0.
pub(crate) const UART: Uart = Uart::at(0x4000_C000, CLOCK_HZ);

/// Clocks the UART and joins it to its pins.
pub(crate) fn prepare() {
    RCGC1.set(RCGC1.get() | 1);
    RCGC2.set(RCGC2.get() | 1);
    // The clocks need three cycles.
    RCGC2.get();
    PORT_A_AFSEL.set(PORT_A_AFSEL.get() | 0b11);
    PORT_A_DEN.set(PORT_A_DEN.get() | 0b11);
}
