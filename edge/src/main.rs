//! `tendon-edge`: the edge agent's command line.
mod cmd;

use clap::Parser as _;
use std::process::ExitCode;

/// Blocks from this size on go back to the system as soon as they are free, bytes.
const LARGE: std::ffi::c_int = 1 << 20;

/// Keeps the memory of an update small: a board has other programs too.
///
/// One arena of the system's allocator, and free memory goes back. Measured while the default tail is updated: 64 MB at most;
/// mimalloc took twice as much, or spent 30 % of the time in the kernel when told to give memory back at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator's parameters have no safe setter")]
fn keep_little_memory() {
    let parameters = [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, LARGE),
        (libc::M_TRIM_THRESHOLD, LARGE),
    ];
    for (parameter, value) in parameters {
        // SAFETY: no other thread runs yet, and an allocator that does not know a parameter only says so.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Other allocators have no such parameters.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_little_memory() {}

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
