//! Arm's PrimeCell UART, as in the LM3S6965.
//!
//! # Source
//! Arm DDI 0183, "PrimeCell UART (PL011) Technical Reference Manual"; the LM3S6965's data sheet, chapter 12.

use crate::register::Register;

/// Flags: the receiver is empty.
const RX_EMPTY: u32 = 1 << 4;
/// Flags: the transmitter is full.
const TX_FULL: u32 = 1 << 5;
/// Line control: eight bits, queues on.
const EIGHT_BITS_QUEUES: u32 = 0b11 << 5 | 1 << 4;
/// Control: UART, transmitter and receiver on.
const ENABLE: u32 = 1 | 1 << 8 | 1 << 9;
/// Interrupts: bytes have arrived, the line takes more, bytes have waited, bytes were lost.
const RECEIVED: u32 = 1 << 4;
const SENT: u32 = 1 << 5;
const WAITED: u32 = 1 << 6;
const LOST: u32 = 1 << 10;

/// One UART.
#[derive(Clone, Copy)]
pub(crate) struct Uart {
    base: usize,
    clock_hz: u32,
}

impl Uart {
    /// The UART at an address, clocked with so many Hz.
    pub(crate) const fn at(base: usize, clock_hz: u32) -> Self {
        Self { base, clock_hz }
    }

    const fn register(self, offset: usize) -> Register {
        Register::at(self.base + offset)
    }

    /// Sets the speed and begins.
    pub(crate) fn start(self) {
        let (data, whole, part) = (self.register(0), self.register(0x24), self.register(0x28));
        let (line, control, mask) = (
            self.register(0x2C),
            self.register(0x30),
            self.register(0x38),
        );
        control.set(0);
        // Clock / (16 * baud) in 64ths, rounded.
        let divider = (self.clock_hz * 8 / super::BAUD).div_ceil(2);
        whole.set(divider / 64);
        part.set(divider % 64);
        line.set(EIGHT_BITS_QUEUES);
        control.set(ENABLE);
        mask.set(RECEIVED | SENT | WAITED | LOST);
        // What came before is nobody's; an emulated UART takes nothing more until it was read.
        data.get();
    }

    /// Whether the line takes a byte now; an interrupt tells when it does again.
    pub(crate) fn ready(self) -> bool {
        self.register(0x18).get() & TX_FULL == 0
    }

    /// Gives the line a byte; [`Self::ready`] comes first.
    pub(crate) fn send(self, byte: u8) {
        self.register(0).set(byte.into());
    }

    /// The next byte that has arrived, if any.
    pub(crate) fn receive(self) -> Option<u8> {
        let empty = self.register(0x18).get() & RX_EMPTY != 0;
        (!empty).then(|| self.register(0).get() as u8)
    }

    /// Clears the interrupts; true when a byte was lost since the last time.
    pub(crate) fn acknowledge(self) -> bool {
        let lost = self.register(0x3C).get() & LOST != 0;
        self.register(0x44).set(RECEIVED | SENT | WAITED | LOST);
        lost
    }
}
