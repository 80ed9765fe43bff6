//! Runs that learn from a frozen teacher's embeddings, and runs that start from these.

use super::*;
use crate::evaluate::labels::Amount;
use crate::method::{Candidates, TransferConfig};
use crate::pretrain::start::Start;
use crate::pretrain::teacher::Teacher;
use std::collections::BTreeMap;
use tendon_model::container;
use tendon_model::parameters::{Named, Values};

fn transfer() -> PretrainConfig {
    let method = MethodConfig::Transfer(TransferConfig {
        temperature: 0.07,
        learn_temperature: true,
        least_temperature: 0.01,
        candidates: Candidates::All,
        labels: Amount::PerClass(3),
        draw: 1,
        view: Recipe::normal(),
    });
    PretrainConfig { method, ..config() }
}

fn teacher(folder: &Path) -> Teacher {
    let one = |(name, data): (&str, [f32; 2])| {
        let (shape, data) = (vec![2], data.to_vec());
        (name.to_string(), Values { shape, data })
    };
    let classes = [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [1.0, 1.0])];
    let named: Named = classes.into_iter().map(one).collect();
    let model = BTreeMap::from([("model".to_string(), "a test".to_string())]);
    let path = folder.join("text.safetensors");
    std::fs::write(&path, container::encode(&named, &model)).unwrap();
    Teacher::read(&path).unwrap()
}

/// A run of a configuration, killed after so many steps.
fn stage(
    folder: &Path,
    config: &PretrainConfig,
    (teacher, start): (Option<&Teacher>, Option<&Start>),
    resume: bool,
    kill: Option<u64>,
) -> Result<Outcome, PretrainError> {
    let windows = windows(24);
    let run = Run {
        config,
        windows: &windows,
        split: "all",
        devices: &[Device::flex()],
        folder,
        start,
        teacher,
        resume,
        clock: &|| 1_000.0,
    };
    let mut done = 0;
    pretrain(&run, |progress| {
        done += u64::from(matches!(progress, Progress::Step { .. }));
        match kill == Some(done) {
            true => Wish::Abandon,
            false => Wish::Continue,
        }
    })
}

#[test]
fn a_transfer_killed_and_resumed_ends_with_the_same_bytes_and_says_that_it_used_labels() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path());
    let go = |folder: &Path, teacher, resume, kill| {
        stage(folder, &transfer(), (teacher, None), resume, kill)
    };
    let straight = tempfile::tempdir().unwrap();
    let outcome = go(straight.path(), Some(&teacher), false, None).unwrap();
    for kill in [1, 9] {
        let folder = tempfile::tempdir().unwrap();
        go(folder.path(), Some(&teacher), false, Some(kill)).unwrap();
        assert!(go(folder.path(), None, true, None).is_err());
        go(folder.path(), Some(&teacher), true, None).unwrap();
        assert_eq!(bytes(folder.path()), bytes(straight.path()));
        assert_eq!(log(folder.path()), log(straight.path()));
    }
    let temperatures = logged(straight.path(), "temperature");
    assert_ne!(temperatures[0], temperatures[15]);
    let loaded = tendon_model::weights::load(&outcome.encoders[0], &Device::flex()).unwrap();
    assert_eq!(
        loaded.description.provenance.labels,
        "3 a class of the training windows, draw 1, as embeddings of a test"
    );
    assert!(loaded.classifier.is_none());
}

#[test]
fn later_stages_start_from_it_and_remember_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path());
    stage(
        folder.path(),
        &transfer(),
        (Some(&teacher), None),
        false,
        None,
    )
    .unwrap();
    let file = folder.path().join("encoder.safetensors");
    let start = Start::read(&file, &Device::flex()).unwrap();
    let later = tempfile::tempdir().unwrap();
    let outcome = stage(later.path(), &config(), (None, Some(&start)), false, None).unwrap();
    let last = *logged(folder.path(), "knn").last().unwrap();
    assert_eq!(logged(later.path(), "knn")[0], last);
    let loaded = tendon_model::weights::load(&outcome.encoders[0], &Device::flex()).unwrap();
    let provenance = loaded.description.provenance;
    assert_eq!(
        (provenance.labels.as_str(), provenance.all_labels().len()),
        ("", 1)
    );
    // The transfer itself may start from an encoder, too.
    let again = tempfile::tempdir().unwrap();
    let both = (Some(&teacher), Some(&start));
    stage(again.path(), &transfer(), both, false, Some(1)).unwrap();
    assert_eq!(logged(again.path(), "knn")[0], last);
}

#[test]
fn embeddings_are_asked_for_by_the_transfer_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let error = stage(folder.path(), &transfer(), (None, None), false, None);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("transfer learns from a teacher's embeddings"),
        "{error}"
    );
    let teacher = teacher(folder.path());
    let error = stage(
        folder.path(),
        &config(),
        (Some(&teacher), None),
        false,
        None,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("skeletonclr has no use for"), "{error}");
}
