//! `tendon repo status`: versions, ends, keys and missing signatures.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use std::path::PathBuf;
use tendon_host::repo::folder::Repo;
use tendon_host::repo::status::status;

/// Show what is published until when, whose keys sign, what is offered, and which signatures are missing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
}

/// Prints the status.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    print!("{}", status(&Repo::open(&args.repo)?, now()?)?);
    Ok(())
}
