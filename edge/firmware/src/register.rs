//! Registers of the chip's devices.

/// A register of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at an address; boards name the addresses of their manuals.
    pub(crate) const fn at(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    #[allow(unsafe_code, reason = "devices are at addresses")]
    pub(crate) fn get(self) -> u32 {
        // SAFETY: the addresses in `board` are those of device registers, aligned, and nobody else's memory.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    /// Writes it.
    #[allow(unsafe_code, reason = "devices are at addresses")]
    pub(crate) fn set(self, value: u32) {
        // SAFETY: as in `get`.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
