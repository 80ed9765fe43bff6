//! `tendon`: the host's command line. One subcommand, one file in `cmd/`.
mod cmd;

use clap::Parser as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's list of options: milliseconds after which free memory goes back to the system.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Keeps freed memory for ten seconds instead of ten milliseconds: training frees and asks for the same sizes again in every
/// step, and clearing pages anew took an eighth of its time (measured, 2 cores).
#[allow(unsafe_code, reason = "the allocator's option has no safe setter")]
fn keep_freed_memory() {
    // SAFETY: sets one integer option of the allocator that this program uses; an unknown number is ignored by it.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 10_000) }
}

fn main() -> ExitCode {
    keep_freed_memory();
    match cmd::Tendon::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
