//! Printing results and progress.
#![allow(clippy::print_stdout, reason = "commands print")]

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, Write as _};

/// Prints text and a line end. A reader that has gone away (`tendon inspect x | head`) is no error: it has seen enough.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A progress bar with an estimate of the time left.
pub(crate) fn bar(length: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {prefix}, {eta} left {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_prefix(what.to_owned())
}
