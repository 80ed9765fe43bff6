//! `tendon repo sign`: one holder's signature on what is staged.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use anyhow::bail;
use std::path::PathBuf;
use tendon_host::bundle::sign::read_key;
use tendon_host::repo::folder::Repo;
use tendon_host::repo::sign::{merge, sign};
use tendon_host::repo::status::status;

/// Sign what is staged with an offline key, or take over signatures from a copy of the repository.
///
/// Carry the repository to the machine with the key, on a stick: no secret is in it. Look at what is printed before you carry it
/// back. Holders may sign one after another, or each a copy, which --merge brings together.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
    /// Secret key file, readable by its owner only.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Take over the signatures on this copy of the repository.
    #[arg(long, value_name = "COPY")]
    merge: Option<PathBuf>,
}

/// Signs, merges and shows what is there.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.key.is_none() && args.merge.is_none() {
        bail!("name a secret key with --key, or a copy with signatures with --merge");
    }
    let repo = Repo::open(&args.repo)?;
    if let Some(copy) = &args.merge {
        for role in merge(&repo, copy)? {
            println!("took over signatures of {role}");
        }
    }
    if let Some(key) = &args.key {
        for role in sign(&repo, &read_key(key)?)? {
            println!("signed {role}");
        }
    }
    print!("{}", status(&repo, now()?)?);
    Ok(())
}
