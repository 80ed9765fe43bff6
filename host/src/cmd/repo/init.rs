//! `tendon repo init`: the first root and an empty list.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use std::path::PathBuf;
use tendon_host::repo::folder::read_public;
use tendon_host::repo::init::{Days, Founders, init};
use tendon_host::repo::{ROOT_DAYS, TARGETS_DAYS};

/// Make a repository: name the keys, and stage the first root and an empty list for signing.
///
/// Make each key with `tendon keygen` on the machine of its holder; only the .pub files are needed here.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the new repository.
    repo: PathBuf,
    /// Public keys of those who sign roots, offline; three files for two of three.
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    root_key: Vec<PathBuf>,
    /// Public keys of those who sign lists of bundles, offline; the root's without.
    #[arg(long, value_name = "PUB", num_args = 1..)]
    targets_key: Vec<PathBuf>,
    /// Public key of the machine that publishes; it signs snapshots and timestamps and nothing else.
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    online_key: Vec<PathBuf>,
    /// How many of the offline keys must sign.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=32))]
    threshold: u64,
    /// Days that the root is good for.
    #[arg(long, default_value_t = ROOT_DAYS)]
    root_days: u32,
    /// Days that the list of bundles is good for.
    #[arg(long, default_value_t = TARGETS_DAYS)]
    targets_days: u32,
}

/// Stages both files and says what is next.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let targets = if args.targets_key.is_empty() {
        &args.root_key
    } else {
        &args.targets_key
    };
    let founders = Founders {
        root: read_public(&args.root_key)?,
        targets: read_public(targets)?,
        online: read_public(&args.online_key)?,
        threshold: args.threshold,
    };
    let days = Days {
        root: args.root_days,
        targets: args.targets_days,
    };
    init(&args.repo, &founders, days, now()?)?;
    let repo = args.repo.display();
    println!("staged root and targets, version 1; now:");
    println!(
        "  tendon repo sign {repo} --key KEY          by {} holders of offline keys",
        args.threshold
    );
    println!("  tendon repo publish {repo} --online-key KEY");
    println!("and give devices {repo}/metadata/1.root.json");
    Ok(())
}
