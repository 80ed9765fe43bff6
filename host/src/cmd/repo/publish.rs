//! `tendon repo publish`: what is staged and signed becomes what devices read.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use std::path::PathBuf;
use tendon_host::bundle::sign::read_key;
use tendon_host::repo::folder::Repo;
use tendon_host::repo::publish::{Days, copy, publish};
use tendon_host::repo::{SNAPSHOT_DAYS, TIMESTAMP_DAYS};

/// Publish what is staged and signed, with a new snapshot and timestamp. Run it also when nothing changed, before the timestamp
/// expires.
///
/// The device's own client must accept the result before anything is written. REPO/metadata and REPO/targets are what devices
/// read: serve REPO with any web server, or copy it with --to.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
    /// Secret key of the publishing machine, readable by its owner only; may be repeated.
    #[arg(long, required = true)]
    online_key: Vec<PathBuf>,
    /// Copy what devices read to this folder too: a web server's, or a stick's. The timestamp goes last.
    #[arg(long)]
    to: Option<PathBuf>,
    /// Days that the snapshot is good for.
    #[arg(long, default_value_t = SNAPSHOT_DAYS)]
    snapshot_days: u32,
    /// Days that the timestamp is good for: how long a device can be kept from noticing that it is shown an old repository.
    #[arg(long, default_value_t = TIMESTAMP_DAYS)]
    timestamp_days: u32,
}

/// Publishes and prints the versions.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let repo = Repo::open(&args.repo)?;
    let keys = args.online_key.iter().map(|path| read_key(path));
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    let days = Days {
        snapshot: args.snapshot_days,
        timestamp: args.timestamp_days,
    };
    let published = publish(&repo, &keys, days, now()?)?;
    println!(
        "published root {}, targets {}, snapshot {}, timestamp {}; publish again before {}",
        published.root,
        published.targets,
        published.snapshot,
        published.timestamp,
        published.expires
    );
    if let Some(to) = &args.to {
        println!("copied {} files to {}", copy(&repo, to)?, to.display());
    }
    Ok(())
}
