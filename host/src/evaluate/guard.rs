//! Keeps an encoder from being evaluated on recordings it was trained on.

use std::collections::BTreeSet;
use tendon_data::dataset::Dataset;
use tendon_model::weights::Provenance;

/// Test recordings that the weights have seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the weights were trained on {count} of the {total} test recordings (for example {example}), so the result would mean nothing; \
     choose a split whose test side they have not seen, or pass --allow-overlap for a result that is marked as such"
)]
pub struct Overlap {
    /// Test recordings that were trained on.
    pub count: usize,
    /// Test recordings.
    pub total: usize,
    /// Name of the first of them.
    pub example: String,
}

/// Compares the recordings that weights have seen, in any stage of their training, with a test side: by their poses, so neither
/// another name nor another file hides them.
///
/// # Errors
/// At least one test recording was trained on.
pub fn check(seen: &[u64], dataset: &Dataset, test: &[usize]) -> Result<(), Overlap> {
    let seen: BTreeSet<u64> = seen.iter().copied().collect();
    let mut names = test
        .iter()
        .map(|&number| dataset.recording(number))
        .filter(|recording| seen.contains(&recording.fingerprint()))
        .map(|recording| recording.name);
    match names.next() {
        None => Ok(()),
        Some(first) => {
            let example = first.to_owned();
            Err(Overlap {
                count: 1 + names.count(),
                total: test.len(),
                example,
            })
        }
    }
}

/// What a reader of any figure must know about weights that have learnt with labels; nothing if they have not.
#[must_use]
pub fn labels_note(provenance: &Provenance) -> Option<String> {
    let used = provenance.all_labels();
    (!used.is_empty()).then(|| {
        format!(
            "The weights have learnt with labels ({}): do not compare with pretraining without labels.",
            used.join("; before that ")
        )
    })
}

/// Adds what a stage has learnt from to what the stages before have; the result is sorted, nothing in it twice.
#[must_use]
pub fn join(before: &[u64], now: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let all: BTreeSet<u64> = before.iter().copied().chain(now).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_data::dataset::{DatasetWriter, SetInfo};
    use tendon_data::recording::RawRecording;
    use tendon_shared::topology::TopologyId;

    /// Two recordings, from camera 1 and from camera 2.
    fn dataset(folder: &std::path::Path) -> Dataset {
        let path = folder.join("set.safetensors");
        let info = SetInfo {
            topology: TopologyId::Kinect20,
            classes: vec!["wave".into()],
            source: "test".into(),
            terms: String::new(),
        };
        let mut writer = DatasetWriter::create(&path, info).unwrap();
        for camera in [1u16, 2] {
            let recording = RawRecording {
                name: format!("camera{camera}"),
                poses: vec![f32::from(camera); 60],
                frames: 1,
                bodies: 1,
                label: 0,
                subject: 1,
                camera,
                setup: 0,
                repetition: 1,
                fps: 30.0,
            };
            writer.push(&recording).unwrap();
        }
        writer.finish().unwrap();
        Dataset::open(&path).unwrap()
    }

    #[test]
    fn refuses_what_was_learnt_from_in_whatever_set_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = dataset(folder.path());
        let seen = join(&[], [dataset.recording(0).fingerprint()]);
        assert_eq!(check(&seen, &dataset, &[1]), Ok(()));
        let overlap = check(&seen, &dataset, &[0, 1]).unwrap_err();
        assert_eq!(
            (overlap.count, overlap.total, overlap.example.as_str()),
            (1, 2, "camera1")
        );
        assert_eq!(check(&[], &dataset, &[0, 1]), Ok(()));
    }

    #[test]
    fn labels_that_were_used_are_told() {
        let mut provenance = Provenance::default();
        assert_eq!(labels_note(&provenance), None);
        provenance.labels = "10 % of the training windows, draw 0".to_owned();
        assert!(labels_note(&provenance).unwrap().contains("(10 % of"));
    }

    #[test]
    fn later_stages_forget_nothing() {
        assert_eq!(join(&[3, 9], [5, 3]), [3, 5, 9]);
    }
}
