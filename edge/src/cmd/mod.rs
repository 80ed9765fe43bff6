//! The subcommands of `tendon-edge`, one a file.

mod config;
mod enroll;
mod label;
mod replay;
mod report;
mod run;
mod state;
mod status;
mod systemd;
mod update;

/// Recognises actions in the home, from skeletons alone, and adapts to it.
#[derive(clap::Parser)]
#[command(version)]
pub(crate) struct TendonEdge {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Enroll(enroll::Args),
    Label(label::Args),
    Replay(replay::Args),
    Report(report::Args),
    Run(Box<run::Args>),
    State(state::Args),
    Status(status::Args),
    Update(update::Args),
}

impl TendonEdge {
    /// Runs the subcommand that was asked for.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Enroll(args) => enroll::run(args),
            Command::Label(args) => label::run(args),
            Command::Replay(args) => replay::run(args),
            Command::Report(args) => report::run(args),
            Command::Run(args) => run::run(*args),
            Command::State(args) => state::run(args),
            Command::Status(args) => status::run(args),
            Command::Update(args) => update::run(args),
        }
    }
}
