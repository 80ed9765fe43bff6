//! The page of `tendon inspect`: what is in a set, with an animated skeleton a class.

use super::{Clip, Page, Table, skeletons};
use std::collections::BTreeSet;
use tendon_data::dataset::{Dataset, Recording};

/// The page for a set.
#[must_use]
pub fn dataset_page(set: &Dataset) -> Page {
    let recordings: Vec<Recording<'_>> = set.recordings().collect();
    let name = set
        .path()
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut page = Page::new(&format!("Recordings of {name}"));
    let distinct = |tag: fn(&Recording<'_>) -> u16| {
        recordings.iter().map(tag).collect::<BTreeSet<u16>>().len()
    };
    let seconds: f64 = recordings
        .iter()
        .map(|recording| recording.frames as f64 / f64::from(recording.fps))
        .sum();
    page.figures_row(&[
        ("recordings", recordings.len().to_string()),
        ("classes", set.classes().len().to_string()),
        (
            "persons",
            distinct(|recording| recording.subject).to_string(),
        ),
        (
            "cameras",
            distinct(|recording| recording.camera).to_string(),
        ),
        ("minutes", format!("{:.1}", seconds / 60.0)),
        ("skeleton", set.topology().to_string()),
    ]);
    let info = set.info();
    page.paragraph(&format!(
        "Imported from {}. Terms: {}. Digest: {}.",
        info.source,
        info.terms.trim_end_matches('.'),
        set.digest()
    ));

    let classes = by_class(set, &recordings);
    page.heading("One recording of every class");
    page.paragraph(
        "The recording of middle length, as its camera sees it: the person's left side is blue and green, the right one \
         orange and purple. Click to stop, drag to turn.",
    );
    page.raw(&class_figures(set));
    if let Some(by_camera) = one_action_in_every_camera(&recordings) {
        let class = &set.classes()[usize::from(by_camera[0].label)];
        page.heading(&format!("“{class}” as every camera sees it"));
        let shown: Vec<(&Recording<'_>, String)> = by_camera
            .into_iter()
            .map(|recording| (recording, tags(recording)))
            .collect();
        page.raw(&figures(set, &shown));
    }
    page.heading("Classes");
    page.table(&class_table(set, &classes));
    page
}

/// An animated skeleton of every class, as a block for [`Page::raw`]: its recording of middle length.
#[must_use]
pub fn class_figures(set: &Dataset) -> String {
    let recordings: Vec<Recording<'_>> = set.recordings().collect();
    let classes = by_class(set, &recordings);
    let shown: Vec<(&Recording<'_>, String)> = set
        .classes()
        .iter()
        .zip(&classes)
        .filter_map(|(class, members)| Some((middle(members)?, class)))
        .map(|(recording, class)| (recording, format!("{class} ({})", tags(recording))))
        .collect();
    figures(set, &shown)
}

/// The recordings of each class.
fn by_class<'a, 'b>(set: &Dataset, recordings: &'a [Recording<'b>]) -> Vec<Vec<&'a Recording<'b>>> {
    let of = |label: usize| {
        let same = move |recording: &&Recording<'_>| usize::from(recording.label) == label;
        recordings.iter().filter(same).collect()
    };
    (0..set.classes().len()).map(of).collect()
}

/// Who, where and how long.
fn tags(recording: &Recording<'_>) -> String {
    format!(
        "person {}, camera {}, {} frames",
        recording.subject, recording.camera, recording.frames
    )
}

fn figures(set: &Dataset, shown: &[(&Recording<'_>, String)]) -> String {
    let clips: Vec<Clip<'_>> = shown
        .iter()
        .map(|(recording, caption)| Clip {
            topology: set.topology(),
            poses: recording.poses,
            bodies: recording.bodies,
            fps: recording.fps,
            caption,
        })
        .collect();
    skeletons(&clips)
}

/// The recording whose length is in the middle; of equal ones the first.
fn middle<'a, 'b>(members: &[&'a Recording<'b>]) -> Option<&'a Recording<'b>> {
    let mut sorted = members.to_vec();
    sorted.sort_by_key(|recording| recording.frames);
    sorted.get(sorted.len() / 2).copied()
}

/// A recording of each camera by the same person of the same class; nothing when there is one camera only.
fn one_action_in_every_camera<'a, 'b>(
    recordings: &'a [Recording<'b>],
) -> Option<Vec<&'a Recording<'b>>> {
    let first = recordings.first()?;
    let cameras: BTreeSet<u16> = recordings
        .iter()
        .map(|recording| recording.camera)
        .collect();
    let of = |camera: u16| {
        let same = |recording: &&Recording<'_>| {
            (recording.camera, recording.label, recording.subject)
                == (camera, first.label, first.subject)
        };
        recordings.iter().find(same)
    };
    let found: Vec<_> = cameras.into_iter().filter_map(of).collect();
    (found.len() > 1).then_some(found)
}

fn class_table(set: &Dataset, classes: &[Vec<&Recording<'_>>]) -> Table {
    let mut table = Table::new(&[
        "class",
        "recordings",
        "shortest",
        "mean frames",
        "longest",
        "empty frames",
    ]);
    for (class, members) in set.classes().iter().zip(classes) {
        let frames: Vec<usize> = members.iter().map(|recording| recording.frames).collect();
        let total: usize = frames.iter().sum();
        let empty: usize = members
            .iter()
            .map(|recording| empty_frames(recording))
            .sum();
        table.row(&[
            class.as_str(),
            &members.len().to_string(),
            &frames.iter().min().copied().unwrap_or(0).to_string(),
            &format!("{:.1}", total as f64 / members.len().max(1) as f64),
            &frames.iter().max().copied().unwrap_or(0).to_string(),
            &empty.to_string(),
        ]);
    }
    table
}

/// Frames without anybody.
fn empty_frames(recording: &Recording<'_>) -> usize {
    let frame = recording.poses.len() / recording.frames.max(1);
    recording
        .poses
        .chunks_exact(frame.max(1))
        .filter(|frame| frame.iter().all(|value| *value == 0.0))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use tendon_data::synth::{SynthSpec, classes};

    #[test]
    fn every_class_has_a_figure_and_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.safetensors");
        let spec = SynthSpec {
            subjects: 1,
            repetitions: 1,
            ..SynthSpec::default()
        };
        spec.write(&path, &mut |_| (), &AtomicBool::new(false))
            .unwrap();
        let html = dataset_page(&Dataset::open(&path).unwrap()).html();
        assert_eq!(
            html.matches("<figure class=\"skeleton\"").count(),
            classes().len() + 2
        );
        for class in classes() {
            assert!(html.contains(&format!("<td>{class}</td>")), "{class}");
        }
        assert!(html.contains("as every camera sees it"));
        assert!(!html.contains("src=") && !html.contains("href="));
    }
}
