//! `tendon-edge status`: what a data folder holds, also while no agent runs; and what a running one has seen.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;
use tendon_edge::slots::storage::Disk;
use tendon_edge::slots::store::Store;
use tendon_edge::transport::local;
use tendon_shared::protocol::adapt::{AdaptCommand, AdaptReport, Serving};
use tendon_shared::protocol::telemetry::{Counters, InputCounts};
use tendon_shared::protocol::{Request, Response};
use tendon_shared::slot::Side;

/// Show which bundles a data folder holds and which one serves, and what a running agent has seen.
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
    let running = Running::ask(&args.data_dir);
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
            "counters": running.counters,
            "inputs": running.inputs,
            "adapt": running.adapt,
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
    running.print();
    Ok(())
}

/// What a running agent says; nothing when none runs.
#[derive(Default)]
struct Running {
    counters: Option<Counters>,
    inputs: Option<InputCounts>,
    adapt: Option<AdaptReport>,
}

impl Running {
    fn ask(data_dir: &Path) -> Self {
        let ask = |request| local::ask(data_dir, &[request]).ok()?.pop();
        let mut running = Self::default();
        if let Some(Response::Counters(counters)) = ask(Request::Counters) {
            running.counters = Some(counters);
        }
        if let Some(Response::Inputs(inputs)) = ask(Request::Inputs) {
            running.inputs = Some(inputs);
        }
        // Without a bundle there is nothing that adapts.
        if let Some(Response::Adapt(report)) = ask(Request::Adapt(AdaptCommand::Report)) {
            running.adapt = Some(report);
        }
        running
    }

    fn print(&self) {
        let Some(counters) = &self.counters else {
            println!("agent   none runs");
            return;
        };
        println!(
            "agent   runs for {} s: {} poses, {} windows",
            counters.uptime_ms / 1_000,
            counters.poses,
            counters.windows
        );
        if let Some(report) = &self.adapt {
            println!(
                "adapt   {}, the {} tail serves, {} updates, {} windows in memory",
                if report.enabled { "on" } else { "off" },
                match report.serving {
                    Serving::Base => "shipped",
                    Serving::Adapted => "adapted",
                },
                report.updates,
                report.memory
            );
        }
        let Some(inputs) = &self.inputs else { return };
        if let Some((oldest, newest)) = inputs.nameable {
            println!(
                "label   windows {oldest} to {newest} can be named; {} were",
                inputs.named
            );
        }
        println!(
            "input   {} persons now; lines {} malformed, {} too long; joints {} not finite, {} absurd; poses {} foreign, {} out of order",
            inputs.tracks,
            inputs.malformed,
            inputs.too_long,
            inputs.not_finite,
            inputs.absurd,
            inputs.foreign,
            inputs.out_of_order
        );
        println!(
            "tracks  {} crowded out, {} too long, {} clock resets; windows {} poor, {} frozen, {} torn, {} of no known action",
            inputs.crowded,
            inputs.overrun,
            inputs.clock_resets,
            inputs.poor,
            inputs.frozen,
            inputs.torn,
            inputs.unknown
        );
    }
}
