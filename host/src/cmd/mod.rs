//! The subcommands of `tendon`, one a file.

mod adapt_bench;
mod bench;
mod bundle;
mod clock;
mod compare;
mod control;
mod demo;
mod deploy;
mod embed;
mod eval;
mod export;
mod fleet;
mod import;
mod import_weights;
mod inspect;
mod keygen;
mod monitor;
mod output;
mod pretrain;
mod replay;
mod repo;
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
    AdaptBench(adapt_bench::Args),
    Bench(Box<bench::Args>),
    #[command(hide = true)]
    BenchServe(bench::ServeArgs),
    Demo(demo::Args),
    Bundle(Box<bundle::Args>),
    Compare(compare::Args),
    Control(control::Args),
    Deploy(deploy::Args),
    Embed(embed::Args),
    Eval(Box<eval::Args>),
    Export(export::Args),
    Fleet(fleet::Args),
    Import(Box<import::Args>),
    ImportWeights(import_weights::Args),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
    Monitor(monitor::Args),
    Pretrain(pretrain::Args),
    Replay(replay::Args),
    Repo(repo::Args),
    Topologies(topologies::Args),
}

impl Tendon {
    /// Runs the subcommand that was asked for.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::AdaptBench(args) => adapt_bench::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::BenchServe(args) => bench::serve(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Bundle(args) => bundle::run(*args),
            Command::Compare(args) => compare::run(&args),
            Command::Control(args) => control::run(args),
            Command::Deploy(args) => deploy::run(args),
            Command::Embed(args) => embed::run(&args),
            Command::Eval(args) => eval::run(*args),
            Command::Export(args) => export::run(&args),
            Command::Fleet(args) => fleet::run(args),
            Command::Import(args) => import::run(*args),
            Command::ImportWeights(args) => import_weights::run(&args),
            Command::Inspect(args) => inspect::run(args),
            Command::Keygen(args) => keygen::run(args),
            Command::Monitor(args) => monitor::run(args),
            Command::Pretrain(args) => pretrain::run(&args),
            Command::Replay(args) => replay::run(args),
            Command::Repo(args) => repo::run(args),
            Command::Topologies(args) => topologies::run(args),
        }
    }
}
