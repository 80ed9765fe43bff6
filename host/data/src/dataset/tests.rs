use super::index::Index;
use super::*;
use crate::recording::{Fault, Place, Problem, RawRecording};
use std::path::Path;
use tendon_shared::topology::TopologyId;

/// A recording of twenty joints in which every number differs.
pub(crate) fn moving(name: &str, bodies: usize, frames: usize) -> RawRecording {
    let poses = (0..frames * bodies * 20 * 3)
        .map(|i| 1.0 + (i as f32 * 0.37).sin() * 0.5 + i as f32 * 1e-4)
        .collect();
    RawRecording {
        name: name.to_owned(),
        poses,
        frames,
        bodies,
        label: 1,
        subject: 3,
        camera: 2,
        setup: 4,
        repetition: 5,
        fps: 30.0,
    }
}

fn info() -> SetInfo {
    SetInfo {
        topology: TopologyId::Kinect20,
        classes: vec!["sit \"down\"".into(), "stand up".into()],
        source: "test".into(),
        terms: "free".into(),
    }
}

/// Writes recordings of twenty joints and opens them.
pub(crate) fn kinect_set(folder: &Path, recordings: &[RawRecording]) -> Dataset {
    let path = folder.join("set.safetensors");
    write(&path, recordings).unwrap();
    Dataset::open(path).unwrap()
}

fn write(path: &Path, recordings: &[RawRecording]) -> Result<Summary, StoreError> {
    let mut writer = DatasetWriter::create(path, info())?;
    for recording in recordings {
        writer.push(recording)?;
    }
    writer.finish()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = [moving("a", 1, 1), moving("b#1", 2, 7), moving("ü", 1, 40)];
    let set = kinect_set(folder.path(), &recordings);
    assert_eq!(set.info(), &info());
    assert_eq!(set.len(), 3);
    for (read, written) in set.recordings().zip(&recordings) {
        assert_eq!(format!("{read:?}"), format!("{:?}", written.view()));
    }
    set.verify_digest().unwrap();
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn other_readers_of_the_container_find_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let set = kinect_set(folder.path(), &[moving("a", 1, 3), moving("b", 2, 5)]);
    let bytes = std::fs::read(set.path()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("poses").unwrap().shape(), [13, 20, 3]);
    assert_eq!(
        tensors.tensor("labels").unwrap().data(),
        [1, 0, 0, 0, 1, 0, 0, 0]
    );
    assert_eq!(tensors.tensor("names").unwrap().data(), b"a\nb\n");
}

#[test]
fn equal_recordings_have_an_equal_digest_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let digest =
        |recordings: &[RawRecording]| write(&folder.path().join("x"), recordings).unwrap().digest;
    let first = digest(&[moving("a", 1, 3)]);
    assert_eq!(first, digest(&[moving("a", 1, 3)]));
    let mut other = moving("a", 1, 3);
    other.poses[7] += 0.001;
    assert_ne!(first, digest(&[other]));
    assert_ne!(first, digest(&[moving("b", 1, 3)]));
}

#[test]
fn a_refused_recording_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = DatasetWriter::create(folder.path().join("set"), info()).unwrap();
    writer.push(&moving("a", 1, 3)).unwrap();
    let mut broken = moving("b", 1, 3);
    broken.poses[2 * 60 + 5] = f32::NAN;
    let error = writer.push(&broken).unwrap_err();
    let StoreProblem::Recording { fault, .. } = error.problem else {
        panic!("{error}")
    };
    assert_eq!(
        fault,
        Fault {
            place: Place::Frame(3),
            problem: Problem::NonFinite
        }
    );
    let foreign = RawRecording {
        label: 2,
        ..moving("c", 1, 3)
    };
    for refused in [
        moving("a", 1, 3),
        moving("", 1, 3),
        moving("x\ny", 1, 3),
        foreign,
    ] {
        assert!(writer.push(&refused).is_err());
    }
    writer.push(&moving("d", 1, 3)).unwrap();
    assert_eq!(writer.finish().unwrap().recordings, 2);
    let set = Dataset::open(folder.path().join("set")).unwrap();
    set.verify_digest().unwrap();
    assert_eq!(
        set.recordings()
            .map(|recording| recording.name)
            .collect::<Vec<_>>(),
        ["a", "d"]
    );
}

#[test]
fn an_abandoned_set_leaves_nothing_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let set = kinect_set(folder.path(), &[moving("a", 1, 3)]);
    let mut writer = DatasetWriter::create(set.path(), info()).unwrap();
    writer.push(&moving("b", 1, 3)).unwrap();
    drop(writer);
    assert_eq!(files(folder.path()), 1);
    assert_eq!(Dataset::open(set.path()).unwrap().recording(0).name, "a");
    let empty = write(&folder.path().join("empty"), &[]).unwrap_err();
    assert!(matches!(empty.problem, StoreProblem::NoRecording));
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn what_a_killed_import_left_is_removed_and_what_is_being_written_stays() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".tendon-draft-abandoned"), "half").unwrap();
    let mut first = DatasetWriter::create(folder.path().join("first"), info()).unwrap();
    assert_eq!(files(folder.path()), 1);
    write(&folder.path().join("second"), &[moving("b", 1, 3)]).unwrap();
    first.push(&moving("a", 1, 3)).unwrap();
    first.finish().unwrap();
    assert_eq!(files(folder.path()), 2);
}

#[test]
fn a_set_with_endless_class_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let classes = vec!["x".repeat(1 << 20)];
    let error = DatasetWriter::create(folder.path().join("set"), SetInfo { classes, ..info() })
        .unwrap_err();
    assert!(matches!(error.problem, StoreProblem::Contents(_)));
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = kinect_set(folder.path(), &[moving("a", 1, 3), moving("b", 1, 2)]);
    let good = std::fs::read(set.path()).unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Index::parse(&bytes)
    };
    let end = good.len();
    assert!(check(&|_| ()).is_ok());
    assert!(matches!(
        check(&|bytes| bytes.clear()),
        Err(StoreProblem::Container(_))
    ));
    assert!(matches!(
        check(&|bytes| bytes.truncate(end - 1)),
        Err(StoreProblem::Container(_))
    ));
    assert!(matches!(
        check(&|bytes| bytes[..8].fill(0xff)),
        Err(StoreProblem::Container(_))
    ));
    // The names are the last bytes: "a\nb\n".
    assert!(matches!(
        check(&|bytes| bytes[end - 3] = b'c'),
        Err(StoreProblem::Contents(_))
    ));
    assert!(matches!(
        check(&|bytes| bytes[end - 4] = 0xff),
        Err(StoreProblem::Contents(_))
    ));
    // Before them eight columns of two words; the first is the frames, the third the labels.
    let column = |number: usize| end - 4 - (8 - number) * 8;
    for (place, value) in [
        (column(0), 4),
        (column(0), 0),
        (column(1), 0),
        (column(1), 9),
        (column(2), 2),
        (column(0) + 3, 0xff),
    ] {
        assert!(
            matches!(
                check(&|bytes| bytes[place] = value),
                Err(StoreProblem::Contents(_))
            ),
            "{place} {value}"
        );
    }
    let replaced = |from: &str, to: &str| {
        let at = good
            .windows(from.len())
            .position(|bytes| bytes == from.as_bytes())
            .unwrap();
        check(&|bytes| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()))
    };
    assert!(matches!(
        replaced("\"format_version\":\"1\"", "\"format_version\":\"2\""),
        Err(StoreProblem::Version { found: 2 })
    ));
    assert!(matches!(
        replaced("kinect20", "kinect21"),
        Err(StoreProblem::Contents(_))
    ));
    assert!(matches!(
        replaced("tendon-set", "another-se"),
        Err(StoreProblem::Contents(_))
    ));
}

#[test]
fn a_changed_pose_does_not_match_the_digest() {
    let folder = tempfile::tempdir().unwrap();
    let set = kinect_set(folder.path(), &[moving("a", 1, 3)]);
    let mut bytes = std::fs::read(set.path()).unwrap();
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    let copy = folder.path().join("copy");
    std::fs::write(&copy, bytes).unwrap();
    let error = Dataset::open(copy).unwrap().verify_digest().unwrap_err();
    assert!(matches!(error.problem, StoreProblem::Digest));
}

proptest::proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Index::parse(&bytes);
    }

    #[test]
    fn any_change_of_a_file_never_panics(changes in proptest::collection::vec((0_usize..4096, 0_u8..), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set");
        write(&path, &[moving("a", 1, 2), moving("b", 2, 1)]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(set) = Dataset::open(&path) {
            set.recordings().for_each(|recording| assert_eq!(recording.poses.len() % 60, 0));
        }
    }
}
