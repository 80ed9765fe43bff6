//! `tendon inspect`: what is in a set of recordings.

use super::output::print;
use anyhow::Context as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use tendon_data::dataset::Dataset;
use tendon_data::recording::Format;
use tendon_data::split::{Axis, Split, preset};
use tendon_data::verify::Verification;
use tendon_host::report::{Table, dataset_page};

/// Show what is in a set of recordings, as a table or as a page with animated skeletons.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The set, as `tendon import` wrote it.
    set: PathBuf,
    /// Write a page with an animated skeleton of every class to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Read everything: digest, joints, empty frames, copies across splits.
    #[arg(long)]
    verify: bool,
    /// Look for copies across this split: a preset's name or TRAIN / TEST. Otherwise across the set's own splits.
    #[arg(long, requires = "verify")]
    split: Option<String>,
}

/// Prints a table, writes the page.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let set = Dataset::open(&args.set)?;
    let info = set.info();
    print(&format!(
        "{}: {} recordings from {}, {}\nterms: {}\ndigest {}\n",
        set.path().display(),
        set.len(),
        info.source,
        set.topology(),
        info.terms,
        set.digest()
    ))?;
    if args.verify {
        set.verify_digest()?;
        let found = Verification::of(&set);
        print(&verification_text(&set, &found))?;
        if let Some(split) = &args.split {
            let split = Split::parse(split)?;
            split.apply(&set)?;
            print(&across_text(&set, &found, &split).unwrap_or_default())?;
        }
    } else {
        print(&counts_table(&set))?;
    }
    if let Some(path) = &args.html {
        dataset_page(&set)
            .write(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        print(&format!("page {}", path.display()))?;
    }
    Ok(())
}

/// One row a class: recordings, persons, cameras, frames.
pub(crate) fn counts_table(set: &Dataset) -> String {
    let mut table = Table::new(&[
        "class",
        "recordings",
        "persons",
        "cameras",
        "frames: fewest",
        "mean",
        "most",
    ]);
    for (label, class) in set.classes().iter().enumerate() {
        let members: Vec<_> = set
            .recordings()
            .filter(|recording| usize::from(recording.label) == label)
            .collect();
        let distinct = |tag: fn(&tendon_data::dataset::Recording<'_>) -> u16| {
            members
                .iter()
                .map(tag)
                .collect::<std::collections::BTreeSet<u16>>()
                .len()
                .to_string()
        };
        let frames = || members.iter().map(|recording| recording.frames);
        let mean = frames().sum::<usize>() as f64 / members.len().max(1) as f64;
        table.row(&[
            class.clone(),
            members.len().to_string(),
            distinct(|recording| recording.subject),
            distinct(|recording| recording.camera),
            frames().min().unwrap_or_default().to_string(),
            format!("{mean:.1}"),
            frames().max().unwrap_or_default().to_string(),
        ]);
    }
    table.text()
}

/// Everything that a verification found.
pub(crate) fn verification_text(set: &Dataset, found: &Verification) -> String {
    let mut text = counts_table(set);
    for (axis, counts) in &found.tags {
        // A set without setups, say, has one value everywhere.
        if counts.len() > 1 {
            let counts: Vec<String> = counts
                .iter()
                .map(|(value, count)| format!("{value}: {count}"))
                .collect();
            let _ = writeln!(
                text,
                "\nrecordings by {}: {}",
                axis_name(*axis),
                counts.join(", ")
            );
        }
    }
    let mut joints = Table::new(&["joint", "mean x", "y", "z", "spread x", "y", "z", "absent"]);
    for (name, joint) in set.topology().topology().joints.iter().zip(&found.joints) {
        let metres = |values: [f64; 3]| values.map(|value| format!("{value:.3}"));
        let ([x, y, z], [sx, sy, sz]) = (metres(joint.mean), metres(joint.spread));
        joints.row(&[
            (*name).to_owned(),
            x,
            y,
            z,
            sx,
            sy,
            sz,
            format!("{:.2} %", joint.absent * 100.0),
        ]);
    }
    let _ = writeln!(
        text,
        "\njoints, in metres over all frames:\n{}",
        joints.text()
    );
    let names = |numbers: &mut dyn Iterator<Item = usize>| shown(set, numbers);
    let [fewest, middle, most] = found.frames;
    let _ = writeln!(
        text,
        "frames a recording: {fewest} to {most}, half of them above {middle}"
    );
    let _ = writeln!(
        text,
        "recordings of a single frame: {}",
        names(&mut found.single_frame.iter().copied())
    );
    let empty: usize = found.empty_frames.iter().map(|(_, count)| count).sum();
    let with_empty = names(&mut found.empty_frames.iter().map(|(number, _)| *number));
    let _ = writeln!(
        text,
        "frames without anybody: {empty}, in recordings: {with_empty}"
    );
    let absent: usize = found.absent_joints.iter().map(|(_, count)| count).sum();
    let with_absent = names(&mut found.absent_joints.iter().map(|(number, _)| *number));
    let _ = writeln!(
        text,
        "joints absent from a body: {absent}, in recordings: {with_absent}"
    );
    let _ = writeln!(
        text,
        "groups of recordings with equal content: {}",
        found.copies.len()
    );
    for group in found.copies.iter().take(SHOWN) {
        let labels: std::collections::BTreeSet<u16> = group
            .iter()
            .map(|&number| set.recording(number).label)
            .collect();
        let differ = if labels.len() > 1 { DIFFER } else { "" };
        let _ = writeln!(text, "  {}{differ}", shown(set, &mut group.iter().copied()));
    }
    let _ = writeln!(
        text,
        "pairs of other recordings that share frames: {}",
        found.overlaps.len()
    );
    for overlap in found.overlaps.iter().take(SHOWN) {
        let (first, second) = (set.recording(overlap.first), set.recording(overlap.second));
        let differ = if first.label == second.label {
            ""
        } else {
            DIFFER
        };
        let _ = writeln!(
            text,
            "  {} of {} frames of {} are in {}{differ}",
            overlap.frames, second.frames, second.name, first.name
        );
    }
    if found.overlaps.len() > SHOWN {
        let _ = writeln!(text, "  and {} more", found.overlaps.len() - SHOWN);
    }
    let format = Format::from_name(&set.info().source);
    for name in format.map(Format::presets).unwrap_or_default() {
        if let Some(line) = preset(name)
            .ok()
            .and_then(|split| across_text(set, found, &split))
        {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Names in one line, and lines in one list.
const SHOWN: usize = 12;

const DIFFER: &str = " (their classes differ)";

fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Subject => "person",
        Axis::Camera => "camera",
        Axis::Setup => "setup",
        Axis::Repetition => "take",
        Axis::Label => "class",
    }
}

/// The first few names.
fn shown(set: &Dataset, numbers: &mut dyn Iterator<Item = usize>) -> String {
    let names: Vec<&str> = numbers.map(|number| set.recording(number).name).collect();
    let first = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{first} and {} more", count - SHOWN),
        _ => first,
    }
}

/// Sizes of a split, and the content that is on both of its sides; nothing when the set lacks a side.
fn across_text(set: &Dataset, found: &Verification, split: &Split) -> Option<String> {
    let across = found.across(set, split)?;
    let (train, test) = (
        split.train.indices(set).len(),
        split.test.indices(set).len(),
    );
    let mut text = format!(
        "split {}: {train} training, {test} test recordings, ",
        split.name
    );
    match split.counts {
        Some(_) if split.is_complete(train, test) => text.push_str("complete, "),
        Some((all_train, all_test)) => {
            let _ = write!(text, "a part of the published {all_train} and {all_test}, ");
        }
        None => {}
    }
    let _ = write!(
        text,
        "{} pairs with equal content on both sides",
        across.len()
    );
    for (first, second) in across.iter().take(SHOWN) {
        let _ = write!(
            text,
            "\n  {} (training), {} (test)",
            set.recording(*first).name,
            set.recording(*second).name
        );
    }
    if across.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", across.len() - SHOWN);
    }
    Some(text)
}
