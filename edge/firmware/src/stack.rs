//! How much of the stack was ever used: `cortex-m-rt` paints it at the start, and what is still painted was never touched.

use core::ptr::addr_of;

use cortex_m_rt::STACK_PAINT_VALUE;

#[allow(unsafe_code, reason = "names of the linker script")]
unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The stack's size and the most that was used of it, bytes.
#[allow(unsafe_code, reason = "the stack is memory that nobody borrows")]
pub(crate) fn usage() -> (u32, u32) {
    let top = addr_of!(_stack_start) as usize;
    let mut place = addr_of!(_stack_end) as usize;
    let size = top.saturating_sub(place);
    // SAFETY: between both names there is RAM and nothing but the stack; it is only read, a word at a time.
    while place < top && unsafe { (place as *const u32).read_volatile() } == STACK_PAINT_VALUE {
        place += 4;
    }
    (size as u32, top.saturating_sub(place) as u32)
}
