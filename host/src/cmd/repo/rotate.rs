//! `tendon repo rotate`: other keys, other thresholds, or the same root for longer.
#![allow(clippy::print_stdout, reason = "commands print")]

use super::now;
use std::path::PathBuf;
use tendon_host::repo::folder::{Repo, read_public};
use tendon_host::repo::rotate::{Days, Rotation, rotate};
use tendon_host::repo::{ROOT_DAYS, TARGETS_DAYS};
use tendon_trust::metadata::Role;

/// Stage the next root: replace keys of a role, or renew the root before it expires.
///
/// A root must be signed by enough of the root keys before and enough of those from now on. Devices that see a new root without a
/// key of snapshot or timestamp forget how far that key has counted: so a stolen online key is undone.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the repository.
    repo: PathBuf,
    /// The role: root, targets, snapshot, timestamp, or online for the last two. Without, the root is only renewed.
    #[arg(long, value_parser = roles)]
    role: Option<Roles>,
    /// Public key that signs from now on; may be repeated.
    #[arg(long, value_name = "PUB", requires = "role")]
    add: Vec<PathBuf>,
    /// Public key that signs no more; may be repeated.
    #[arg(long, value_name = "PUB", requires = "role")]
    remove: Vec<PathBuf>,
    /// How many must sign from now on.
    #[arg(long, requires = "role", value_parser = clap::value_parser!(u64).range(1..=32))]
    threshold: Option<u64>,
    /// Days that the root is good for.
    #[arg(long, default_value_t = ROOT_DAYS)]
    days: u32,
}

/// The roles that an argument names.
#[derive(Clone)]
struct Roles(Vec<Role>);

fn roles(name: &str) -> Result<Roles, String> {
    if name == "online" {
        return Ok(Roles(vec![Role::Snapshot, Role::Timestamp]));
    }
    let role = Role::from_name(name)
        .ok_or_else(|| "there are root, targets, snapshot, timestamp, online".to_owned())?;
    Ok(Roles(vec![role]))
}

/// Stages the root and says what is next.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let repo = Repo::open(&args.repo)?;
    let rotation = Rotation {
        roles: args.role.clone().map(|roles| roles.0).unwrap_or_default(),
        add: read_public(&args.add)?,
        remove: read_public(&args.remove)?,
        threshold: args.threshold,
    };
    let days = Days {
        root: args.days,
        targets: TARGETS_DAYS,
    };
    if rotate(&repo, &rotation, days, now()?)? {
        println!(
            "the list of bundles was staged too: its signatures do not count under the new root"
        );
    }
    println!(
        "the root waits for signatures: tendon repo sign {} --key KEY",
        args.repo.display()
    );
    Ok(())
}
