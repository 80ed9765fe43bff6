//! `tendon eval`: what an encoder or a classifier is worth on people and cameras it has not seen.

mod baselines;
mod classifier;
mod common;
mod finetune;
mod fuse;
mod knn;
mod probe;
mod semi;
mod start;

/// Evaluate an encoder, or finetune it to a classifier.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(clap::Subcommand)]
enum Protocol {
    Probe(probe::Args),
    Knn(knn::Args),
    Semi(semi::Args),
    Finetune(finetune::Args),
    Fuse(fuse::Args),
    Baselines(baselines::Args),
    Classifier(classifier::Args),
}

/// Runs one protocol.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.protocol {
        Protocol::Probe(args) => probe::run(&args),
        Protocol::Knn(args) => knn::run(&args),
        Protocol::Semi(args) => semi::run(&args),
        Protocol::Finetune(args) => finetune::run(&args),
        Protocol::Fuse(args) => fuse::run(&args),
        Protocol::Baselines(args) => baselines::run(&args),
        Protocol::Classifier(args) => classifier::run(&args),
    }
}
