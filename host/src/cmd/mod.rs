//! The subcommands of `tendon`, one a file.

mod topologies;

/// Teaches cameras in homes to recognise what people do, from skeletons alone.
#[derive(clap::Parser)]
#[command(version)]
pub(crate) struct Tendon {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Topologies(topologies::Args),
}

impl Tendon {
    /// Runs the subcommand that was asked for.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Topologies(args) => topologies::run(args),
        }
    }
}
