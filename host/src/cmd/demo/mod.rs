//! `tendon demo`: the main job in one command.
//!
//! The demo is a script: every step is a command of `tendon` or `tendon-edge`, run as a process and printed before it runs, so
//! that a user can repeat each one with data of their own. The edge agent is a separate process at the other end of a serial
//! line (two joined pseudo-terminals); poses of another camera reach it through a socket.
#![allow(clippy::print_stdout, reason = "commands print")]

mod cable;
mod edge;
mod page;
mod plan;
mod step;
mod stream;
mod tally;

use anyhow::{Context as _, ensure};
use cable::Cable;
use edge::Edge;
use page::Findings;
use plan::Plan;
use std::path::{Path, PathBuf};
use std::time::Instant;
use step::{Steps, shown};
use stream::Stream;
use tally::Tally;

/// Marks a folder that a demo made and another demo may replace.
const MARK: &str = "made-by-tendon-demo";

/// Do everything once: recordings, pretraining, evaluation, a signed bundle, a device, another camera.
///
/// Without --data it generates recordings of articulated bodies. Takes about two minutes on two cores and writes
/// index.html with curves, confusion matrices and animated skeletons into the folder --out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use these recordings, made by `tendon import`, instead of generated ones.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Who trains and whom the device then sees: a preset such as nw-ucla-view1, or "TRAIN / TEST".
    #[arg(long, default_value = "cameras=1 / cameras=2")]
    split: String,
    /// The folder for everything the demo makes; one that an earlier demo made is replaced.
    #[arg(long, default_value = "demo-report")]
    out: PathBuf,
    /// Decides all random draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A few seconds of training instead of minutes: shows that everything works, the figures mean nothing.
    #[arg(long)]
    quick: bool,
}

/// Runs the demo.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let edge_program = edge::program()?;
    let plan = Plan::new(args.quick);
    let out = fresh(&args.out)?;
    plan.write(&out)?;
    let seed = args.seed.to_string();
    let split = args.split.as_str();
    let mut steps = Steps::new(&out, 10)?;
    println!("Everything is made in {}.", out.display());

    let data = match &args.data {
        Some(path) => path
            .canonicalize()
            .with_context(|| format!("cannot open {}", path.display()))?
            .display()
            .to_string(),
        None => "recordings.safetensors".to_owned(),
    };
    if args.data.is_none() {
        let (subjects, takes) = (plan.subjects.to_string(), plan.repetitions.to_string());
        steps.tendon(
            "Recordings: persons before two cameras, generated",
            &[
                "import",
                "synth",
                "-o",
                &data,
                "--subjects",
                &subjects,
                "--repetitions",
                &takes,
                "--cameras",
                "2",
                "--seed",
                &seed,
            ],
        )?;
    }
    let common = ["--data", &data, "--split", split, "--seed", &seed];
    steps.tendon(
        "Pretrain an encoder on camera 1, without labels",
        &[
            &["pretrain", "--config", "pretrain.toml", "--out", "pretrain"],
            &common[..],
        ]
        .concat(),
    )?;
    let encoder = ["--encoder", "pretrain/encoder.safetensors"];
    steps.tendon(
        "What the encoder knows: a linear classifier on its frozen features",
        &[
            &["eval", "probe", "--out", "probe"],
            &encoder[..],
            &common[..],
        ]
        .concat(),
    )?;
    steps.tendon(
        "Finetune it with camera 1's labels",
        &[
            &[
                "eval",
                "finetune",
                "--config",
                "finetune.toml",
                "--out",
                "finetune",
            ],
            &encoder[..],
            &common[..],
        ]
        .concat(),
    )?;
    steps.tendon(
        "A key that signs what devices may run",
        &["keygen", "-o", "release.key"],
    )?;
    steps.tendon(
        "Quantize to int8 and sign",
        &[
            "bundle",
            "--classifier",
            "finetune/classifier.safetensors",
            "--data",
            &data,
            "--split",
            split,
            "--key",
            "release.key",
            "--model-version",
            "1",
            "--licence",
            "generated data, no restrictions",
            "--report",
            "bundle.json",
            "-o",
            "model.tendon",
        ],
    )?;

    let cable = Cable::new()?;
    let edge_arguments = [
        "run",
        "--data-dir",
        "device",
        "--trust",
        "release.key.pub",
        "--serial",
        &cable.device,
        "--source",
        "unix:poses.sock",
        "--config",
        "edge.toml",
        "--json",
    ];
    let before = Instant::now();
    steps.announce("Start a device", &shown("tendon-edge", &edge_arguments));
    let edge = Edge::start(&edge_program, &out, &edge_arguments)?;
    steps.finish(
        "Start a device",
        &shown("tendon-edge", &edge_arguments),
        before.elapsed(),
    );
    let port = format!("serial:{}", cable.host);
    steps.tendon(
        "Ship the bundle over a serial line",
        &["deploy", "--to", &port, "model.tendon"],
    )?;
    let deployed = cable.carried();

    let mut tallies = Vec::new();
    for (pass, title) in [
        "Camera 2 watches: the device recognises and adapts",
        "The same recordings again, in another order",
    ]
    .into_iter()
    .enumerate()
    {
        let stream = Stream {
            data: &data,
            split,
            seed: args.seed + pass as u64,
            speed: plan.speed,
        };
        let truth = stream.truth(&steps, &out)?;
        steps.tendon(title, &stream.arguments("unix:poses.sock").each())?;
        let found = edge.until_quiet(truth.len())?;
        tallies.push(Tally::new(&truth, &found));
    }
    edge.stop()?;

    let findings = Findings::read(&out, &data, deployed, tallies)?;
    let page = out.join("index.html");
    findings
        .page(steps.done())
        .write(&page)
        .with_context(|| format!("cannot write {}", page.display()))?;
    println!("\n{}", findings.table().text());
    if args.quick {
        println!("(--quick: trained for seconds only; the figures mean nothing)");
    }
    println!(
        "{:.0} s in all. Curves, confusion matrices, skeletons: {}",
        steps.elapsed().as_secs_f64(),
        page.display()
    );
    Ok(())
}

/// An empty folder at `path`; replaces only what an earlier demo made.
fn fresh(path: &Path) -> anyhow::Result<PathBuf> {
    if path.exists() {
        let empty = path.is_dir()
            && path
                .read_dir()
                .is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            empty || path.join(MARK).is_file(),
            "{} exists and no demo made it; name another folder with --out",
            path.display()
        );
        std::fs::remove_dir_all(path)
            .with_context(|| format!("cannot replace {}", path.display()))?;
    }
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    std::fs::write(path.join(MARK), "")
        .with_context(|| format!("cannot write into {}", path.display()))?;
    path.canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_what_a_demo_made() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("photos");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("a.jpg"), "x").unwrap();
        assert!(fresh(&foreign).is_err());
        assert!(foreign.join("a.jpg").exists());

        let ours = folder.path().join("demo");
        fresh(&ours).unwrap();
        std::fs::write(ours.join("old"), "x").unwrap();
        fresh(&ours).unwrap();
        assert!(!ours.join("old").exists() && ours.join(MARK).exists());
    }
}
