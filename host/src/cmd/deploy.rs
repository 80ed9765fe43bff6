//! `tendon deploy`: ships a bundle to a device.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tendon_host::transport::deploy::{Plan, Step};
use tendon_host::transport::offer::Parcel;
use tendon_host::transport::ship::{Shipped, ship};
use tendon_host::transport::target::Target;
use tendon_shared::protocol::deploy::InstallStatus;

/// Pause before a cut link is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Ship a bundle to a device: resumes after a cut, and says why when the device refuses.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bundle file.
    bundle: PathBuf,
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
    /// Print one JSON object at the end instead of text.
    #[arg(long)]
    json: bool,
}

/// Ships the bundle.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let parcel = Parcel::open(&args.bundle)?;
    let plan = Plan {
        window: args.window,
        reconnects: args.reconnects,
        trial: args.wait.map(Duration::from_secs),
        ..Plan::default()
    };
    let mut differences = Vec::new();
    for path in &args.since {
        let difference = parcel.since(&Parcel::open(path)?);
        let difference =
            difference.with_context(|| format!("the difference from {}", path.display()))?;
        differences.extend(difference);
    }
    let bar = ProgressBar::new(parcel.offer.size.into());
    bar.set_style(ProgressStyle::with_template(
        "{msg:<12} {wide_bar} {bytes:>10} of {total_bytes}  {bytes_per_sec:>12}  {eta:>4} left",
    )?);
    bar.set_message("connecting");
    let mut on_step = |step| show(&bar, step);
    let shipped = ship(
        || args.to.open(),
        || std::thread::sleep(PAUSE),
        args.to.patience(args.window),
        plan,
        &parcel,
        &differences,
        &mut on_step,
    );
    bar.finish_and_clear();
    let shipped = shipped
        .with_context(|| format!("{} was not deployed to {}", args.bundle.display(), args.to))?;
    if args.json {
        println!("{}", json(&parcel, shipped));
    } else {
        println!("{}", text(&parcel, shipped));
    }
    Ok(())
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
    let state = match shipped.delivered.status {
        InstallStatus::Trial {
            healthy, needed, ..
        } => {
            format!(
                "on trial ({healthy} of {needed} windows went well); what served before takes over if it fails"
            )
        }
        _ => "confirmed".to_owned(),
    };
    let sent = match shipped.difference {
        true => format!(", sent as a difference of {}", shipped.bytes),
        false => String::new(),
    };
    format!(
        "version {model} ({} classes, {} bytes{sent}) is on the device and {state}",
        parcel.manifest.classes.len(),
        parcel.offer.size
    )
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
