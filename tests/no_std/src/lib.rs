//! A static library without std and without an allocator that uses everything a device needs.
//!
//! It is built, never run. With std in the graph of dependencies the build fails with a duplicate `panic_impl`; with
//! alloc, with "no global memory allocator".
#![no_std]

mod engine;
mod geometry;
mod wire;

/// A device has nowhere to unwind to.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Calls everything, so that nothing is left out of the library.
pub fn touch() -> bool {
    geometry::touch() && wire::touch() && engine::touch()
}
