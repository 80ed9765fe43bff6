//! `tendon-edge update`: what a repository offers this device.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tendon_bundle::TrustedKeys;
use tendon_edge::agent::pack::Packs;
use tendon_edge::install::receiver::{Receiver, SYNC_BYTES};
use tendon_edge::install::verify::Trust;
use tendon_edge::slots::storage::Disk;
use tendon_edge::slots::store::Store;
use tendon_edge::update::clock::{self, Witness};
use tendon_edge::update::course::{Outcome, Terms, update};
use tendon_edge::update::deliver::{Agent, Delivered, Installer, Slots};
use tendon_edge::update::keep::{self, Kept, Vault};
use tendon_edge::update::note;
use tendon_shared::protocol::deploy::InstallStatus;
use tendon_shared::topology::TopologyId;
use tendon_trust::archive::Archive;
use tendon_trust::http::Http;
use tendon_trust::metadata::{Root, Signed};
use tendon_trust::source::{Folder, Source};

/// Longest that one request to a server may take; a bundle of 2 MB at 64 kbit/s needs four minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fetch the newest bundle that a repository offers, if its keys have signed it, and install it.
///
/// With a running agent the bundle begins its trial at once, otherwise at the next start. While the clock is not known to be right
/// a bundle is verified and not installed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// The repository: a folder, such as a stick's, a file of `tendon repo pack`, or http://server/path. Files are signed, so no TLS is needed.
    #[arg(long, value_name = "FOLDER|FILE|URL")]
    repo: String,
    /// The repository's root file that the device was given (metadata/1.root.json, or a later one).
    #[arg(long)]
    root: PathBuf,
    /// File with the public keys whose bundles are accepted.
    #[arg(long)]
    trust: PathBuf,
    /// Skeleton standard of the poses, such as kinect20; any without.
    #[arg(long, value_parser = super::run::topology)]
    topology: Option<TopologyId>,
    /// Whether the clock is right: ask the kernel whether a time service has set it (auto), or take it for set or unset.
    #[arg(long, value_enum, default_value_t = Time::Auto)]
    time: Time,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Who says whether the clock is right.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Time {
    /// The kernel.
    Auto,
    /// It is, for example by a clock with a battery.
    Set,
    /// It is not.
    Unset,
}

impl Time {
    pub(super) const fn witness(self) -> Witness {
        match self {
            Self::Auto => Witness::Kernel,
            Self::Set => Witness::Right,
            Self::Unset => Witness::Wrong,
        }
    }
}

/// The root file that the device was given.
fn root(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Signed::<Root>::read(&path.display().to_string(), &bytes)?;
    Ok(bytes)
}

/// What an agent judges packs by: what `tendon-edge update` on the same folder believes.
pub(super) fn packs(data_dir: &Path, root: &Path, time: Time) -> anyhow::Result<Packs> {
    let folder = keep::folder(data_dir);
    Ok(Packs {
        root: self::root(root)?.into(),
        vault: Arc::new(move || Vault::open(&folder)),
        clock: Arc::new(move || clock::read(time.witness())),
    })
}

/// Updates and prints how it went.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let factory_root = root(&args.root)?;
    let keys = TrustedKeys::read(&args.trust)
        .with_context(|| format!("cannot use {}", args.trust.display()))?;
    let verifier = Trust {
        keys,
        topology: args.topology,
    };
    let mut source = source(&args.repo)?;
    let folder = keep::folder(&args.data_dir);
    let mut vault =
        Vault::open(&folder).with_context(|| format!("cannot use {}", folder.display()))?;
    let terms = Terms {
        factory_root: &factory_root,
        topology: args.topology,
        clock: clock::read(args.time.witness()),
    };
    let mut go = |installer: &mut dyn Installer| {
        update(
            &mut Kept(vault.storage()),
            &mut *source,
            installer,
            &verifier,
            terms,
        )
    };
    let slots = args.data_dir.join("slots");
    let disk = Disk::open(&slots).with_context(|| format!("cannot use {}", slots.display()))?;
    let store = Store::open(Box::new(disk))?;
    let outcome = match super::run::lock(&args.data_dir) {
        Ok(_alone) => {
            let mut receiver = Receiver::open(store, args.topology, SYNC_BYTES)?;
            go(&mut Slots(&mut receiver))
        }
        // Its lock is held by the agent that runs.
        Err(_) => {
            let serving = store.serving().map(|(_, offer)| offer);
            let floor = store.record().floor;
            drop(store);
            go(&mut Agent::new(&args.data_dir, serving, floor))
        }
    };
    let said = match &outcome {
        Ok(outcome) => text(*outcome),
        Err(error) => note::chain(error),
    };
    // The update is as good without.
    let _ = note::write(vault.storage(), terms.clock, outcome.is_ok(), &said);
    let outcome = outcome.with_context(|| format!("no update from {}", args.repo))?;
    if args.json {
        println!("{}", object(outcome));
    } else {
        println!("{}", text(outcome));
    }
    Ok(())
}

fn source(repo: &str) -> anyhow::Result<Box<dyn Source>> {
    if repo.starts_with("http://") {
        return Ok(Box::new(Http::new(repo, PATIENCE)));
    }
    if repo.contains("://") {
        bail!(
            "{repo}: give a folder or an http:// address; files are signed, so TLS adds nothing here"
        );
    }
    let folder = PathBuf::from(repo);
    if folder.is_file() {
        let archive = Archive::open(&folder).with_context(|| format!("cannot use {repo}"))?;
        return Ok(Box::new(archive));
    }
    if !folder.join("metadata").is_dir() {
        bail!("{repo} is no repository: it has no folder metadata");
    }
    Ok(Box::new(Folder::new(folder)))
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::NothingOffered => {
            "the repository is good and offers nothing for this device".to_owned()
        }
        Outcome::NothingNewer { offered, floor } => format!(
            "nothing newer: the repository offers model version {offered}, the device has confirmed {floor}"
        ),
        Outcome::Verified { model } => format!(
            "model version {model} is good but was not installed: the clock is not set (see --time)"
        ),
        Outcome::Staged { model, to } => match to {
            Delivered::Slots => format!(
                "model version {model} is stored; it begins its trial when the agent starts"
            ),
            Delivered::Agent(InstallStatus::Confirmed { .. }) => {
                format!("model version {model} serves")
            }
            Delivered::Agent(_) => format!("model version {model} is on trial"),
        },
    }
}

fn object(outcome: Outcome) -> Value {
    match outcome {
        Outcome::NothingOffered => json!({ "outcome": "nothing offered" }),
        Outcome::NothingNewer { offered, floor } => {
            json!({ "outcome": "nothing newer", "offered": offered, "floor": floor })
        }
        Outcome::Verified { model } => {
            json!({ "outcome": "verified", "model": model, "why": "the clock is not set" })
        }
        Outcome::Staged { model, to } => match to {
            Delivered::Slots => json!({ "outcome": "staged", "model": model }),
            Delivered::Agent(status) => {
                json!({ "outcome": "staged", "model": model, "status": status })
            }
        },
    }
}
