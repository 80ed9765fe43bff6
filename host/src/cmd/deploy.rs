//! `tendon deploy`: ships a bundle or a pack to a device.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tendon_host::transport::deploy::{Delivered, Plan, Step};
use tendon_host::transport::offer::{Cargo, Pack, Parcel};
use tendon_host::transport::ship::{Shipped, ship, ship_pack};
use tendon_host::transport::target::Target;
use tendon_shared::protocol::deploy::{InstallStatus, Kept};

/// Pause before a cut link is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Ship a bundle or a pack to a device: resumes after a cut, and says why when the device refuses.
///
/// A pack (`tendon repo pack`) is sent as it is: the device, started with `tendon-edge run --root`, believes it only for the repository's
/// signatures and its own floors, and installs the newest bundle in it that it can run. While its clock is not set it only checks it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bundle, or a pack of `tendon repo pack`; which of them is seen from its content.
    file: PathBuf,
    /// An earlier bundle that the device may serve: if it does, only the difference is sent. May be repeated.
    #[arg(long, value_name = "BUNDLE")]
    since: Vec<PathBuf>,
    /// The device: serial:/dev/ttyX, serial:/dev/ttyX@baud or tcp://host:port; with an operator's identity (docs/trust.md)
    /// tls:IDENTITY@host:port or tls:IDENTITY@serial:/dev/ttyX.
    #[arg(long)]
    to: Target,
    /// Chunks of 1 KB under way at a time; 1 waits for every answer.
    #[arg(long, default_value_t = Plan::default().window, value_parser = clap::value_parser!(u8).range(1..=32))]
    window: u8,
    /// How often a cut link is opened again.
    #[arg(long, default_value_t = Plan::default().reconnects)]
    reconnects: u32,
    /// Also wait until the trial ends, at most this many seconds.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Print one JSON object at the end instead of text: `status` says what the device made of it.
    #[arg(long)]
    json: bool,
}

/// Ships the file.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let cargo = Cargo::open(&args.file)?;
    let plan = Plan {
        window: args.window,
        reconnects: args.reconnects,
        trial: args.wait.map(Duration::from_secs),
        ..Plan::default()
    };
    let said = match cargo {
        Cargo::Bundle(parcel) => bundle(&args, plan, &parcel)?,
        Cargo::Pack(pack) => self::pack(&args, plan, &pack)?,
    };
    println!("{said}");
    Ok(())
}

/// Ships a bundle and returns what is said about it.
fn bundle(args: &Args, plan: Plan, parcel: &Parcel) -> anyhow::Result<String> {
    let mut differences = Vec::new();
    for path in &args.since {
        let difference = parcel.since(&Parcel::open(path)?);
        let difference =
            difference.with_context(|| format!("the difference from {}", path.display()))?;
        differences.extend(difference);
    }
    let bar = bar(parcel.offer.size)?;
    let shipped = ship(
        || args.to.open(),
        || std::thread::sleep(PAUSE),
        args.to.patience(args.window),
        plan,
        parcel,
        &differences,
        &mut |step| show(&bar, step),
    );
    bar.finish_and_clear();
    let shipped = shipped.with_context(|| failed(args))?;
    Ok(if args.json {
        json(parcel, shipped).to_string()
    } else {
        text(parcel, shipped)
    })
}

/// Ships a pack and returns what is said about it.
fn pack(args: &Args, plan: Plan, pack: &Pack) -> anyhow::Result<String> {
    if !args.since.is_empty() {
        bail!("a pack is sent as it is: leave --since away");
    }
    let bar = bar(pack.offer.size)?;
    bar.println(format!("{} is a pack of a repository", args.file.display()));
    let delivered = ship_pack(
        || args.to.open(),
        || std::thread::sleep(PAUSE),
        args.to.patience(args.window),
        plan,
        pack,
        &mut |step| show(&bar, step),
    );
    bar.finish_and_clear();
    let delivered = delivered.with_context(|| failed(args))?;
    Ok(if args.json {
        json_of_pack(pack, delivered).to_string()
    } else {
        text_of_pack(pack, delivered)
    })
}

fn failed(args: &Args) -> String {
    format!("{} was not deployed to {}", args.file.display(), args.to)
}

fn bar(bytes: u32) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(bytes.into());
    bar.set_style(ProgressStyle::with_template(
        "{msg:<12} {wide_bar} {bytes:>10} of {total_bytes}  {bytes_per_sec:>12}  {eta:>4} left",
    )?);
    bar.set_message("connecting");
    Ok(bar)
}

fn show(bar: &ProgressBar, step: Step) {
    match step {
        Step::Begun { there, of } => {
            bar.set_length(of.into());
            bar.set_position(there.into());
            bar.reset_eta();
            bar.set_message("sending");
        }
        Step::Moved { there, .. } => bar.set_position(there.into()),
        Step::Reconnecting { why } => {
            bar.println(format!("{why}; trying again"));
            bar.set_message("reconnecting");
        }
        Step::Install(InstallStatus::Verifying) => bar.set_message("checking"),
        Step::Install(InstallStatus::Trial { .. }) => bar.set_message("on trial"),
        Step::Install(_) => {}
    }
}

fn text(parcel: &Parcel, shipped: Shipped) -> String {
    let model = parcel.offer.model;
    let sent = match shipped.difference {
        true => format!(", sent as a difference of {}", shipped.bytes),
        false => String::new(),
    };
    format!(
        "version {model} ({} classes, {} bytes{sent}) is on the device and {}",
        parcel.manifest.classes.len(),
        parcel.offer.size,
        state(shipped.delivered.status)
    )
}

fn state(status: InstallStatus) -> String {
    match status {
        InstallStatus::Trial {
            healthy, needed, ..
        } => {
            format!(
                "on trial ({healthy} of {needed} windows went well); what served before takes over if it fails"
            )
        }
        _ => "confirmed".to_owned(),
    }
}

fn text_of_pack(pack: &Pack, delivered: Delivered) -> String {
    match delivered.status {
        InstallStatus::Kept(why) => why.to_string(),
        status => {
            let model = model(status).map_or_else(String::new, |model| format!(" {model}"));
            format!(
                "the pack ({} bytes) is on the device, and its version{model} is {}",
                pack.offer.size,
                state(status)
            )
        }
    }
}

/// The model version that an installation is about.
fn model(status: InstallStatus) -> Option<u64> {
    match status {
        InstallStatus::Trial { model, .. }
        | InstallStatus::Confirmed { model }
        | InstallStatus::Kept(Kept::ClockUnset { model }) => Some(model),
        InstallStatus::Kept(Kept::NothingNewer { offered, .. }) => Some(offered),
        _ => None,
    }
}

fn json_of_pack(pack: &Pack, delivered: Delivered) -> serde_json::Value {
    serde_json::json!({
        "model": model(delivered.status),
        "pack": pack.offer.digest.to_string(),
        "bytes": pack.offer.size,
        "bytes_sent": pack.offer.size,
        "difference": false,
        "status": delivered.status,
        "chunks_sent": delivered.sent,
        "connections": delivered.connections,
    })
}

fn json(parcel: &Parcel, shipped: Shipped) -> serde_json::Value {
    serde_json::json!({
        "model": parcel.offer.model,
        "digest": parcel.offer.digest.to_string(),
        "bytes": parcel.offer.size,
        "bytes_sent": shipped.bytes,
        "difference": shipped.difference,
        "status": shipped.delivered.status,
        "chunks_sent": shipped.delivered.sent,
        "connections": shipped.delivered.connections,
    })
}
