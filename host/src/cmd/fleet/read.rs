//! `tendon fleet read`: the signed report of a device.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::{Context as _, bail};
use serde_json::json;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tendon_host::fleet::text;
use tendon_identity::authority::Authority;
use tendon_identity::report::Report;
use tendon_identity::statement::{self, MAX_BYTES};

/// Read the report that a device made with `tendon-edge report`, if a device of this fleet has signed it.
///
/// Nothing of a report is looked at before its certificate and its signature are found good.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the fleet.
    fleet: PathBuf,
    /// The report.
    report: PathBuf,
    /// What the device was asked with: a report with another nonce, or none, is refused.
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks and prints the report.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let file =
        read(&args.report).with_context(|| format!("cannot read {}", args.report.display()))?;
    let authority = Authority::open(&args.fleet)?;
    let refused = || format!("{} is refused", args.report.display());
    let statement = statement::open(&file, authority.certificate()).with_context(refused)?;
    let Some(report) = Report::parse(&statement.text) else {
        bail!(
            "{} has signed this, but it is no report that this program knows: update it",
            statement.device
        );
    };
    if args.nonce.is_some() && args.nonce != report.nonce {
        return Err(anyhow::anyhow!(match &report.nonce {
            Some(other) => format!("it answers the nonce {other:?}: it may be an old one"),
            None => "it answers no nonce: it may be an old one".to_owned(),
        }))
        .with_context(refused);
    }
    if args.json {
        println!(
            "{}",
            json!({ "device": statement.device, "report": report })
        );
    } else {
        print!("{}", text(&statement.device, &report));
    }
    Ok(())
}

/// As much of a file as a statement may have, and one byte more.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
