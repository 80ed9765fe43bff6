//! `tendon repo add`: bundles on and off the list.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use anyhow::Context as _;
use std::path::PathBuf;
use tendon_bundle::TrustedKeys;
use tendon_host::repo::TARGETS_DAYS;
use tendon_host::repo::add::{Change, add};
use tendon_host::repo::folder::Repo;

/// Stage bundles for the list of what is offered; without a bundle, renew the list.
///
/// Each bundle must verify against --trust, as devices will want it too. The list is published once its signers have signed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
    /// Bundle files.
    #[arg(requires = "trust")]
    bundles: Vec<PathBuf>,
    /// File with the public keys that may have signed the bundles.
    #[arg(long)]
    trust: Option<PathBuf>,
    /// Offer this one no more, such as kinect20-3.tendon; may be repeated.
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// Days that the list is good for.
    #[arg(long, default_value_t = TARGETS_DAYS)]
    days: u32,
}

/// Stages the list and says what is next.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let repo = Repo::open(&args.repo)?;
    let trusted = match &args.trust {
        Some(path) => TrustedKeys::read(path)
            .with_context(|| format!("cannot use the keys in {}", path.display()))?,
        None => TrustedKeys::default(),
    };
    let change = Change {
        bundles: args.bundles.clone(),
        remove: args.remove.clone(),
    };
    for name in add(&repo, &change, &trusted, args.days, now()?)? {
        println!("staged {name}");
    }
    println!(
        "the list waits for signatures: tendon repo sign {} --key KEY",
        args.repo.display()
    );
    Ok(())
}
