//! `tendon pretrain`: contrastive pretraining without labels.

use super::clock::Process;
use super::output::print;
use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tendon_data::dataset::Dataset;
use tendon_data::split::Split;
use tendon_data::windows::{PooledWindows, StoredWindows, WindowSet, Windows};
use tendon_host::pretrain::config::PretrainConfig;
use tendon_host::pretrain::layers::{Layer, Layers};
use tendon_host::pretrain::start::Start;
use tendon_host::pretrain::teacher::Teacher;
use tendon_host::pretrain::{Progress, Run, Wish, pretrain};
use tendon_host::usage::Usage;
use tendon_shared::normalize::NormalizeSpec;
use tendon_shared::topology::TopologyId;

/// Steps between two notes of what the run has cost.
const USAGE_STEPS: u64 = 100;

/// Pretrain an encoder without labels.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run's configuration (see configs/pretrain).
    #[arg(long)]
    config: PathBuf,
    /// The set of recordings, made by `tendon import`. Several sets of one skeleton are learnt from together: name each with its
    /// split, `--data A --split a --data B --split b`.
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// Whose training side to use: a preset such as nw-ucla-view1, or "TRAIN / TEST" such as "cameras=1 / cameras=2". One a set.
    #[arg(long, required = true)]
    split: Vec<String>,
    /// The run's folder: checkpoint, log, TensorBoard events, encoder.safetensors. Nothing in it is ever removed.
    #[arg(long)]
    out: PathBuf,
    /// Start from this encoder, made by an earlier run with the same window and encoder, instead of random weights.
    #[arg(long)]
    encoder: Option<PathBuf>,
    /// How many windows of each class keep their labels, instead of the configuration's number: 5 for five, 10% for a tenth. Only
    /// for methods that use labels (skelemoclr, transfer, psp).
    #[arg(long)]
    labelled: Option<String>,
    /// Use what the configuration says under `[for.NAME]`; without this, what it says for the split, if that has such a name.
    #[arg(long = "for", value_name = "NAME")]
    whom: Option<String>,
    /// Change one value of the configuration, such as method.temperature=0.2; dots stand between names of tables.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Leave one key or table of the configuration out, such as method.attention.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Which windows these are, instead of the configuration's number: another number draws others.
    #[arg(long)]
    draw: Option<u64>,
    /// Learn from these embeddings by a frozen vision-text model: a safetensors file with a vector for each class or for each
    /// recording, by name (see docs/teacher-embeddings.md). Only for the method transfer, which uses labels.
    #[arg(long, value_name = "FILE")]
    teacher_embeddings: Option<PathBuf>,
    /// Go on from the folder's checkpoint.
    #[arg(long)]
    resume: bool,
    /// Use this seed instead of the configuration's.
    #[arg(long)]
    seed: Option<u64>,
    /// Make so many passes over the training windows instead of the configuration's; 0 writes an untrained encoder.
    #[arg(long)]
    epochs: Option<u64>,
    /// Where to compute: cpu, wgpu, cuda or ndarray, as far as compiled in; wgpu:1 and cuda:1 are the second of several.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Devices that share each batch, such as cuda:0,cuda:1, with BatchNorm over the whole batch: the result is that of one
    /// device but for rounding. The first keeps the networks. Resume with the same list to get the same bytes.
    #[arg(long, value_name = "DEVICE,DEVICE", conflicts_with = "device")]
    devices: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("cannot read {}", args.config.display()))?;
    let mut config =
        configure(args, &text).with_context(|| format!("cannot use {}", args.config.display()))?;
    config.seed = args.seed.unwrap_or(config.seed);
    config.epochs = args.epochs.unwrap_or(config.epochs);
    label(args, &mut config)?;
    let names = args.devices.as_ref().unwrap_or(&args.device);
    let devices = tendon_host::backend::devices(names)?;
    let start = args.encoder.as_deref();
    let start = start
        .map(|path| Start::read(path, &devices[0]))
        .transpose()?;
    let teacher = args.teacher_embeddings.as_deref();
    let teacher = teacher.map(Teacher::read).transpose()?;
    ensure!(
        args.data.len() == args.split.len(),
        "{} sets and {} splits: give every --data its --split",
        args.data.len(),
        args.split.len()
    );
    let datasets = args
        .data
        .iter()
        .map(Dataset::open)
        .collect::<Result<Vec<_>, _>>()?;
    let (windows, split) = pool(&datasets, &args.split, &config.normalize())?;
    if let Some((amount, draw)) = config.method.labels() {
        print(&format!(
            "labels of {amount} of the windows are used, draw {draw}: figures with this encoder are not those of pretraining without labels"
        ))?;
    }
    print(&format!(
        "{} windows of {} frames, {} joints; split {}; {} on {}",
        windows.len(),
        config.window.frames,
        windows.topology().topology().joint_count(),
        split,
        config.method.name(),
        names
    ))?;

    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))
        .context("cannot watch for Ctrl-C")?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {per_sec}, {eta} left  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let meter = Process(Instant::now());
    let earlier = Usage::read(&args.out).filter(|_| args.resume);
    let whole = |part: Usage| earlier.map_or(part, |earlier| part.after(earlier));
    let mut first = 0;
    let mut knn = String::new();
    let outcome = pretrain(
        &Run {
            config: &config,
            windows: windows.as_ref(),
            split: &split,
            devices: &devices,
            folder: &args.out,
            start: start.as_ref(),
            teacher: teacher.as_ref(),
            resume: args.resume,
            clock: &wall_clock,
        },
        |progress| {
            match progress {
                Progress::Started { step, steps } => {
                    first = step;
                    bar.set_length(steps);
                    bar.set_position(step);
                    bar.reset_eta();
                }
                Progress::Step { step, loss } => {
                    if step.is_multiple_of(USAGE_STEPS) {
                        // What a run costs is good to know, not worth ending it for.
                        whole(meter.usage()).write(&args.out).ok();
                    }
                    bar.set_position(step);
                    bar.set_message(format!("loss {loss:.3}{knn}"));
                }
                Progress::Monitor { step, top1 } => {
                    knn = format!(", kNN {:.1} %", 100.0 * top1);
                    bar.suspend(|| {
                        let percent = 100.0 * top1;
                        let line = format!(
                            "step {step}: kNN {percent:.1} % on held-out training subjects"
                        );
                        // A terminal that cannot be written to must not end hours of training.
                        print(&line).ok()
                    });
                }
            }
            if stop.load(Ordering::Relaxed) {
                Wish::Save
            } else {
                Wish::Continue
            }
        },
    )?;
    bar.finish_and_clear();
    let usage = meter.usage();
    whole(usage).write(&args.out)?;
    let seconds = usage.seconds;
    let done = outcome.step - first;
    print(&format!(
        "{done} steps in {seconds:.0} s ({:.3} s a step)",
        seconds / done.max(1) as f64
    ))?;
    if outcome.encoders.is_empty() {
        print(&format!(
            "stopped after {} of {} steps; the same command with --resume goes on",
            outcome.step, outcome.steps
        ))?;
    }
    for path in outcome.encoders {
        print(&path.display().to_string())?;
    }
    Ok(())
}

/// The configuration, as the command line changes it.
fn configure(args: &Args, text: &str) -> anyhow::Result<PretrainConfig> {
    let layers = Layers::parse(text)?;
    let own = match args.split.as_slice() {
        [split] => layers.names().find(|name| name == split),
        _ => None,
    };
    let whom = args.whom.as_deref().or(own);
    if let Some(name) = whom {
        print(&format!("with what the configuration says for {name}"))?;
    }
    Ok(layers.config(whom, &Layer::parse(&args.set, &args.unset)?)?)
}

/// Puts the command line's labels into the configuration, whose digest then tells runs apart.
fn label(args: &Args, config: &mut PretrainConfig) -> anyhow::Result<()> {
    if args.labelled.is_none() && args.draw.is_none() {
        return Ok(());
    }
    let name = config.method.name();
    let Some((labels, draw)) = config.method.labels_mut() else {
        bail!("{name} uses no labels: leave --labelled and --draw out");
    };
    *draw = args.draw.unwrap_or(*draw);
    if let Some(text) = &args.labelled {
        *labels = text.parse().context("--labelled")?;
    }
    // Any topology will do to check the method's numbers.
    let encoder = config.encoder(TopologyId::Kinect20);
    Ok(config.method.validate(&encoder)?)
}

/// Windows of larger sets, in bytes, are not held in memory.
const MOST_IN_MEMORY: usize = 1 << 30;

/// The training windows of all sets, and what the splits are called together.
fn pool<'a>(
    datasets: &'a [Dataset],
    splits: &[String],
    spec: &NormalizeSpec,
) -> anyhow::Result<(Box<dyn Windows + 'a>, String)> {
    let mut sets = Vec::new();
    let mut names = Vec::new();
    for (dataset, split) in datasets.iter().zip(splits) {
        let split = Split::parse(split)?;
        let (train, _) = split
            .apply(dataset)
            .with_context(|| format!("cannot split {}", dataset.path().display()))?;
        sets.push(windows(dataset, &train, spec)?);
        names.push(split.name);
    }
    let only = if sets.len() == 1 { sets.pop() } else { None };
    let windows = match only {
        Some(windows) => windows,
        None => Box::new(PooledWindows::new(sets)?),
    };
    Ok((windows, names.join(" + ")))
}

/// The training windows of one set: in memory, or made from the store in each step if they are too many.
fn windows<'a>(
    dataset: &'a Dataset,
    indices: &[usize],
    spec: &NormalizeSpec,
) -> anyhow::Result<Box<dyn Windows + 'a>> {
    let window = spec.window_len(dataset.topology().topology()) * size_of::<f32>();
    Ok(if indices.len() * window <= MOST_IN_MEMORY {
        Box::new(WindowSet::prepare(dataset, indices, spec)?)
    } else {
        Box::new(StoredWindows::prepare(dataset, indices, spec)?)
    })
}

/// Seconds since 1970; 0 on a machine whose clock stands before.
fn wall_clock() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
