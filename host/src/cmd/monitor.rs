//! `tendon monitor`: what a device recognises, live.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::time::Duration;

use anyhow::{Context as _, bail};
use tendon_host::transport::client::Client;
use tendon_host::transport::monitor::{json, text};
use tendon_host::transport::target::Target;
use tendon_shared::protocol::adapt::AdaptCommand;
use tendon_shared::protocol::telemetry::Subscription;
use tendon_shared::protocol::{Event, Request, Response};

/// Watch what a device recognises, its counters and its adaptation.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device: serial:/dev/ttyX, serial:/dev/ttyX@baud or tcp://host:port; with an operator's identity (docs/trust.md)
    /// tls:IDENTITY@host:port or tls:IDENTITY@serial:/dev/ttyX.
    #[arg(long)]
    to: Target,
    /// Interval of the counters, in ms; 0 for never.
    #[arg(long, default_value_t = 5000)]
    every: u32,
    /// Stop after this many lines.
    #[arg(long)]
    count: Option<u64>,
    /// Print the counters and the state of adaptation once, and stop.
    #[arg(long)]
    once: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Prints events until the link ends.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let link = args.to.open()?;
    let mut client = Client::open(link, args.to.patience(1))
        .with_context(|| format!("{} does not answer", args.to))?;
    let print = |event: &Event| {
        println!(
            "{}",
            if args.json {
                json(event).to_string()
            } else {
                text(event)
            }
        );
    };
    if !args.json
        && let Some(welcome) = client.welcome()
    {
        let model = welcome
            .model
            .map_or("no bundle".to_owned(), |model| format!("version {model}"));
        println!(
            "{} runs {model}, tendon-edge {}",
            welcome.device, welcome.software
        );
    }
    if args.once || !args.json {
        let counters = match client.ask(&Request::Counters)? {
            Response::Counters(counters) => counters,
            _ => bail!("the device gave an answer of another kind"),
        };
        print(&Event::Counters(counters));
        // A device without a bundle has nothing to adapt, and says so with an error.
        if let Ok(Response::Adapt(report)) = client.ask(&Request::Adapt(AdaptCommand::Report)) {
            print(&Event::Adapt(report));
        }
    }
    if args.once {
        return Ok(());
    }
    client.ask(&Request::Subscribe(Subscription {
        recognitions: true,
        changes: true,
        counters_every_ms: args.every,
    }))?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        if let Some(event) = client.event(Duration::from_secs(1))? {
            print(&event);
            left -= 1;
        }
    }
    Ok(())
}
