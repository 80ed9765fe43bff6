//! `tendon control`: commands of an operator to one device.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::{Context as _, bail, ensure};
use tendon_host::transport::client::Client;
use tendon_host::transport::monitor::text;
use tendon_host::transport::target::Target;
use tendon_shared::protocol::adapt::{AdaptCommand, Label, Labelled};
use tendon_shared::protocol::{Event, Request, Response};

/// Switch a device's adaptation on or off, undo it, name what a window shows, or go back to the bundle before.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The device: serial:/dev/ttyX, serial:/dev/ttyX@baud or tcp://host:port; with an operator's identity (docs/trust.md)
    /// tls:IDENTITY@host:port or tls:IDENTITY@serial:/dev/ttyX.
    #[arg(long)]
    to: Target,
    /// What to do.
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, clap::Subcommand)]
enum What {
    /// Learn from now on.
    AdaptOn,
    /// Stop learning; what was learned keeps serving.
    AdaptOff,
    /// Forget what was learned and serve the bundle as it was shipped.
    AdaptUndo,
    /// Go back to what the device was before its last update of the adaptation, or after one of the latest updates.
    UndoUpdate {
        /// The update; 0 for the bundle as it was shipped.
        #[arg(long)]
        to: Option<u64>,
    },
    /// Tell what a window shows: the device learns from it. The latest 64 windows can be named; `tendon monitor` shows their numbers.
    Label {
        /// The window's number.
        window: u64,
        /// The class's name, as the bundle spells it.
        class: String,
    },
    /// Give up the confirmed bundle, or the one on trial, for the one before it.
    RollBack,
}

/// Sends the command and prints the new state.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let link = args.to.open()?;
    let mut client = Client::open(link, args.to.patience(1))
        .with_context(|| format!("{} does not answer", args.to))?;
    let request = match &args.what {
        What::AdaptOn => Request::Adapt(AdaptCommand::Enable),
        What::AdaptOff => Request::Adapt(AdaptCommand::Disable),
        What::AdaptUndo => Request::Adapt(AdaptCommand::Undo),
        What::UndoUpdate { to } => Request::Adapt(AdaptCommand::UndoUpdate { to: *to }),
        What::Label { window, class } => {
            let name = heapless::String::try_from(class.as_str()).unwrap_or_default();
            ensure!(
                !name.is_empty(),
                "`{class}` is no class's name: too long or empty"
            );
            Request::Label(Label {
                window: *window,
                class: name,
            })
        }
        What::RollBack => Request::RollBack,
    };
    let event = match client.ask(&request)? {
        Response::Adapt(report) => Event::Adapt(report),
        Response::Install(status) => Event::Install(status),
        Response::Labelled(Labelled::Taken { window, named, .. }) => {
            println!("window {window} teaches; persons named {named} of the windows in memory");
            return Ok(());
        }
        Response::Labelled(refused) => bail!("{}", refusal(&refused)),
        _ => bail!("the device gave an answer of another kind: update the older side"),
    };
    println!("{}", text(&event));
    Ok(())
}

fn refusal(refused: &Labelled) -> String {
    match refused {
        Labelled::UnknownWindow {
            known: Some((oldest, newest)),
        } => format!(
            "the window cannot be named: {oldest} to {newest} can, as far as they were whole"
        ),
        Labelled::UnknownWindow { known: None } => {
            "the window cannot be named: none was seen yet".to_owned()
        }
        Labelled::UnknownClass { known } => {
            format!("the device knows no such class; it knows {known}")
        }
        _ => "the device does not learn: switch it on with `adapt-on`".to_owned(),
    }
}
