//! `tendon-edge status`: what a data folder holds, also while no agent runs.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;
use tendon_edge::slots::storage::Disk;
use tendon_edge::slots::store::Store;
use tendon_shared::slot::Side;

/// Show which bundles a data folder holds and which one serves.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the slots.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let slots = args.data_dir.join("slots");
    if !slots.is_dir() {
        bail!(
            "{} is no data folder of tendon-edge: it has no slots",
            args.data_dir.display()
        );
    }
    let disk = Disk::open(&slots).with_context(|| format!("cannot read {}", slots.display()))?;
    let store = Store::open(Box::new(disk))?;
    let device = std::fs::read_to_string(args.data_dir.join("device-id")).unwrap_or_default();
    let serving = store.slots().serving();
    if args.json {
        let slot = |side| {
            json!({
                "state": store.slots().state(side),
                "model": store.record().content(side).map(|offer| offer.model),
                "bytes": store.record().content(side).map(|offer| offer.size),
                "digest": store.record().content(side).map(|offer| offer.digest.to_string()),
                "serves": serving == Some(side),
            })
        };
        let status = json!({
            "device": device,
            "slots": { "a": slot(Side::A), "b": slot(Side::B) },
            "floor": store.record().floor,
            "boots": store.record().boots,
        });
        println!("{status}");
        return Ok(());
    }
    println!(
        "device {device}, {} starts, bundles from version {} on are accepted",
        store.record().boots,
        store.record().floor
    );
    for side in Side::BOTH {
        let content = store
            .record()
            .content(side)
            .map_or("nothing".to_owned(), |offer| {
                let digest: String = offer.digest.to_string().chars().take(12).collect();
                format!(
                    "version {}, {}, {} bytes, sha256 {digest}",
                    offer.model, offer.topology, offer.size
                )
            });
        let state = format!("{:?}", store.slots().state(side)).to_lowercase();
        let serves = if serving == Some(side) {
            "  <- serves"
        } else {
            ""
        };
        println!("slot {side:?}  {state:<20} {content}{serves}");
    }
    Ok(())
}
