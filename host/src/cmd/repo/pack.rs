//! `tendon repo pack`: the repository as one file.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;
use tendon_host::repo::folder::Repo;
use tendon_host::repo::pack::pack;

/// Write what devices read to one file, for a stick or a mail: `tendon-edge update --repo FILE` takes it with the same checks as a server's.
///
/// Publish first, with --timestamp-days as long as the file may travel.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
    /// The file; a tar archive, whatever its name.
    #[arg(short, long)]
    out: PathBuf,
}

/// Packs and prints how much it is.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let packed = pack(&Repo::open(&args.repo)?, &args.out)?;
    println!(
        "{} holds {} bundles, {} bytes",
        args.out.display(),
        packed.targets,
        packed.bytes
    );
    Ok(())
}
