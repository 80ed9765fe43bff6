//! `tendon replay`: plays a set of recordings as the live stream of a pose estimator.

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sink::Sink;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tendon_data::dataset::Dataset;
use tendon_data::split::{Selection, Split};
use tendon_host::replay::order::{Order, arrange};
use tendon_host::replay::shift::Shift;
use tendon_host::replay::stream::PoseWriter;
use tendon_model::augment::random::generator;

mod sink;

/// Play a set of recordings as a stream of poses, for a device or a file.
///
/// A recording is one track; its end mark carries the label, with which a device only reports its accuracy.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The set, as `tendon import` wrote it.
    set: PathBuf,
    /// Play the test side of a split: a preset's name or TRAIN / TEST.
    #[arg(long, conflicts_with = "select")]
    split: Option<String>,
    /// Play the recordings of a selection, such as "subjects=1-7;cameras=1".
    #[arg(long)]
    select: Option<Selection>,
    /// Order of the recordings; `correlated` stays with an activity, as a home does.
    #[arg(long, value_enum, default_value = "iid")]
    order: Kind,
    /// Concentration of the correlated order; smaller stays longer.
    #[arg(long, default_value_t = 0.1)]
    dirichlet: f32,
    /// Seed of the order and of the shift.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to: stdout, tcp:ADDRESS:PORT, unix:PATH or file:PATH.
    #[arg(long, default_value = "stdout")]
    to: Sink,
    /// Play at most this many recordings.
    #[arg(long)]
    limit: Option<usize>,
    /// Recordings that are played at the same time, each as a person of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    persons: u16,
    /// How many times the whole stream is played, each time in a new order.
    #[arg(long, default_value_t = 1)]
    passes: u64,
    /// Speed over real time; 0 plays as fast as the other side reads. Live sockets of a device drop poses that come too fast.
    #[arg(long, default_value_t = 0.0)]
    speed: f64,
    /// Tilt the camera by this angle, degrees.
    #[arg(long, default_value_t = 0.0)]
    tilt: f32,
    /// Lean the camera to its side by this angle, degrees.
    #[arg(long, default_value_t = 0.0)]
    roll: f32,
    /// Show only COCO's 17 keypoints, as most pose estimators do.
    #[arg(long)]
    keypoints: bool,
    /// Keep every so manieth frame.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Add noise of this spread to every coordinate, metres.
    #[arg(long, default_value_t = 0.0)]
    noise: f32,
    /// Lose each joint of a frame with this chance.
    #[arg(long, default_value_t = 0.0)]
    absent: f32,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// As in the set.
    AsIs,
    /// Shuffled.
    Iid,
    /// One activity at a time.
    Correlated,
}

/// Plays the stream.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    ensure!(args.dirichlet > 0.0, "--dirichlet must be above 0");
    let dataset = Dataset::open(&args.set)?;
    let mut chosen = match (&args.split, &args.select) {
        (Some(split), _) => Split::parse(split)?.apply(&dataset)?.1,
        (None, Some(selection)) => selection.indices(&dataset),
        (None, None) => (0..dataset.len()).collect(),
    };
    ensure!(
        !chosen.is_empty(),
        "no recording of {} is selected",
        args.set.display()
    );
    let order = match args.order {
        Kind::AsIs => Order::AsIs,
        Kind::Iid => Order::Iid,
        Kind::Correlated => Order::Correlated(args.dirichlet),
    };
    if let Some(limit) = args.limit {
        // A shortened stream still has every class: the limit is taken from a shuffled set.
        let picked = arrange(
            &vec![0; chosen.len()],
            Order::Iid,
            &mut generator(args.seed, 3, 0, 0),
        );
        let kept: Vec<usize> = picked
            .into_iter()
            .take(limit)
            .map(|place| chosen[place])
            .collect();
        chosen = kept;
    }
    let labels: Vec<u16> = chosen
        .iter()
        .map(|number| dataset.recording(*number).label)
        .collect();
    let bar = ProgressBar::new(chosen.len() as u64 * args.passes);
    let style = "{bar:40} {pos}/{len} recordings, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).context("progress bar")?);
    let shift = Shift {
        keypoints: args.keypoints,
        tilt_degrees: args.tilt,
        roll_degrees: args.roll,
        keep: args.keep.into(),
        noise_metres: args.noise,
        absent: args.absent,
        ..Shift::default()
    };
    let out = args
        .to
        .open()
        .with_context(|| format!("cannot open {}", args.to))?;
    let mut writer = PoseWriter::begin(out, dataset.topology(), shift)?;
    let started = Instant::now();
    let mut wait = |time_ms: f64| {
        if args.speed > 0.0 {
            let due = Duration::from_secs_f64(time_ms / 1_000.0 / args.speed);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    };
    for pass in 0..args.passes {
        let places = arrange(&labels, order, &mut generator(args.seed, 0, pass, 0));
        for together in places.chunks(args.persons.into()) {
            let numbers: Vec<usize> = together.iter().map(|place| chosen[*place]).collect();
            let mut rng = generator(args.seed, 1, pass, numbers[0] as u64);
            let recordings: Vec<_> = numbers.iter().map(|n| dataset.recording(*n)).collect();
            let played = writer.play(&recordings, &mut rng, &mut wait);
            played.with_context(|| format!("{} does not take poses any more", args.to))?;
            bar.inc(together.len() as u64);
        }
    }
    writer.finish()?.close()?;
    bar.finish_and_clear();
    Ok(())
}
