//! `tendon compare`: a grid of encoders, seeds and protocols.

use super::output::print;
use anyhow::{Context as _, bail, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tendon_data::dataset::Dataset;
use tendon_data::split::Split;
use tendon_data::windows::WindowSet;
use tendon_host::compare::job::{Labels, Places};
use tendon_host::compare::map::map;
use tendon_host::compare::page::{EncoderMap, page};
use tendon_host::compare::plan::SetPlan;
use tendon_host::compare::{Digests, Job, Kind, Plan, Results, gather, jobs};
use tendon_host::evaluate::features::embed;
use tendon_host::evaluate::pooling::Pooling;
use tendon_host::report::Point;
use tendon_model::weights::load;

/// Pretrain and judge a grid of encoders; one table, resumable.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is compared (see configs/compare).
    #[arg(long)]
    plan: PathBuf,
    /// The folder of the sets that the plan names.
    #[arg(long)]
    sets: PathBuf,
    /// The folder of all runs and of results.md, results.json and report.html. The same command goes on where it was stopped.
    #[arg(long)]
    out: PathBuf,
    /// Run nothing: only gather what is done.
    #[arg(long)]
    gather: bool,
    /// Leave out the maps of embeddings.
    #[arg(long)]
    no_maps: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.plan)
        .with_context(|| format!("cannot read {}", args.plan.display()))?;
    let plan = Plan::parse(&text).with_context(|| format!("cannot use {}", args.plan.display()))?;
    let places = Places {
        plan: args.plan.parent().unwrap_or(Path::new("")),
        sets: &args.sets,
        out: &args.out,
    };
    // A mistake in a configuration is told now and not after hours of other runs.
    for encoder in &plan.encoders {
        let config = encoder.configuration(places.plan);
        config.with_context(|| format!("cannot use {}", args.plan.display()))?;
    }
    let jobs = jobs(&plan, places);
    // Found now: the file may be replaced by a newer one before the last job.
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut done = Done::default();
    if !args.gather {
        work(&program, &jobs, &mut done, &plan, args)?;
    }
    let results = collect(&jobs, &mut done);
    ensure!(
        results.done > 0,
        "no job of this plan is done in {}",
        args.out.display()
    );
    write(&results, &jobs, &done, &plan, args, !args.no_maps)?;
    for (title, table) in results.tables() {
        print(&format!("{title}\n{}", table.text()))?;
    }
    for name in ["results.md", "results.json", "report.html"] {
        print(&format!("wrote {}", args.out.join(name).display()))?;
    }
    Ok(())
}

/// What is known about the jobs' folders and files.
#[derive(Default)]
struct Done {
    /// Folders that hold a finished job of this plan.
    folders: BTreeSet<PathBuf>,
    digests: Digests,
}

/// Runs what is not done.
fn work(
    program: &Path,
    jobs: &[Job],
    done: &mut Done,
    plan: &Plan,
    args: &Args,
) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} jobs, {eta} left  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(jobs.len() as u64).with_style(style);
    for job in jobs {
        bar.set_message(job.title());
        let identity = job.identity(&mut done.digests)?;
        match job.done(&identity) {
            Some(true) => {}
            Some(false) => bail!(
                "{} holds the result of another command or other files: choose another --out, or remove it",
                job.folder.display()
            ),
            None => {
                execute(program, job)?;
                job.finish(&identity)?;
                // The table grows with every job, so that it can be read at any time.
                let results = collect(jobs, done);
                write(&results, jobs, done, plan, args, false)?;
            }
        }
        done.folders.insert(job.folder.clone());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Runs one job; what it prints goes to its log.
fn execute(program: &Path, job: &Job) -> anyhow::Result<()> {
    std::fs::create_dir_all(&job.folder)?;
    let log_path = job.folder.join("log.txt");
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log_path)?;
    let mut command = Command::new(program);
    command.args(&job.arguments);
    // A pretraining that was stopped goes on from its checkpoint.
    if job.kind == Kind::Pretrain && job.folder.join("checkpoint.safetensors").exists() {
        command.arg("--resume");
    }
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot run {}", job.title()))?;
    ensure!(
        status.success(),
        "{} failed ({status}); what it said is in {}. The same command goes on from here",
        job.title(),
        log_path.display()
    );
    Ok(())
}

/// The results of all jobs that are done; looks at each job's files once.
fn collect(jobs: &[Job], done: &mut Done) -> Results {
    for job in jobs {
        if !done.folders.contains(&job.folder) {
            let is = job
                .identity(&mut done.digests)
                .ok()
                .and_then(|identity| job.done(&identity))
                .unwrap_or(false);
            if is {
                done.folders.insert(job.folder.clone());
            }
        }
    }
    gather(jobs, |job| done.folders.contains(&job.folder))
}

fn write(
    results: &Results,
    jobs: &[Job],
    done: &Done,
    plan: &Plan,
    args: &Args,
    with_maps: bool,
) -> anyhow::Result<()> {
    let save = |name: &str, bytes: &[u8]| {
        tendon_files::write(&args.out.join(name), bytes)
            .with_context(|| format!("cannot write {}", args.out.join(name).display()))
    };
    save("results.json", &serde_json::to_vec_pretty(results)?)?;
    let markdown: Vec<String> = results
        .tables()
        .iter()
        .map(|(title, table)| format!("## {title}\n\n{}", table.markdown()))
        .collect();
    save("results.md", markdown.join("\n").as_bytes())?;
    let first: Vec<&Job> = jobs
        .iter()
        .filter(|job| job.kind == Kind::Pretrain && job.seed == plan.seeds[0])
        // One line and one map an encoder: the first draw of the first amount.
        .filter(|job| job.labels == Labels::first(plan, &job.encoder))
        .filter(|job| done.folders.contains(&job.folder))
        .collect();
    let curves: Vec<_> = first.iter().filter_map(|job| curve(job)).collect();
    let mut maps = Vec::new();
    if with_maps {
        for set in &plan.sets {
            maps.extend(maps_of(plan, set, &first, jobs, args)?);
        }
    }
    let plan_name = args.plan.file_stem().unwrap_or_default();
    let title = format!("Comparison: {}", plan_name.to_string_lossy());
    page(&title, results, &curves, &maps)
        .write(&args.out.join("report.html"))
        .with_context(|| format!("cannot write {}", args.out.join("report.html").display()))
}

/// The monitor's curve of a pretraining.
fn curve(job: &Job) -> Option<(String, Vec<(f64, f64)>)> {
    let text = std::fs::read_to_string(job.folder.join("log.jsonl")).ok()?;
    let points: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let top1 = line.get("knn")?.as_f64()?;
            Some((line.get("step")?.as_f64()?, top1))
        })
        .collect();
    let name = format!("{}, {}", job.encoder, job.on);
    // A single look is no curve.
    (points.len() > 1).then_some((name, points))
}

/// Maps of a set's test windows under the encoders that are judged on it.
fn maps_of(
    plan: &Plan,
    set: &SetPlan,
    first: &[&Job],
    jobs: &[Job],
    args: &Args,
) -> anyhow::Result<Vec<EncoderMap>> {
    let dataset = Dataset::open(args.sets.join(&set.data))?;
    let (_, test) = Split::parse(&set.split)?.apply(&dataset)?;
    let device = Device::flex();
    let mut maps = Vec::new();
    for job in first {
        let judged = |other: &&Job| {
            other.folder.parent() == job.folder.parent()
                && matches!(&other.kind, Kind::Evaluate { set: name, .. } if *name == set.name)
        };
        if !jobs.iter().any(|other| judged(&other)) {
            continue;
        }
        let Some(weights) = plan.weights(&job.encoder, &job.folder).into_iter().next() else {
            continue;
        };
        let loaded = load(&weights, &device)?;
        let description = &loaded.description;
        let windows = WindowSet::prepare(&dataset, &test, &description.normalize)?;
        let features = embed(
            &loaded.encoder,
            &description.config,
            Pooling::Mean,
            &windows,
            &device,
            |_| {},
        )?;
        let places = map(&features, job.seed);
        maps.push(EncoderMap {
            title: format!("{} on {}", job.encoder, set.name),
            points: places
                .into_iter()
                .zip(&windows.labels)
                .map(|(at, label)| Point {
                    at,
                    group: usize::from(*label),
                })
                .collect(),
            classes: windows.classes.clone(),
        });
    }
    Ok(maps)
}
