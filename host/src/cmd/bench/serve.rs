//! `tendon bench-serve`: this program as a contender of `tendon bench`, which starts it.

use crate::cmd::clock::Process;
use std::path::PathBuf;
use std::time::Instant;
use tendon_data::dataset::Dataset;
use tendon_host::bench::adapt::Adapt;
use tendon_host::bench::import::Import;
use tendon_host::bench::infer::{self, Float, Int8, read};
use tendon_host::bench::load::{Load, LoadSpec};
use tendon_host::bench::serve::{Work, serve};
use tendon_host::bench::stream::Stream;
use tendon_host::bench::subject::BLOB;
use tendon_host::bench::train::Train;

/// Answer the questions of `tendon bench`; for its own use.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The work.
    work: Which,
    /// The folder with network and windows.
    folder: PathBuf,
    /// The int8 engine's instruction path, instead of the fastest one.
    #[arg(long, value_parser = infer::path)]
    path: Option<tendon_engine::Path>,
}

/// Work that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// The int8 engine.
    InferInt8,
    /// The float network.
    InferFloat,
    /// A training step.
    Train,
    /// An adaptation step.
    Adapt,
    /// A window of a stream.
    Stream,
    /// An import.
    Import,
    /// A batch from a stored set.
    Load,
}

/// Answers until the questions end.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let blob;
    let set;
    let mut work: Box<dyn Work> = match args.work {
        Which::InferInt8 => {
            blob = read(&args.folder, BLOB)?;
            Box::new(Int8::new(&args.folder, &blob, args.path)?)
        }
        Which::InferFloat => Box::new(Float::new(&args.folder)?),
        Which::Train => Box::new(Train::new(&args.folder).map_err(anyhow::Error::msg)?),
        Which::Adapt => Box::new(Adapt::new(&args.folder)?),
        Which::Import => Box::new(Import::new(&args.folder).map_err(anyhow::Error::msg)?),
        Which::Load => {
            let spec = LoadSpec::read(&args.folder).map_err(anyhow::Error::msg)?;
            set = Dataset::open(&spec.set)?;
            Box::new(Load::new(spec, &set).map_err(anyhow::Error::msg)?)
        }
        Which::Stream => {
            blob = read(&args.folder, BLOB)?;
            Box::new(Stream::new(&args.folder, &blob, args.path)?)
        }
    };
    let meter = Process(Instant::now());
    let (questions, answers) = (std::io::stdin().lock(), std::io::stdout().lock());
    Ok(serve(work.as_mut(), &meter, questions, answers)?)
}
