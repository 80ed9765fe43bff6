//! What holds for every format, and the generator's files read back.

use super::*;
use crate::synth::{SynthSpec, write_ntu, write_ucla};

fn spec(topology: TopologyId) -> SynthSpec {
    SynthSpec {
        topology,
        subjects: 2,
        cameras: 2,
        repetitions: 1,
        ..SynthSpec::default()
    }
}

fn read_all(format: Format, path: &Path) -> Vec<RawRecording> {
    let scan = format.scan(path, &ScanOptions::default()).unwrap();
    let mut found = Vec::new();
    for item in &scan.items {
        format.read(item, &mut |recording| {
            found.push(recording.unwrap());
            ControlFlow::Continue(())
        });
    }
    found
        .iter()
        .for_each(|recording| recording.check(scan.info.topology).unwrap());
    found
}

/// The same performance but for its name, up to `tolerance` metres.
fn check_same(read: &RawRecording, written: &RawRecording, tolerance: f32) {
    let tags = |r: &RawRecording| {
        (
            r.frames,
            r.bodies,
            r.label,
            r.subject,
            r.camera,
            r.repetition,
            r.fps,
        )
    };
    assert_eq!(tags(read), tags(written), "{}", read.name);
    for (read, written) in read.poses.iter().zip(&written.poses) {
        assert!((read - written).abs() <= tolerance, "{read} {written}");
    }
}

#[test]
fn ntu_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(TopologyId::Ntu25);
    let written: Vec<RawRecording> = (0..spec.count())
        .map(|index| spec.recording(index))
        .collect();
    for recording in &written {
        let text = write_ntu::text(recording).unwrap();
        std::fs::write(folder.path().join(write_ntu::file_name(recording)), text).unwrap();
    }
    let read = read_all(Format::NtuSkeleton, folder.path());
    assert_eq!(read.len(), written.len());
    for written in &written {
        let name = write_ntu::file_name(written);
        let read = read
            .iter()
            .find(|read| name.starts_with(&read.name))
            .unwrap();
        check_same(read, written, 1e-5);
    }
}

#[test]
fn nw_ucla_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(TopologyId::Kinect20);
    let written: Vec<RawRecording> = (0..spec.count())
        .map(|index| spec.recording(index))
        .collect();
    let mut files = 0;
    for recording in &written {
        let Some(stem) = write_ucla::file_stem(recording) else {
            continue;
        };
        files += 1;
        std::fs::write(
            folder.path().join(format!("{stem}.json")),
            write_ucla::json(recording).unwrap(),
        )
        .unwrap();
    }
    let read = read_all(Format::NwUclaJson, folder.path());
    assert_eq!(read.len(), files);
    for read in &read {
        let written = written
            .iter()
            .find(|written| write_ucla::file_stem(written).as_ref() == Some(&read.name))
            .unwrap();
        // Takes count from 0 in these files.
        check_same(
            &RawRecording {
                repetition: read.repetition + 1,
                ..read.clone()
            },
            written,
            1e-5,
        );
    }
}

#[test]
fn an_empty_folder_or_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        for path in [folder.path(), &folder.path().join("absent")] {
            let error = format.scan(path, &ScanOptions::default()).unwrap_err();
            assert!(
                error.to_string().starts_with(&path.display().to_string()),
                "{} {error}",
                format.name()
            );
        }
    }
}

#[test]
fn names_lead_to_their_formats() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
        assert_eq!(
            Format::from_name(&format.name().replace('-', "_")),
            Some(format)
        );
        for preset in format.presets() {
            assert!(crate::split::preset(preset).is_ok(), "{preset}");
        }
    }
    assert_eq!(Format::from_name("avi"), None);
}

/// The public sets, which stand beside the repository on some machines: counts, and splits without copies in other classes.
#[test]
fn public_sets_have_their_published_counts() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (format, folder, expect) in [
        (Format::NwUclaJson, "nw-ucla", 1020),
        (Format::UtdMhadMat, "utd-mhad", 861),
        (Format::KinderGatorCsv, "kinder-gator", 579),
        (Format::SbuText, "sbu", 282),
    ] {
        if !data.join(folder).is_dir() {
            eprintln!("skipped: {} is not here", data.join(folder).display());
            continue;
        }
        let scan = format
            .scan(&data.join(folder), &ScanOptions::default())
            .unwrap();
        assert_eq!(scan.items.len(), expect, "{folder}");
    }
}
