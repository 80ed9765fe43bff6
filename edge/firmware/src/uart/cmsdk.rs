//! The UART of Arm's Cortex-M System Design Kit (APB UART).
//!
//! # Source
//! Arm DDI 0479, "Cortex-M System Design Kit Technical Reference Manual", APB UART.

use crate::register::Register;

/// State: the transmitter is full.
const TX_FULL: u32 = 1;
/// State: a byte has arrived.
const RX_FULL: u32 = 1 << 1;
/// State: a byte arrived while the last was still there; written to clear it.
const RX_OVERRUN: u32 = 1 << 3;
/// Control: transmitter, receiver and the interrupts of both on.
const ENABLE: u32 = 1 | 1 << 1 | 1 << 2 | 1 << 3;
/// Interrupts of transmitter and receiver; written to clear them.
const INTERRUPTS: u32 = 1 | 1 << 1;

/// One UART.
#[derive(Clone, Copy)]
pub(crate) struct Uart {
    data: Register,
    state: Register,
    control: Register,
    interrupts: Register,
    divider: Register,
    clock_hz: u32,
}

impl Uart {
    /// The UART at an address, clocked with so many Hz.
    pub(crate) const fn at(base: usize, clock_hz: u32) -> Self {
        Self {
            data: Register::at(base),
            state: Register::at(base + 4),
            control: Register::at(base + 8),
            interrupts: Register::at(base + 12),
            divider: Register::at(base + 16),
            clock_hz,
        }
    }

    /// Sets the speed and begins.
    pub(crate) fn start(self) {
        self.divider.set(self.clock_hz / super::BAUD);
        self.control.set(ENABLE);
        // What came before is nobody's; an emulated UART takes nothing more until it was read.
        self.data.get();
    }

    /// Whether the line takes a byte now; an interrupt tells when it does again.
    pub(crate) fn ready(self) -> bool {
        self.state.get() & TX_FULL == 0
    }

    /// Gives the line a byte; [`Self::ready`] comes first.
    pub(crate) fn send(self, byte: u8) {
        self.data.set(byte.into());
    }

    /// The next byte that has arrived, if any.
    pub(crate) fn receive(self) -> Option<u8> {
        (self.state.get() & RX_FULL != 0).then(|| self.data.get() as u8)
    }

    /// Clears the interrupts; true when a byte was lost since the last time.
    pub(crate) fn acknowledge(self) -> bool {
        self.interrupts.set(INTERRUPTS);
        let lost = self.state.get() & RX_OVERRUN != 0;
        if lost {
            self.state.set(RX_OVERRUN);
        }
        lost
    }
}
