//! `tendon-edge state`: what a home's adaptation has learnt, shown, stored elsewhere, brought back, undone.
#![allow(clippy::print_stdout, reason = "commands print")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tendon_adapt::explain::{self, Line};
use tendon_adapt::features::FeatureShape;
use tendon_adapt::journal::{Journal, Note};
use tendon_adapt::state::State;

/// Show, export, import, reset or undo what the adaptation of a stopped agent has learnt.
///
/// Refused while an agent runs on the folder; a running one is told by `tendon control`. Every change replaces the whole file at once.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's data folder, or the folder given to `replay --state`.
    #[arg(
        long = "state",
        visible_alias = "data-dir",
        value_name = "DIR",
        default_value = ".",
        global = true
    )]
    folder: PathBuf,
    /// First letters of the digest of the bundle, when the folder has states of several; the one that was written last without.
    #[arg(long, global = true)]
    bundle: Option<String>,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show what was learnt, what can be undone, and what happened lately.
    Show {
        /// Show everything about this update: what was accepted and why, and what the guard said.
        #[arg(long, value_name = "UPDATE")]
        why: Option<u64>,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write everything that was learnt to one file, with a checksum and the digest of its bundle. It holds features of what was seen:
    /// keep it as private as the home.
    Export {
        /// A file that is not there yet.
        file: PathBuf,
    },
    /// Put an exported file in place of what is there, once everything in it was checked; one of another bundle is refused.
    Import {
        /// The exported file.
        file: PathBuf,
    },
    /// Forget everything that was learnt, also what persons named: the shipped bundle serves.
    Reset,
    /// Go back to what the tail was before the last update, or after one of the latest updates.
    Undo {
        /// The update; 0 for the shipped tail.
        #[arg(long, value_name = "UPDATE")]
        to: Option<u64>,
    },
}

/// Does what was asked.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    ensure!(
        args.folder.is_dir(),
        "{} is no folder of tendon-edge",
        args.folder.display()
    );
    // Also to show: a running agent may be about to replace what is read.
    let _lock = super::run::lock(&args.folder)
        .context("stop it first, or ask it with `tendon control` and `tendon-edge label`")?;
    let path = find(&args.folder, args.bundle.as_deref())?;
    if let Action::Reset = args.action {
        return reset(&path);
    }
    let (mut state, shape) = open(&path)?;
    match args.action {
        Action::Show {
            why: Some(update), ..
        } => why(&path, update)?,
        Action::Show { json: true, .. } => println!("{}", as_json(&path, &state)),
        Action::Show { .. } => show(&path, &state),
        Action::Export { file } => export(&path, &state, &file)?,
        Action::Import { file } => import(&path, &state, &shape, &file)?,
        Action::Undo { to } => {
            let update = state.undo(to)?;
            put(&path, &state, &shape, &Note::Undo { to: update })?;
            println!("{}", explain::note(&Note::Undo { to: update }));
        }
        Action::Reset => {}
    }
    Ok(())
}

/// The stored state that is meant.
fn find(folder: &Path, bundle: Option<&str>) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for folder in [folder.join("adapt"), folder.to_owned()] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let digest = name
                .strip_prefix("adapt-")
                .and_then(|rest| rest.strip_suffix(".state"));
            let wanted = match (bundle, digest) {
                (Some(wanted), Some(digest)) => {
                    digest.starts_with(wanted) || wanted.starts_with(digest)
                }
                (None, Some(_)) => true,
                _ => name == "adapt.state",
            };
            if wanted {
                found.push((entry.metadata()?.modified()?, path));
            }
        }
    }
    let newest = found.into_iter().max().map(|(_, path)| path);
    newest.with_context(|| match bundle {
        Some(bundle) => format!("{} holds no state of bundle {bundle}", folder.display()),
        None => format!(
            "{} holds no state of adaptation: the agent writes one when a bundle is confirmed",
            folder.display()
        ),
    })
}

fn open(path: &Path) -> anyhow::Result<(State, FeatureShape)> {
    State::open_file(path)
        .and_then(|found| found.ok_or(tendon_adapt::state::StateError::Damaged("no file")))
        .with_context(|| path.display().to_string())
}

/// Replaces the state, then writes down who did it.
fn put(path: &Path, state: &State, shape: &FeatureShape, note: &Note) -> anyhow::Result<()> {
    state.save(path, shape)?;
    Journal::new(Some(path.with_extension("jsonl")))
        .append(note)
        .context("the state was changed, but the journal could not be written")
}

fn export(path: &Path, state: &State, file: &Path) -> anyhow::Result<()> {
    ensure!(!file.exists(), "{} is there already", file.display());
    // The very bytes that were just checked would do, but the file may not be what it was.
    let bytes = std::fs::read(path)?;
    State::open(&bytes)?;
    tendon_files::write_private(file, &bytes)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!(
        "{} bytes of bundle {} with {} updates: {}",
        bytes.len(),
        state.base,
        state.facts.updates,
        file.display()
    );
    Ok(())
}

fn import(path: &Path, here: &State, shape: &FeatureShape, file: &Path) -> anyhow::Result<()> {
    let (mut state, other) = open(file)?;
    ensure!(
        state.base == here.base,
        "{} belongs to bundle {}, but {} to bundle {}: nothing was changed",
        file.display(),
        state.base,
        path.display(),
        here.base
    );
    ensure!(
        other == *shape,
        "{} holds features of another shape: nothing was changed",
        file.display()
    );
    // No number comes twice, whatever home it came from.
    let update = state.facts.total_updates;
    state.facts.total_updates = update.max(here.facts.total_updates);
    state.facts.windows = state.facts.windows.max(here.facts.windows);
    put(path, &state, shape, &Note::Import { update })?;
    println!("{}", explain::note(&Note::Import { update }));
    Ok(())
}

fn reset(path: &Path) -> anyhow::Result<()> {
    match State::open_file(path) {
        Ok(Some((mut state, shape))) => {
            state.reset();
            put(path, &state, &shape, &Note::Reset)?;
        }
        // What cannot be read holds nothing to keep, not even its count.
        _ => std::fs::remove_file(path).with_context(|| path.display().to_string())?,
    }
    println!("{}", explain::note(&Note::Reset));
    Ok(())
}

/// The journal's lines, those of the older file first.
fn journal(path: &Path) -> Vec<Line> {
    let newer = path.with_extension("jsonl");
    let older = path.with_extension("jsonl.1");
    [older, newer]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| explain::lines(&text).collect::<Vec<_>>())
        .collect()
}

fn why(path: &Path, update: u64) -> anyhow::Result<()> {
    let mut known = Vec::new();
    for line in journal(path).into_iter().rev() {
        let Line::Update(record) = line else { continue };
        if record.update == update {
            println!("{}", explain::update(&record));
            return Ok(());
        }
        known.push(record.update);
    }
    match (known.last(), known.first()) {
        (Some(oldest), Some(newest)) => {
            bail!("the journal has no update {update}; it has {oldest} to {newest}")
        }
        _ => bail!("the journal has no update"),
    }
}

/// Windows of every class in memory: all, and those that persons named.
fn memory(state: &State) -> BTreeMap<String, (usize, usize)> {
    let mut counts = BTreeMap::new();
    for entry in &state.memory {
        let (all, named): &mut (usize, usize) =
            counts.entry(class(state, entry.label)).or_default();
        *all += 1;
        *named += usize::from(entry.trusted);
    }
    counts
}

/// Windows of every class that the encoder was sure of and that answer for windows like them.
fn supports(state: &State) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for key in &state.supports {
        *counts.entry(class(state, key.label)).or_default() += 1;
    }
    counts
}

fn class(state: &State, label: u16) -> String {
    let name = state.classes.get(usize::from(label));
    name.map_or_else(|| format!("class {label}"), Clone::clone)
}

fn kept(state: &State) -> Vec<u64> {
    state.history.iter().map(|kept| kept.facts.update).collect()
}

fn as_json(path: &Path, state: &State) -> serde_json::Value {
    let memory: serde_json::Map<_, _> = memory(state)
        .into_iter()
        .map(|(name, (all, named))| (name, json!({ "windows": all, "named": named })))
        .collect();
    json!({
        "path": path,
        "bundle": state.base,
        "enabled": state.facts.enabled,
        "updates": state.facts.updates,
        "total_updates": state.facts.total_updates,
        "windows": state.facts.windows,
        "serving": if state.facts.guard.serves() { "adapted" } else { "base" },
        "discarded": state.facts.guard.discarded(),
        "memory": memory,
        "supports": supports(state),
        "named": state.keys.len(),
        "kept": kept(state),
    })
}

/// Lines of the journal that are shown.
const LATEST: usize = 12;

fn show(path: &Path, state: &State) {
    let facts = &state.facts;
    println!("file      {}", path.display());
    println!("bundle    {}", state.base);
    println!(
        "learning  {}, {} windows observed",
        if facts.enabled { "on" } else { "off" },
        facts.windows
    );
    println!(
        "tail      {} updates since the shipped one, {} in all, {} discarded; the {} tail serves",
        facts.updates,
        facts.total_updates,
        facts.guard.discarded(),
        if facts.guard.serves() {
            "adapted"
        } else {
            "shipped"
        }
    );
    let classes: Vec<String> = memory(state)
        .into_iter()
        .map(|(name, (all, named))| match named {
            0 => format!("{name} {all}"),
            named => format!("{name} {all} ({named} named)"),
        })
        .collect();
    println!(
        "memory    {} windows: {}",
        state.memory.len(),
        classes.join(", ")
    );
    let sure: Vec<String> = supports(state)
        .into_iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!(
        "answering {} windows that the bundle was sure of: {}; {} that persons named",
        state.supports.len(),
        if sure.is_empty() {
            "none".to_owned()
        } else {
            sure.join(", ")
        },
        state.keys.len(),
    );
    let kept: Vec<String> = kept(state)
        .iter()
        .filter(|update| **update > 0)
        .map(|update| format!(", {update}"))
        .collect();
    println!("undo to   0 (the shipped tail){}", kept.concat());
    let lines = journal(path);
    for line in lines.iter().skip(lines.len().saturating_sub(LATEST)) {
        println!(
            "journal   {}",
            match line {
                Line::Note(note) => explain::note(note),
                Line::Update(record) => explain::headline(record),
            }
        );
    }
}
