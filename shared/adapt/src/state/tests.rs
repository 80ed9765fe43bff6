//! A stored state comes back whole or not at all.

use super::*;
use crate::memory::tests::entry;
use proptest::prelude::*;

const SHAPE: FeatureShape = FeatureShape {
    joints: 1,
    frames: 1,
    channels: 2,
};

fn state() -> State {
    let mut memory = vec![entry(1, 0, [1.0, 0.0]), entry(2, 1, [1.0, 0.0])];
    for entry in &mut memory {
        entry.signature = entry.weak.signature(&SHAPE);
    }
    State {
        base: "abc".into(),
        facts: Facts {
            updates: 3,
            ..Facts::default()
        },
        teacher: vec![1.0, -2.0],
        student: vec![0.5, 0.25],
        memory,
        keys: vec![Key {
            window: 1,
            label: 0,
            direction: vec![0.6, 0.8, 0.0],
        }],
        supports: vec![Key {
            window: 1,
            label: 0,
            direction: vec![0.6, 0.8, 0.0],
        }],
        history: vec![
            Snapshot::default(),
            Snapshot {
                facts: SnapshotFacts {
                    update: 2,
                    updates: 2,
                    windows: 2,
                    serves: true,
                },
                teacher: vec![3.0, 4.0],
                student: vec![5.0, 6.0],
            },
        ],
        classes: vec!["sit".into(), "wave".into()],
    }
}

#[test]
fn comes_back_as_it_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapt.state");
    assert!(State::load(&path, "abc", &SHAPE, 2).unwrap().is_none());
    state().save(&path, &SHAPE).unwrap();
    assert_eq!(State::load(&path, "abc", &SHAPE, 2).unwrap(), Some(state()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn is_read_without_its_bundle() {
    let bytes = state().to_bytes(&SHAPE).unwrap();
    assert_eq!(State::open(&bytes).unwrap(), (state(), SHAPE));
}

#[test]
fn undoing_brings_an_earlier_tail_back_and_forgets_what_came_later() {
    let mut state = state();
    assert_eq!(state.undo(None), Ok(2));
    assert_eq!((state.teacher[0], state.student[0]), (3.0, 5.0));
    assert_eq!((state.facts.updates, state.memory.len()), (2, 1));
    assert!(state.facts.guard.serves());
    assert!(state.undo(Some(7)).is_err());
    assert_eq!(state.undo(None), Ok(0));
    assert!(state.teacher.is_empty() && !state.facts.guard.serves());
}

#[test]
fn another_bundle_refuses_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapt.state");
    state().save(&path, &SHAPE).unwrap();
    assert!(matches!(
        State::load(&path, "def", &SHAPE, 2),
        Err(StateError::OtherBase { .. })
    ));
}

#[test]
fn another_tail_refuses_it() {
    let bytes = state().to_bytes(&SHAPE).unwrap();
    assert!(matches!(
        State::from_bytes(&bytes, &SHAPE, 3),
        Err(StateError::Damaged("teacher"))
    ));
    let other = FeatureShape {
        channels: 3,
        ..SHAPE
    };
    assert!(matches!(
        State::from_bytes(&bytes, &other, 2),
        Err(StateError::Damaged("memory.weak"))
    ));
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let bytes = state().to_bytes(&SHAPE).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(State::from_bytes(&flipped, &SHAPE, 2).is_err(), "byte {at}");
        assert!(
            State::from_bytes(&bytes[..at], &SHAPE, 2).is_err(),
            "cut {at}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = State::from_bytes(&bytes, &SHAPE, 2);
        let _ = State::from_image(&bytes, None);
        let _ = State::from_image(&bytes, Some((SHAPE, 2)));
    }

    #[test]
    fn a_damaged_image_never_panics(at in 0usize..2_000, with in any::<u8>()) {
        let bytes = state().to_bytes(&SHAPE).unwrap();
        let mut image = bytes[MAGIC.len() + HASH..].to_vec();
        let at = at % image.len();
        image[at] = with;
        let _ = State::from_image(&image, None);
    }
}

#[test]
fn facts_of_an_earlier_version_are_taken_without_what_is_no_longer_used() {
    let scores = r#"{"consistency": 0.5, "confidence": 0.5, "source": 1.0}"#;
    // Before information was measured, and while the gate counted classes.
    let old = format!(
        r#"{{"enabled": true, "updates": 3, "total_updates": 4, "windows": 90, "gate": [1.5, 0.0], "guard": {{
            "history": [{{"update": 3, "windows": 64, "base": {scores}, "adapted": {scores}, "disagreement": 0.1,
                "verdict": "not-better", "discarded": false}}],
            "serves": false, "failures": 0, "discarded": 0}}}}"#
    );
    let read: Facts = serde_json::from_str(&old).unwrap();
    assert_eq!((read.updates, read.guard.history().len()), (3, 1));
}
