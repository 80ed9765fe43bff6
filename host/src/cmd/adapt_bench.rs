//! `tendon adapt-bench`: what adaptation is worth.

use super::output::{bar, print};
use anyhow::{Context as _, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tendon_bundle::TrustedKeys;
use tendon_host::adapt_bench::job::{Job, jobs};
use tendon_host::adapt_bench::material::{Material, Places};
use tendon_host::adapt_bench::page::page;
use tendon_host::adapt_bench::plan::Plan;
use tendon_host::adapt_bench::results::{Results, gather};
use tendon_host::adapt_bench::tables::tables;
use tendon_host::adapt_bench::work::work;

/// Measure adaptation: streams, domains, methods and seeds of one plan; resumable.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What is measured (see configs/adapt).
    #[arg(long)]
    plan: PathBuf,
    /// The folder of the bundles and classifiers that the plan names.
    #[arg(long)]
    bundles: PathBuf,
    /// The folder of the sets that the plan names.
    #[arg(long)]
    sets: PathBuf,
    /// Public keys of the bundles [default: key.pub in the folder of the bundles].
    #[arg(long)]
    trust: Option<PathBuf>,
    /// The folder of all results and of results.md, results.json and report.html. The same command goes on where it was stopped.
    #[arg(long)]
    out: PathBuf,
    /// Measurements at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Measure nothing: only gather what is done.
    #[arg(long)]
    gather: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let plan = Plan::read(&args.plan)?;
    let key = match &args.trust {
        Some(path) => path.clone(),
        None => args.bundles.join("key.pub"),
    };
    let trusted = TrustedKeys::read(&key)
        .with_context(|| format!("cannot use the keys in {} (--trust)", key.display()))?;
    let places = Places {
        bundles: &args.bundles,
        sets: &args.sets,
    };
    let material = Material::open(&plan, places, &trusted)
        .with_context(|| format!("cannot use {}", args.plan.display()))?;
    let jobs = jobs(&plan, &args.plan, &material)?;
    if !args.gather {
        measure(&plan, &material, &jobs, args)?;
    }
    let results = gather(&plan, &jobs, |job| job.read(&plan, &args.out));
    ensure!(
        !results.lines.is_empty(),
        "nothing of this plan is measured in {}",
        args.out.display()
    );
    write(&results, args)?;
    for (title, table) in tables(&results).iter().take(2) {
        print(&format!("{title}\n{}", table.text()))?;
    }
    print(&format!(
        "{} of {} measurements are done",
        results.lines.len(),
        results.jobs
    ))?;
    for name in ["results.md", "results.json", "report.html"] {
        print(&format!("wrote {}", args.out.join(name).display()))?;
    }
    Ok(())
}

/// Makes what is missing.
fn measure(plan: &Plan, material: &Material, jobs: &[Job], args: &Args) -> anyhow::Result<()> {
    let missing: Vec<&Job> = jobs
        .iter()
        .filter(|job| job.read(plan, &args.out).is_none())
        .collect();
    let bar = bar(jobs.len() as u64, "measurements");
    bar.set_position((jobs.len() - missing.len()) as u64);
    // What was done before says nothing about the time that is left.
    bar.reset_eta();
    let started = Instant::now();
    let clock = || started.elapsed();
    let done = |job: &Job| {
        bar.inc(1);
        if bar.is_hidden() {
            // A log wants lines. A reader that has gone away has seen enough.
            let line = format!("{}/{} {}", bar.position(), jobs.len(), job.title(plan));
            let _ = print(&format!("{line}, {} left", left(bar.eta())));
        } else {
            bar.set_message(job.title(plan));
        }
    };
    let threads = usize::from(args.threads);
    work(
        (plan, material, &args.out),
        &missing,
        threads,
        &clock,
        &done,
    )?;
    bar.finish_and_clear();
    Ok(())
}

fn left(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    format!("{} h {} min", minutes / 60, minutes % 60)
}

fn write(results: &Results, args: &Args) -> anyhow::Result<()> {
    let save = |name: &str, bytes: &[u8]| {
        tendon_files::write(&args.out.join(name), bytes)
            .with_context(|| format!("cannot write {}", args.out.join(name).display()))
    };
    save("results.json", &serde_json::to_vec(results)?)?;
    let markdown: Vec<String> = tables(results)
        .iter()
        .map(|(title, table)| format!("## {title}\n\n{}", table.markdown()))
        .collect();
    save("results.md", markdown.join("\n").as_bytes())?;
    let plan = args.plan.file_stem().unwrap_or_default();
    let title = format!("Adaptation: {}", plan.to_string_lossy());
    page(&title, results)
        .write(&args.out.join("report.html"))
        .with_context(|| format!("cannot write {}", args.out.join("report.html").display()))
}
