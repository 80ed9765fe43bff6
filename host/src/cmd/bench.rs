//! `tendon bench`: our time beside its peers'.

mod contests;
mod serve;

use super::output::print;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tendon_host::bench::infer;
use tendon_host::bench::report::{Bench, Entry, Progress, Report};
use tendon_host::bench::rounds::Plan;
use tendon_host::bench::scripts::{self, Peer};
use tendon_model::encoder::EncoderConfig;
use tendon_shared::topology::TopologyId;

pub(crate) use serve::Args as ServeArgs;
pub(crate) use serve::run as serve;

/// Measure our time beside that of PyTorch and ONNX Runtime: same network, weights and windows, taking turns.
///
/// Without --peers only our own side is measured. Times are only comparable as ratios, and within one run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(required = true)]
    what: Vec<What>,
    /// A Python with torch, and optionally onnxruntime and onnx.
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Rounds; in each everybody works in turn.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Calls of everybody in a round [default: 10; train 1, adapt 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    times: Option<u32>,
    /// Windows that are gone through.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    windows: u32,
    /// Skeleton standard: decides the number of joints.
    #[arg(long, default_value = "ntu25")]
    topology: String,
    /// Frames of a window.
    #[arg(long, default_value_t = 64)]
    frames: usize,
    /// Bodies of a window, all there [default: 2 for infer, else 1].
    #[arg(long)]
    bodies: Option<usize>,
    /// Windows of a training step.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=4096))]
    batch: u16,
    /// Channels of the first blocks.
    #[arg(long, default_value_t = 16)]
    width: usize,
    /// Dimensions of the features.
    #[arg(long, default_value_t = 256)]
    dim: usize,
    /// Threads that everybody may use; the int8 engine uses one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Hold the int8 engine to one of its instruction paths, such as avx2 or avx512vnni, instead of the fastest one.
    #[arg(long, value_name = "PATH", value_parser = infer::path)]
    path: Option<tendon_engine::Path>,
    /// Seed of weights and windows.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Recordings to import, such as nw-ucla-json=all_sqe; otherwise --recordings NTU files are generated.
    #[arg(long, value_name = "FORMAT=PATH")]
    files: Option<String>,
    /// Recordings that are generated for import and load.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=9600))]
    recordings: u32,
    /// The set to load from, made by `tendon import`.
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// Keep network, windows and the peers' scripts in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// One window through encoder and classifier.
    Infer,
    /// A SkeletonCLR training step, augmentation included.
    Train,
    /// An adaptation step on 16 windows.
    Adapt,
    /// Sliding windows of one person, from raw poses.
    Stream,
    /// Recordings in files to one set: generated NTU files, or --files.
    Import,
    /// A batch from a set on the disk, beside the training step that waits for it: a generated set, or --set.
    Load,
}

/// Measures one after the other, prints the tables.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    for what in &args.what {
        let report = match what {
            What::Infer => contests::infer(args)?,
            What::Train => contests::train(args)?,
            What::Adapt => contests::adapt(args)?,
            What::Stream => contests::stream(args)?,
            What::Import => contests::import(args)?,
            What::Load => contests::load(args)?,
        };
        print(&report.text())?;
        reports.push(report);
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_vec_pretty(&reports)?;
        tendon_files::write(path, &text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Args {
    fn config(&self, bodies: usize) -> anyhow::Result<EncoderConfig> {
        let topology = TopologyId::from_name(&self.topology)
            .with_context(|| format!("there is no topology {:?}", self.topology))?;
        let config = EncoderConfig {
            width: self.width,
            dim: self.dim,
            ..EncoderConfig::small(topology, self.frames, self.bodies.unwrap_or(bodies))
        };
        config.validate()?;
        Ok(config)
    }

    fn plan(&self, times: u32) -> Plan {
        let times = self.times.unwrap_or(times) as usize;
        Plan {
            rounds: self.rounds as usize,
            times,
            warmup: times.div_ceil(2),
        }
    }

    /// The int8 engine as a contender, on one thread.
    fn int8(&self, work: &str, folder: &Path) -> anyhow::Result<Entry> {
        let Some(path) = self.path else {
            return ours("tendon int8", work, folder, 1);
        };
        let mut entry = ours(&format!("tendon int8, {path}"), work, folder, 1)?;
        entry.command.args(["--path", path.name()]);
        Ok(entry)
    }

    /// The peers' entries, if a Python was given.
    fn peers(&self, peers: &[Peer], folder: &Path) -> anyhow::Result<Vec<Entry>> {
        let Some(python) = &self.peers else {
            return Ok(Vec::new());
        };
        scripts::write(folder)?;
        let threads = usize::from(self.threads);
        let entry = |peer: &Peer| Entry {
            name: peer.name.to_owned(),
            threads,
            command: peer.command(python, folder, threads),
        };
        Ok(peers.iter().map(entry).collect())
    }
}

/// Where network, windows and scripts lie while they are used.
struct Folder {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(keep: Option<&Path>) -> anyhow::Result<Self> {
        let (path, temporary) = match keep {
            Some(path) => {
                std::fs::create_dir_all(path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                (path.to_path_buf(), None)
            }
            None => {
                let folder = tempfile::tempdir()?;
                (folder.path().to_path_buf(), Some(folder))
            }
        };
        Ok(Self {
            path,
            _temporary: temporary,
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

const MAKING: &str = "making the network, its windows and the int8 encoder";

/// This program as a contender.
fn ours(name: &str, work: &str, folder: &Path, threads: usize) -> anyhow::Result<Entry> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command
        .args(["bench-serve", work])
        .arg(folder)
        .env("RAYON_NUM_THREADS", threads.to_string());
    Ok(Entry {
        name: name.to_owned(),
        threads,
        command,
    })
}

/// Runs a comparison behind a progress bar.
fn measure(bench: Bench) -> anyhow::Result<Report> {
    let rounds = bench.plan.rounds as u64;
    let bar = spinner("");
    let mut done = 0;
    let report = bench.run(&mut |progress| match progress {
        Progress::Start(name) => bar.set_message(format!("starting {name}")),
        Progress::Round => {
            done += 1;
            bar.set_message(format!("round {done} of {rounds}"));
        }
    });
    bar.finish_and_clear();
    Ok(report?)
}

fn spinner(message: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
