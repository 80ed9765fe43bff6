//! `tendon repo`: a repository of bundles that devices fetch from.

mod add;
mod init;
mod pack;
mod publish;
mod rotate;
mod sign;
mod status;

use anyhow::Context as _;
use std::time::SystemTime;
use tendon_trust::moment::Moment;

/// Make and publish a repository of bundles, signed so that a device believes no server (docs/trust.md).
///
/// `init` names the keys, `add` stages bundles, each signer runs `sign`, and `publish` makes it what devices read. Secret keys never
/// lie in the repository.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Init(init::Args),
    Add(add::Args),
    Sign(sign::Args),
    Rotate(rotate::Args),
    Publish(publish::Args),
    Pack(pack::Args),
    Status(status::Args),
}

/// Runs the subcommand that was asked for.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Init(args) => init::run(&args),
        Command::Add(args) => add::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Rotate(args) => rotate::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Status(args) => status::run(&args),
    }
}

/// The clock of this machine.
fn now() -> anyhow::Result<Moment> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.context("the clock of this machine is before 1970; set it")?;
    Ok(Moment::from_seconds(now.as_secs()))
}
