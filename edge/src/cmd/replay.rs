//! `tendon-edge replay`: measures a bundle and its adaptation on a recorded stream.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::Context as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tendon_adapt::adapter::Places;
use tendon_bundle::{Bundle, Floor, TrustedKeys};
use tendon_edge::replay::{Questions, Report, measure};

/// Measure a bundle and its adaptation on a recorded stream, window by window: predict, then update.
///
/// The same pipeline as `run`, single-threaded and deterministic. Labels on the stream's end marks are only counted; a label that is no
/// class of the bundle, such as 65535, marks an unknown action.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Public key that must have signed it.
    #[arg(long)]
    trust: PathBuf,
    /// The stream that `tendon replay` wrote; - reads stdin.
    #[arg(long)]
    input: PathBuf,
    /// Configuration; the defaults without.
    #[arg(long)]
    config: Option<PathBuf>,
    /// One value of the configuration, such as adapt.student.learning_rate=0.0005; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder for the adaptation's state and journal, taken up again when it is there.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Name the first N windows of every class, each after it was answered, as a person would with `tendon-edge label`.
    #[arg(long, value_name = "N", default_value_t = 0)]
    label_each: usize,
    /// Do not run the stream once more at the end: nothing of it is kept, so it may last for days.
    #[arg(long)]
    single_pass: bool,
    /// Where to write the report as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Seed of strong views and restored weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Measures and prints.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    tendon_adapt::device::compute_here();
    let config = super::config::read(args.config.as_deref(), &args.settings)?.pipeline;
    let trusted = TrustedKeys::read(&args.trust)
        .with_context(|| format!("cannot use {}", args.trust.display()))?;
    let bundle = Bundle::open(&args.bundle, &trusted, Floor::default())
        .with_context(|| format!("cannot use {}", args.bundle.display()))?;
    let stream: Box<dyn Read> = if args.input == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(
            std::fs::File::open(&args.input)
                .with_context(|| format!("cannot open {}", args.input.display()))?,
        )
    };
    let mut places = Places::default();
    let mut _lock = None;
    if let Some(folder) = &args.state {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        _lock = Some(super::run::lock(folder)?);
        places = Places {
            state: Some(folder.join("adapt.state")),
            journal: Some(folder.join("adapt.jsonl")),
        };
    }
    let started = Instant::now();
    let report = measure(
        &Arc::new(bundle),
        stream,
        &config,
        places,
        Questions {
            seed: args.seed,
            confirmed: args.label_each,
            second_pass: !args.single_pass,
        },
        &|| started.elapsed(),
    )?;
    if let Some(refused) = &report.refused {
        eprintln!("warning: {refused}");
    }
    print(&report);
    if let Some(path) = &args.out {
        tendon_files::write(path, &serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn print(report: &Report) {
    let percent = |share: f64| format!("{:5.1} %", share * 100.0);
    let row = |name: &str, accuracy: tendon_edge::replay::Accuracy| {
        println!(
            "{name:<14} base {}   reported {}   unguarded {}   ({} windows)",
            percent(accuracy.base),
            percent(accuracy.reported),
            percent(accuracy.unguarded),
            accuracy.windows
        );
    };
    row("online", report.online);
    if let Some(afterwards) = report.afterwards {
        row("afterwards", afterwards);
    } else {
        for (number, part) in report.tenths.iter().enumerate() {
            row(&format!("tenth {}", number + 1), *part);
        }
    }
    println!(
        "source buffer  base {}   adapted {}",
        percent(f64::from(report.source.0)),
        percent(f64::from(report.source.1))
    );
    println!(
        "adaptation     {} accepted, {} unsure, pseudo-labels {} right, {} updates, {} discarded, {} windows answered",
        report.adapt.accepted,
        report.adapt.unsure,
        percent(report.pseudo_precision),
        report.adapt.updates,
        report.discarded,
        report.served_adapted
    );
    println!(
        "corrected      level {}, limbs {}, steady {} windows",
        report.corrected.level, report.corrected.limbs, report.corrected.steady
    );
    let (adapt, window, capture) = (&report.adapt, &report.window, &report.capture);
    println!(
        "never learnt   {} poor, {} frozen, {} torn, {} of no known action; {} named by a person",
        adapt.poor, adapt.frozen, adapt.torn, adapt.unknown, adapt.labelled
    );
    println!(
        "input          {} malformed, {} too long, joints {} not finite, {} absurd; poses {} out of order, {} foreign; tracks {} crowded out, {} clock resets",
        capture.malformed,
        capture.too_long,
        capture.not_finite,
        capture.absurd,
        window.out_of_order,
        window.wrong_joints,
        window.evicted,
        window.clock_resets
    );
    if let Some(open) = &report.open_world {
        println!(
            "open world     AUROC {:.3} (distance {:.3}, confidence {:.3}), rejected {} of {} known, {} of {} unknown, {} times an unknown one taught",
            open.auroc,
            open.auroc_distance,
            open.auroc_confidence,
            percent(open.known_rejected),
            open.known,
            percent(open.unknown_rejected),
            open.unknown,
            open.unknown_taught
        );
    }
    println!(
        "time           window {:.1} ms, update {:.0} ms (longest {:.0}), longest wait {:.0} ms",
        report.window_ms, report.update_ms.0, report.update_ms.1, report.piece_ms
    );
}
