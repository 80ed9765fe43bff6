//! What the writers write, the readers of the public sets read back exactly.

use super::{SynthSpec, write_ntu, write_ucla};
use crate::recording::{Format, RawRecording, ScanOptions};
use std::ops::ControlFlow;
use tendon_shared::topology::TopologyId;

/// Writes a set with `file` (name and text; nothing for an action without a code), reads it and compares.
fn check(
    topology: TopologyId,
    reader: Format,
    actions: usize,
    file: impl Fn(&RawRecording) -> Option<(String, String)>,
) {
    let spec = SynthSpec {
        topology,
        subjects: 1,
        repetitions: 1,
        ..SynthSpec::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let written: Vec<RawRecording> = (0..spec.count())
        .map(|index| spec.recording(index))
        .filter(|recording| {
            file(recording).is_some_and(|(name, text)| {
                std::fs::write(folder.path().join(name), text).unwrap();
                true
            })
        })
        .collect();
    assert_eq!(written.len(), actions * usize::from(spec.cameras));
    let scan = reader.scan(folder.path(), &ScanOptions::default()).unwrap();
    let mut read: Vec<RawRecording> = Vec::new();
    for item in &scan.items {
        reader.read(item, &mut |recording| {
            read.push(recording.unwrap());
            ControlFlow::Continue(())
        });
    }
    assert_eq!(read.len(), written.len());
    for recording in read {
        let tags = |r: &RawRecording| (r.label, r.subject, r.camera, r.frames);
        let original = written.iter().find(|other| tags(other) == tags(&recording));
        assert!(
            original.is_some_and(|other| other.poses == recording.poses),
            "{}",
            recording.name
        );
    }
}

#[test]
fn ntu_files_are_read_back_exactly() {
    let actions = super::classes().len();
    check(
        TopologyId::Ntu25,
        Format::NtuSkeleton,
        actions,
        |recording| {
            Some((
                write_ntu::file_name(recording),
                write_ntu::text(recording).unwrap(),
            ))
        },
    );
}

#[test]
fn nw_ucla_files_are_read_back_exactly_without_the_actions_it_lacks() {
    check(TopologyId::Kinect20, Format::NwUclaJson, 10, |recording| {
        let stem = write_ucla::file_stem(recording)?;
        Some((format!("{stem}.json"), write_ucla::json(recording).unwrap()))
    });
}
