//! `tendon import`: from recordings in the format of their makers to one file.

use super::inspect::{counts_table, verification_text};
use super::output::print;
use anyhow::{Context as _, bail, ensure};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tendon_data::dataset::Dataset;
use tendon_data::import::{ImportOptions, Imported, import};
use tendon_data::recording::{Format, ScanOptions};
use tendon_data::synth::{MAX_CAMERAS, SynthSpec, write_ntu, write_ucla};
use tendon_data::verify::Verification;
use tendon_shared::topology::TopologyId;

/// Import recordings into one file, or generate some.
///
/// Nothing is written when a recording is damaged (see --skip-bad) or the import is interrupted.
#[derive(clap::Args)]
#[command(after_help = formats())]
pub(crate) struct Args {
    /// The recordings' format, or `synth` to generate some; see below.
    format: Source,
    /// Folder or file of the recordings; not for `synth`.
    path: Option<PathBuf>,
    /// The set to write. With `synth --write-as`, a folder.
    #[arg(long, short)]
    output: PathBuf,
    /// Convert every pose to this skeleton standard; see `tendon topologies`.
    #[arg(long)]
    topology: Option<String>,
    /// Leave out recordings that cannot be read, and count them.
    #[arg(long)]
    skip_bad: bool,
    /// Check what was written: counts, joints, empty frames, copies across splits.
    #[arg(long)]
    verify: bool,
    /// NTU: the list of recordings with missing skeletons, if it does not lie beside them.
    #[arg(long)]
    missing: Option<PathBuf>,
    #[command(flatten)]
    synth: SynthArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Generating (synth)")]
struct SynthArgs {
    /// Persons.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    subjects: u16,
    /// Cameras.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CAMERAS)))]
    cameras: u16,
    /// Performances of every action by every person.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repetitions: u16,
    /// The same seed gives the same recordings.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Every fourth action is performed by two persons.
    #[arg(long)]
    pairs: bool,
    /// Write files in this format into the folder OUTPUT: ntu-skeleton or nw-ucla-json.
    #[arg(long)]
    write_as: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Files(Format),
    Synth,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, Format::from_name(text)) {
            ("synth", _) => Ok(Self::Synth),
            (_, Some(format)) => Ok(Self::Files(format)),
            _ => {
                let known: Vec<&str> = Format::ALL
                    .into_iter()
                    .map(Format::name)
                    .chain(["synth"])
                    .collect();
                Err(format!("the formats are {}", known.join(", ")))
            }
        }
    }
}

fn formats() -> String {
    let line = |name: &str, about: &str| format!("  {name:<17} {about}\n");
    let formats: String = Format::ALL
        .iter()
        .map(|format| line(format.name(), format.about()))
        .collect();
    format!(
        "Formats:\n{formats}{}",
        line(
            "synth",
            "generated recordings of articulated bodies; needs no path"
        )
    )
}

/// Imports, then says what was written.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    let topology = args.topology.as_deref().map(topology).transpose()?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    let summary = match args.source()? {
        (Source::Files(format), Some(path)) => {
            let scan = format.scan(
                &path,
                &ScanOptions {
                    missing: args.missing.clone(),
                },
            )?;
            let bar = bar(scan.items.iter().map(|item| item.recordings as u64).sum())?;
            let options = ImportOptions {
                topology,
                skip_bad: args.skip_bad,
            };
            let imported = import(
                format,
                &scan,
                &args.output,
                options,
                &mut |done| bar.inc(done as u64),
                &cancelled,
            )?;
            bar.finish_and_clear();
            let notes = notes(&imported);
            if !notes.is_empty() {
                print(&notes)?;
            }
            imported.summary
        }
        _ => {
            let spec = SynthSpec {
                topology: topology.unwrap_or(SynthSpec::default().topology),
                seed: args.synth.seed,
                subjects: args.synth.subjects,
                cameras: args.synth.cameras,
                repetitions: args.synth.repetitions,
                pairs: args.synth.pairs,
                ..SynthSpec::default()
            };
            let bar = bar(spec.count() as u64)?;
            if let Some(format) = &args.synth.write_as {
                let files = write_files(&spec, format, &args, &bar, &cancelled)?;
                bar.finish_and_clear();
                print(&format!("wrote {files} files to {}", args.output.display()))?;
                return Ok(());
            }
            let summary = spec.write(&args.output, &mut |done| bar.inc(done as u64), &cancelled)?;
            bar.finish_and_clear();
            summary.context("stopped before the end; nothing was written")?
        }
    };
    let set = Dataset::open(&args.output)?;
    print(&format!(
        "wrote {} ({}) in {:.1} s: {} recordings, {} classes, {}\ndigest {}\n",
        args.output.display(),
        HumanBytes(summary.bytes),
        started.elapsed().as_secs_f64(),
        summary.recordings,
        set.classes().len(),
        set.topology(),
        summary.digest,
    ))?;
    if args.verify {
        set.verify_digest()?;
        print(&verification_text(&set, &Verification::of(&set)))?;
    } else {
        print(&counts_table(&set))?;
    }
    Ok(())
}

impl Args {
    fn source(&self) -> anyhow::Result<(Source, Option<PathBuf>)> {
        match (self.format, &self.path) {
            (Source::Files(format), None) => {
                bail!("where are the recordings? give {}", format.about())
            }
            (Source::Synth, Some(path)) => bail!(
                "synth generates recordings and reads none; leave out {}",
                path.display()
            ),
            (Source::Files(_), _) if self.synth.write_as.is_some() => {
                bail!("--write-as belongs to synth")
            }
            (source, path) => Ok((source, path.clone())),
        }
    }
}

fn topology(name: &str) -> anyhow::Result<TopologyId> {
    let known: Vec<&str> = TopologyId::ALL.into_iter().map(TopologyId::name).collect();
    TopologyId::from_name(name).with_context(|| {
        format!(
            "there is no topology {name:?}; there are {}",
            known.join(", ")
        )
    })
}

fn bar(length: u64) -> anyhow::Result<ProgressBar> {
    let template = "{wide_bar} {human_pos}/{human_len} recordings, {eta} left";
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(template)?))
}

/// What was left out and what was skipped. Only the first few errors: the rest is usually the same.
fn notes(imported: &Imported) -> String {
    const SHOWN: usize = 20;
    let mut notes = Vec::new();
    if !imported.left_out.is_empty() {
        let count = imported.left_out.len();
        notes.push(format!(
            "left out: {count} recordings that the set's own lists do not have or exclude"
        ));
    }
    if !imported.bad.is_empty() {
        notes.push(format!(
            "skipped: {} recordings that cannot be read",
            imported.bad.len()
        ));
    }
    notes.extend(
        imported
            .bad
            .iter()
            .take(SHOWN)
            .map(|error| format!("  {error}")),
    );
    if imported.bad.len() > SHOWN {
        notes.push(format!("  and {} more", imported.bad.len() - SHOWN));
    }
    notes.join("\n")
}

/// Writes every generated recording as a file of its own, in a format that other programs read.
fn write_files(
    spec: &SynthSpec,
    format: &str,
    args: &Args,
    bar: &ProgressBar,
    cancelled: &AtomicBool,
) -> anyhow::Result<usize> {
    let format = Format::from_name(format);
    let mut files = 0;
    for index in 0..spec.count() {
        ensure!(
            !cancelled.load(Ordering::Relaxed),
            "stopped after {files} files in {}",
            args.output.display()
        );
        let recording = spec.recording(index);
        let file = match format {
            Some(Format::NtuSkeleton) => Some((
                write_ntu::file_name(&recording),
                write_ntu::text(&recording)?,
            )),
            // NW-UCLA has codes for ten classes; further ones are not written.
            Some(Format::NwUclaJson) => match write_ucla::file_stem(&recording) {
                Some(stem) => Some((format!("{stem}.json"), write_ucla::json(&recording)?)),
                None => None,
            },
            _ => bail!("--write-as is ntu-skeleton or nw-ucla-json"),
        };
        if let Some((name, text)) = file {
            tendon_files::write(&args.output.join(name), text.as_bytes())?;
            files += 1;
        }
        bar.inc(1);
    }
    Ok(files)
}
