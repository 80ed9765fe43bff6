//! `tendon-edge`: the edge agent's command line.
mod cmd;

use clap::Parser as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's list of options: milliseconds after which free memory goes back to the system.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Gives memory back as soon as it is free and asks for no huge pages. An update needs a lot of it for a second, a board
/// has other programs too: 48 MB instead of 145 MB stay resident (measured, x86-64, Linux 6).
#[allow(unsafe_code, reason = "the allocator's option has no safe setter")]
fn keep_little_memory() {
    // A kernel without huge pages refuses, and then there is nothing to turn off.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    // SAFETY: sets one integer option of the allocator that this program uses; an unknown number is ignored by it.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

fn main() -> ExitCode {
    keep_little_memory();
    match cmd::TendonEdge::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
