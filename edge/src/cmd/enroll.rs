//! `tendon-edge enroll`: into a fleet, with a key that never leaves the device.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tendon_identity::identity::Identity;
use tendon_identity::token::{Reply, Token, begin, complete};

/// Enter a fleet: make the device's key here, ask with a one-time token, and take the fleet's reply.
///
/// First `enroll --token TOKEN -o request.json`; carry the request to the machine of the fleet's authority, which answers with
/// `tendon fleet admit`; then `enroll --accept reply.json`. The secret key stays in the data folder, readable by its owner only.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// The token that `tendon fleet token` printed.
    #[arg(long, requires = "out")]
    token: Option<String>,
    /// Where the request goes.
    #[arg(short, long, requires = "token")]
    out: Option<PathBuf>,
    /// The reply of `tendon fleet admit`.
    #[arg(long, value_name = "REPLY", conflicts_with = "token")]
    accept: Option<PathBuf>,
}

/// Where the device's identity is.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("identity").join("device.json")
}

/// Writes the request, or takes the reply.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let identity = path(&args.data_dir);
    let pending = identity.with_file_name("pending.json");
    if let (Some(token), Some(out)) = (&args.token, &args.out) {
        let token: Token = token.parse()?;
        let request = begin(&token, &pending)?;
        tendon_files::write(out, request.text().as_bytes())
            .with_context(|| format!("cannot write {}", out.display()))?;
        println!(
            "{} asks to enter the fleet: tendon fleet admit FLEET {} -o reply.json",
            token.device,
            out.display()
        );
        return Ok(());
    }
    let Some(reply) = &args.accept else {
        bail!("give --token and -o for a request, or --accept with the reply");
    };
    let text =
        fs::read_to_string(reply).with_context(|| format!("cannot read {}", reply.display()))?;
    let device: Identity = complete(&Reply::parse(&text)?, &pending)
        .with_context(|| format!("{} is refused", reply.display()))?;
    device.write(&identity)?;
    fs::remove_file(&pending).with_context(|| format!("cannot remove {}", pending.display()))?;
    println!(
        "this device is {}; `tendon-edge run --tls` lets only operators of its fleet in",
        device.name
    );
    Ok(())
}
