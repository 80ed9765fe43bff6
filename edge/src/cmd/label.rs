//! `tendon-edge label`: a person tells the running agent what a window shows.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::path::PathBuf;

use anyhow::bail;
use tendon_edge::transport::local;
use tendon_shared::limits::CLASS_NAME_BYTES;
use tendon_shared::protocol::adapt::{Label, Labelled};
use tendon_shared::protocol::{Request, Response};

/// Tell the running agent what a recent window really shows.
///
/// The agent learns from it from now on, at most from half as many such windows as its memory holds, the newest of each class. Each
/// report of a recognition says its window's number. The latest 64 windows can be named, and those that are in memory.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The window's number.
    window: u64,
    /// The class's name, as the bundle spells it; an unknown one is answered with those that are known.
    class: String,
    /// The agent's data folder.
    #[arg(
        long = "state",
        visible_alias = "data-dir",
        value_name = "DIR",
        default_value = "."
    )]
    data_dir: PathBuf,
}

/// Sends the label and prints what became of it.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Ok(class) = heapless::String::try_from(args.class.as_str()) else {
        bail!("a class's name has at most {CLASS_NAME_BYTES} bytes");
    };
    let label = Label {
        window: args.window,
        class,
    };
    let answers = local::ask(&args.data_dir, &[Request::Label(label)])?;
    match answers.into_iter().next() {
        Some(Response::Labelled(Labelled::Taken { window, named, .. })) => println!(
            "window {window} teaches `{}`; persons named {named} of the windows in memory",
            args.class
        ),
        Some(Response::Labelled(refused)) => bail!("{}", refusal(&args, &refused)),
        _ => bail!("the agent gave an answer of another kind: update the older side"),
    }
    Ok(())
}

fn refusal(args: &Args, refused: &Labelled) -> String {
    match refused {
        Labelled::UnknownWindow {
            known: Some((oldest, newest)),
        } => format!(
            "window {} cannot be named: {oldest} to {newest} can, as far as they were whole",
            args.window
        ),
        Labelled::UnknownWindow { known: None } => {
            format!("window {} cannot be named: none was seen yet", args.window)
        }
        Labelled::UnknownClass { known } => {
            format!(
                "the bundle knows no class `{}`; it knows {known}",
                args.class
            )
        }
        _ => "adaptation is off: switch it on with `tendon control --to ... adapt-on`".to_owned(),
    }
}
