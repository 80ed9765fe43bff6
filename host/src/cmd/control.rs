//! `tendon control`: commands of an operator to one device.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::{Context as _, bail};
use tendon_host::transport::client::Client;
use tendon_host::transport::monitor::text;
use tendon_host::transport::target::Target;
use tendon_shared::protocol::adapt::AdaptCommand;
use tendon_shared::protocol::{Event, Request, Response};

/// Switch a device's adaptation on or off, undo it, or go back to the bundle before.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device: serial:/dev/ttyX, serial:/dev/ttyX@baud or tcp://host:port.
    #[arg(long)]
    to: Target,
    /// What to do.
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Learn from now on.
    AdaptOn,
    /// Stop learning; what was learned keeps serving.
    AdaptOff,
    /// Forget what was learned and serve the bundle as it was shipped.
    AdaptUndo,
    /// Give up the confirmed bundle, or the one on trial, for the one before it.
    RollBack,
}

/// Sends the command and prints the new state.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let link = args.to.open()?;
    let mut client = Client::open(link, args.to.patience(1))
        .with_context(|| format!("{} does not answer", args.to))?;
    let request = match args.what {
        What::AdaptOn => Request::Adapt(AdaptCommand::Enable),
        What::AdaptOff => Request::Adapt(AdaptCommand::Disable),
        What::AdaptUndo => Request::Adapt(AdaptCommand::Undo),
        What::RollBack => Request::RollBack,
    };
    let event = match client.ask(&request)? {
        Response::Adapt(report) => Event::Adapt(report),
        Response::Install(status) => Event::Install(status),
        _ => bail!("the device gave an answer of another kind: update the older side"),
    };
    println!("{}", text(&event));
    Ok(())
}
