//! `tendon keygen`: a key pair for signing bundles.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::{Context as _, ensure};
use rand::TryRng as _;
use rand::rngs::SysRng;
use std::path::PathBuf;
use tendon_bundle::SecretKey;
use tendon_host::bundle::sign::write_key;

/// Make a key pair for signing bundles.
///
/// The secret key stays on this machine, readable by you alone; devices are given the public one.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the secret key goes; the public key goes to the same name with .pub added. Existing files are never overwritten.
    #[arg(short, long)]
    out: PathBuf,
}

/// Writes both halves and prints the public one.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .context("the system gives no random numbers")?;
    ensure!(seed != [0; 32], "the system gives no random numbers");
    let key = SecretKey::from_bytes(&seed);
    let public = write_key(&args.out, &key)?;
    println!("secret key {}: keep it on this machine", args.out.display());
    println!(
        "public key {}: give it to devices ({})",
        public.display(),
        key.public()
    );
    Ok(())
}
