//! `tendon topologies`: the skeleton standards that Tendon knows.
#![allow(clippy::print_stdout, reason = "commands print")]

/// List the skeleton standards that Tendon knows.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Prints one line a topology.
pub(crate) fn run(_args: Args) -> anyhow::Result<()> {
    println!("kinect20 ntu25 sbu15 coco17");
    Ok(())
}
