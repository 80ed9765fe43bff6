//! `tendon-edge report`: what the device says about itself, signed.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;
use std::time::SystemTime;

use super::update::Time;
use anyhow::{Context as _, bail};
use tendon_edge::report::gather;
use tendon_edge::update::clock;
use tendon_identity::identity::Identity;
use tendon_identity::report::{self, NONCE_BYTES};
use tendon_identity::statement;
use tendon_trust::client::Clock;

/// Write a report about this device, signed with the key that it enrolled with: for `tendon fleet read`, wherever the file is carried.
///
/// It says which bundle serves, what the slots hold, which versions are still accepted, what the last update came to, and, when an agent
/// runs on the folder, its counters and the state of adaptation. It holds no poses and no coordinates.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where the report goes.
    #[arg(short, long)]
    out: PathBuf,
    /// A text that whoever asked has made up, at most 128 bytes: with it nobody can pass an old report for this one.
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
    /// Whether the clock is right: ask the kernel whether a time service has set it (auto), or take it for set or unset.
    #[arg(long, value_enum, default_value_t = Time::Auto)]
    time: Time,
}

/// Writes the report.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if args
        .nonce
        .as_ref()
        .is_some_and(|nonce| nonce.len() > NONCE_BYTES)
    {
        bail!("a nonce has at most {NONCE_BYTES} bytes");
    }
    if !args.data_dir.join("slots").is_dir() {
        bail!(
            "{} is no data folder of tendon-edge: it has no slots",
            args.data_dir.display()
        );
    }
    let identity = Identity::read(&super::enroll::path(&args.data_dir))
        .context("a report is signed with the identity that `tendon-edge enroll` makes")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = report::Time {
        seconds: now.map_or(0, |now| now.as_secs()),
        trusted: clock::read(args.time.witness()) != Clock::Unset,
    };
    let report = gather(&args.data_dir, now, args.nonce)
        .with_context(|| format!("cannot read {}", args.data_dir.display()))?;
    let file = statement::sign(&identity, &report.text())?;
    tendon_files::write(&args.out, file.as_bytes())
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let agent = match &report.agent {
        Some(_) => "",
        None => " (no agent runs, so it says nothing of counters and adaptation)",
    };
    println!(
        "{} reports{agent}: tendon fleet read FLEET {}",
        identity.name,
        args.out.display()
    );
    Ok(())
}
