//! Adaptation as a whole, on a small random encoder.

use super::adapter::{Adapter, Base, Observed, Places, Work};
use super::features::{FeatureShape, Features};
use super::journal::Record;
use super::keys::Key;
use super::model::{Model, Tables};
use super::source::SourceBuffer;
use super::state::StateError;
use super::student::{Lesson, gradient};
use super::{AdaptConfig, device};
use crate::optimiser::Optimiser;
use std::sync::Arc;
use tendon_bundle::testing::{Numbers, Shape, random_encoder};
use tendon_engine::{Encoder, ParseError};
use tendon_shared::pose::Presence;

const CLASSES: usize = 3;

/// An encoder's tables outside a bundle.
struct Blob(Vec<u8>);

impl Tables for Blob {
    fn encoder(&self) -> Result<Encoder<'_>, ParseError> {
        Encoder::parse(&self.0)
    }
}

fn base(digest: &str) -> Base {
    let blob = random_encoder(&Shape::small(5, 16, CLASSES), 7);
    let model = Model::new(Arc::new(Blob(blob)), 16, 1.0).unwrap();
    let shape = *model.shape();
    // The source buffer is labelled by the tail itself: its accuracy is 1.
    let windows: Vec<Features> = (0..12)
        .map(|number| features(&shape, 1_000 + number))
        .collect();
    let tail = model.tail(&model.base_weights());
    let labels: Vec<u16> = model
        .predict(&tail, windows.iter())
        .iter()
        .map(|said| said.class)
        .collect();
    let values: Vec<i8> = windows
        .iter()
        .flat_map(|window| window.values().to_vec())
        .collect();
    let source = SourceBuffer::new(&values, &labels, &shape, CLASSES);
    let classes = (0..CLASSES).map(|class| format!("class {class}")).collect();
    Base {
        digest: digest.into(),
        model,
        source,
        classes,
    }
}

fn features(shape: &FeatureShape, seed: u64) -> Features {
    let mut numbers = Numbers::new(seed);
    let values: Vec<i8> = (0..shape.body_len())
        .map(|_| (numbers.below(200) as i32 - 128) as i8)
        .collect();
    Features::new(&values)
}

/// Every window may teach, every step is made, the guard lets anything serve.
fn eager() -> AdaptConfig {
    let mut config = AdaptConfig::default();
    config.gate.threshold = 0.0;
    config.student.skip_agreement = 2.0;
    config.steps = 1;
    config.student.batch = 16;
    config.guard.enabled = false;
    config
}

fn adapter(config: AdaptConfig, places: Places) -> Adapter {
    Adapter::new(base("base"), config, places, 5).0
}

/// Shows `count` windows, each with a slightly different strong view, and does all work; returns the records.
fn show(adapter: &mut Adapter, from: u64, count: u64) -> Vec<Record> {
    show_at(adapter, from, count, |number| number * 2_000)
}

/// The same with another clock: milliseconds by the window's number.
fn show_at(
    adapter: &mut Adapter,
    from: u64,
    count: u64,
    clock: impl Fn(u64) -> u64,
) -> Vec<Record> {
    let shape = base("base").model.shape().to_owned();
    let mut records = Vec::new();
    for number in from..from + count {
        adapter.observe(Observed {
            track: 1,
            end_ms: clock(number),
            quality: 1.0,
            presence: Presence::FIRST,
            data: vec![0.0; 4],
            weak: features(&shape, number),
            refused: None,
        });
        loop {
            match adapter.work(|window, _| Some(features(&shape, 50_000 + window))) {
                Work::Nothing => break,
                Work::More => {}
                Work::Updated(record) => records.push(*record),
            }
        }
    }
    records
}

#[test]
fn sixteen_accepted_windows_make_an_update_that_says_why() {
    let mut adapter = adapter(eager(), Places::default());
    assert!(show(&mut adapter, 0, 15).is_empty());
    let records = show(&mut adapter, 15, 1);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(
        (
            record.update,
            record.steps,
            record.windows.len(),
            record.time_ms
        ),
        (1, 1, 16, 30_000)
    );
    assert!(record.loss.is_finite() && record.gradient_norm > 0.0 && record.guard.is_some());
    assert!(
        record
            .windows
            .iter()
            .all(|window| window.name == format!("class {}", window.label))
    );
    assert!(adapter.serves());
}

#[test]
fn windows_that_overlap_do_not_make_more_updates_than_the_clock_allows() {
    let mut adapter = adapter(eager(), Places::default());
    // 400 windows in 100 seconds would be 25 updates.
    let records = show_at(&mut adapter, 0, 400, |number| number * 250);
    assert_eq!(records.len(), 4);
    let apart = records.windows(2);
    assert!(
        apart
            .into_iter()
            .all(|pair| pair[1].time_ms - pair[0].time_ms >= 30_000)
    );
}

#[test]
fn a_clock_that_jumps_does_not_stop_learning() {
    let mut adapter = adapter(eager(), Places::default());
    show_at(&mut adapter, 0, 17, |_| u64::MAX);
    let records = show_at(&mut adapter, 17, 64, |number| number * 2_000);
    assert!(records.len() >= 3, "{}", records.len());
}

#[test]
fn a_nightly_reset_begins_from_the_shipped_tail_and_is_written_down_whatever_restarts_between() {
    let mut config = eager();
    config.reset_hours = 8;
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: Some(dir.path().join("journal")),
    };
    let mut first = adapter(config.clone(), places.clone());
    let hour = |number: u64| number * 3_600_000 / 16;
    show_at(&mut first, 0, 16 * 7, hour);
    assert_eq!(first.updates(), 7);
    let mut second = adapter(config, places);
    show_at(&mut second, 16 * 7, 16 * 3, hour);
    assert!(second.updates() <= 2, "{}", second.updates());
    let journal = std::fs::read_to_string(dir.path().join("journal")).unwrap();
    assert!(journal.contains(r#"{"event":"renewed","hours":8}"#));
}

#[test]
fn one_seed_gives_one_tail() {
    let run = || {
        let mut adapter = adapter(eager(), Places::default());
        show(&mut adapter, 0, 40)
    };
    assert_eq!(run(), run());
}

#[test]
fn nothing_is_learnt_when_teacher_and_student_agree() {
    let mut config = eager();
    config.student.skip_agreement = 0.0;
    let mut adapter = adapter(config, Places::default());
    assert!(show(&mut adapter, 0, 40).is_empty());
    assert_eq!((adapter.updates(), adapter.serves()), (0, false));
}

#[test]
fn nothing_is_learnt_from_windows_that_the_gate_refuses() {
    let mut config = eager();
    config.gate.min_quality = 1.1;
    let mut adapter = adapter(config, Places::default());
    assert!(show(&mut adapter, 0, 40).is_empty());
    assert_eq!(
        (adapter.counts().poor, adapter.memory().entries().len()),
        (40, 0)
    );
}

#[test]
fn a_tail_that_fails_its_judgement_is_discarded() {
    let mut config = eager();
    config.guard.enabled = true;
    config.guard.min_recent = 1;
    // No two tails can agree that much.
    config.guard.max_disagreement = -1.0;
    config.guard.patience = 1;
    let mut adapter = adapter(config, Places::default());
    let records = show(&mut adapter, 0, 32);
    assert_eq!(records.len(), 2);
    assert!(
        records
            .iter()
            .all(|record| record.guard.is_some_and(|judgement| judgement.discarded))
    );
    assert_eq!(
        (
            adapter.updates(),
            adapter.serves(),
            adapter.guard().discarded()
        ),
        (0, false, 2)
    );
    assert_eq!(adapter.source_accuracy(), (1.0, 1.0));
}

#[test]
fn disabled_it_learns_nothing_and_keeps_nothing() {
    let mut config = eager();
    config.enabled = false;
    let mut adapter = adapter(config, Places::default());
    assert!(show(&mut adapter, 0, 40).is_empty());
    assert_eq!(adapter.memory().entries().len(), 0);
}

#[test]
fn a_restart_goes_on_where_it_left_off() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: Some(dir.path().join("journal")),
    };
    let mut first = adapter(eager(), places.clone());
    show(&mut first, 0, 32);
    let mut second = adapter(eager(), places.clone());
    assert_eq!(
        (second.updates(), second.serves(), second.counts().updates),
        (2, true, 2)
    );
    assert_eq!(second.memory().entries(), first.memory().entries());
    let window = features(base("base").model.shape(), 99);
    assert_eq!(second.predict(&window), first.predict(&window));
    assert_eq!(show(&mut second, 32, 16)[0].update, 3);
    let journal = std::fs::read_to_string(dir.path().join("journal")).unwrap();
    assert_eq!(journal.lines().count(), 3);
}

#[test]
fn the_state_of_another_bundle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: None,
    };
    show(&mut adapter(eager(), places.clone()), 0, 16);
    let (other, refused) = Adapter::new(base("another"), eager(), places, 5);
    assert!(matches!(refused, Some(StateError::OtherBase { .. })));
    assert_eq!((other.updates(), other.memory().entries().len()), (0, 0));
}

#[test]
fn a_damaged_state_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    std::fs::write(&path, b"half a file").unwrap();
    let places = Places {
        state: Some(path),
        journal: None,
    };
    let (mut adapter, refused) = Adapter::new(base("base"), eager(), places, 5);
    assert!(matches!(refused, Some(StateError::Damaged(_))));
    assert_eq!(show(&mut adapter, 0, 16).len(), 1);
}

#[test]
fn undo_forgets_everything_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: None,
    };
    let mut first = adapter(eager(), places.clone());
    show(&mut first, 0, 16);
    assert!(first.undo());
    assert!(!first.undo());
    let second = adapter(eager(), places);
    assert_eq!(
        (
            second.updates(),
            second.serves(),
            second.memory().entries().len()
        ),
        (0, false, 0)
    );
}

/// Numbers of the windows that support a class.
fn supports(adapter: &Adapter) -> Vec<u64> {
    let held = adapter.supports().as_slice().iter();
    held.map(|key| key.window).collect()
}

#[test]
fn supports_survive_a_restart_and_go_with_the_windows_that_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: None,
    };
    let support = |adapter: &mut Adapter, window| {
        adapter.support(Key {
            window,
            label: 1,
            direction: vec![0.6, 0.8],
        });
    };
    let mut first = adapter(eager(), places.clone());
    for window in [3, 9, 20] {
        support(&mut first, window);
    }
    show(&mut first, 0, 32);
    let mut second = adapter(eager(), places.clone());
    assert_eq!(supports(&second), [3, 9, 20]);
    assert_eq!(second.supports(), first.supports());
    // A window that a person names says what the person said.
    show(&mut second, 32, 2);
    support(&mut second, 32);
    support(&mut second, 33);
    second.label(32, "class 2", |_| None).unwrap();
    assert_eq!(supports(&second), [3, 9, 20, 33]);
    assert_eq!(second.undo_to(None).unwrap(), 1);
    assert_eq!(supports(&second), [3, 9, 20]);
    assert!(second.undo());
    assert_eq!(supports(&adapter(eager(), places)), [0; 0]);
    second.pause();
    support(&mut second, 40);
    assert_eq!(supports(&second), [0; 0]);
}

#[test]
fn turning_it_off_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: None,
    };
    adapter(eager(), places.clone()).enable(false);
    assert!(!adapter(eager(), places).enabled());
}

fn lesson<'b>(pseudo: &'b [(Features, u16)], replay: &'b [(Features, u16)]) -> Lesson<'b> {
    Lesson {
        pseudo,
        weights: &[],
        replay,
        total_pseudo: 8,
        total_replay: 4,
        replay_weight: 1.0,
    }
}

fn batch(shape: &FeatureShape) -> [Vec<(Features, u16)>; 2] {
    let windows = |from: u64, count: u64| {
        (from..from + count)
            .map(|number| (features(shape, number), (number % 3) as u16))
            .collect()
    };
    [windows(0, 8), windows(100, 4)]
}

#[test]
fn the_parts_of_a_batch_add_up_to_its_gradient() {
    let Base { model, .. } = base("base");
    let (weights, learning) = (model.base_weights(), device::learning());
    let [pseudo, replay] = batch(model.shape());
    let (loss, whole) = gradient(&model, &weights, &learning, &lesson(&pseudo, &replay));
    let (first_loss, first) = gradient(
        &model,
        &weights,
        &learning,
        &lesson(&pseudo[..5], &replay[..1]),
    );
    let (second_loss, second) = gradient(
        &model,
        &weights,
        &learning,
        &lesson(&pseudo[5..], &replay[1..]),
    );
    assert!((loss - first_loss - second_loss).abs() < 1e-3 * loss.abs());
    let scale = whole
        .iter()
        .fold(0.0_f32, |peak, value| peak.max(value.abs()));
    for (whole, (first, second)) in whole.iter().zip(first.iter().zip(&second)) {
        assert!((whole - first - second).abs() < 1e-3 * scale);
    }
}

#[test]
fn a_step_along_the_gradient_lowers_the_loss() {
    let Base { model, .. } = base("base");
    let learning = device::learning();
    let [pseudo, replay] = batch(model.shape());
    let lesson = lesson(&pseudo, &replay);
    let mut weights = model.base_weights();
    let mut optimiser = Optimiser::new(&AdaptConfig::default().student, weights.len());
    let mut losses = Vec::new();
    for _ in 0..4 {
        let (loss, gradient) = gradient(&model, &weights, &learning, &lesson);
        optimiser.step(&mut weights, &gradient);
        losses.push(loss);
    }
    assert!(
        losses.windows(2).all(|pair| pair[1] < pair[0]),
        "{losses:?}"
    );
}

#[test]
fn a_window_that_a_person_named_teaches_that_label_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: Some(dir.path().join("journal")),
    };
    let mut config = eager();
    // The teacher itself may teach nothing.
    config.gate.min_quality = 1.1;
    config.accumulate = 16;
    let mut first = adapter(config.clone(), places.clone());
    assert!(show(&mut first, 0, 32).is_empty());
    for window in 0..16 {
        let named = first
            .label(window, &format!("class {}", window % 3), |_| None)
            .unwrap();
        assert_eq!(u64::from(named.label), window % 3);
    }
    let records = show(&mut first, 32, 1);
    assert_eq!(records.len(), 1);
    assert!(!records[0].windows.is_empty());
    for lecture in &records[0].windows {
        assert!(lecture.trusted);
        assert_eq!(u64::from(lecture.label), lecture.window % 3);
    }
    let second = adapter(config, places);
    assert_eq!(second.memory().trusted(), 16);
    assert_eq!(second.memory().entries(), first.memory().entries());
}

#[test]
fn a_wrong_class_or_window_is_refused_with_what_is_known() {
    let mut adapter = adapter(eager(), Places::default());
    show(&mut adapter, 0, 3);
    let error = adapter.label(1, "fly", |_| None).unwrap_err().to_string();
    assert!(error.contains("class 0, class 1, class 2"), "{error}");
    let error = adapter
        .label(9, "class 1", |_| None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("windows 0 to 2 can"), "{error}");
    assert_eq!(adapter.memory().trusted(), 0);
}

#[test]
fn every_kept_update_can_be_gone_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        state: Some(dir.path().join("state")),
        journal: None,
    };
    let mut config = eager();
    config.keep_updates = 3;
    let window = features(base("base").model.shape(), 99);
    let mut first = adapter(config.clone(), places.clone());
    let mut said = vec![first.predict(&window)];
    for update in 0..5 {
        show(&mut first, update * 16, 16);
        said.push(first.predict(&window));
    }
    assert_eq!(first.counts().updates, 5);
    // What is kept survives a restart.
    let mut second = adapter(config, places);
    assert_eq!(second.undo_to(None), Ok(4));
    assert_eq!(second.predict(&window), said[4]);
    assert!(second.undo_to(Some(1)).is_err());
    assert_eq!(second.undo_to(Some(2)), Ok(2));
    assert_eq!(second.predict(&window), said[2]);
    assert!(
        second
            .memory()
            .entries()
            .iter()
            .all(|held| held.window < 48)
    );
    assert_eq!(second.undo_to(Some(0)), Ok(0));
    assert_eq!(second.predict(&window), said[0]);
    // Numbers never come twice.
    assert_eq!(show(&mut second, 80, 16)[0].update, 6);
}

#[test]
fn a_window_that_stood_still_is_counted_and_never_learnt_from() {
    use super::gate::Refusal;
    let mut adapter = adapter(eager(), Places::default());
    let shape = *base("base").model.shape();
    for (number, refused) in [Refusal::Frozen, Refusal::Torn, Refusal::Unknown]
        .into_iter()
        .cycle()
        .take(60)
        .enumerate()
    {
        adapter.observe(Observed {
            track: 1,
            end_ms: 0,
            quality: 1.0,
            presence: Presence::FIRST,
            data: vec![0.0; 4],
            weak: features(&shape, number as u64),
            refused: Some(refused),
        });
        while adapter.work(|_, _| Some(features(&shape, 7))) != Work::Nothing {}
    }
    let counts = adapter.counts();
    assert_eq!((counts.frozen, counts.torn, counts.unknown), (20, 20, 20));
    assert_eq!(
        (adapter.memory().entries().len(), adapter.updates()),
        (0, 0)
    );
}
