//! Keeps an encoder from being evaluated on recordings it was trained on.

use tendon_data::dataset::Dataset;
use tendon_data::split::{Selection, Split};
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

/// Compares the recordings that weights have seen, in any stage of their training, with a test side.
///
/// # Errors
/// At least one test recording was trained on.
pub fn check(provenance: &Provenance, dataset: &Dataset, test: &[usize]) -> Result<(), Overlap> {
    let stages = std::iter::successors(Some(provenance), |stage| stage.base.as_deref());
    let seen: Vec<Selection> = stages
        .filter(|stage| stage.data_digest == dataset.digest())
        .map(|stage| trained_on(&stage.split))
        .collect();
    let mut names = test
        .iter()
        .map(|&number| dataset.recording(number))
        .filter(|recording| {
            seen.iter()
                .any(|selection| selection.matches(recording.name, recording.tags()))
        })
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

/// The recordings that a stage used: a selection, or the training side of a split. What cannot be read counts as the whole set.
fn trained_on(text: &str) -> Selection {
    if let Ok(selection) = text.parse::<Selection>() {
        return selection;
    }
    Split::parse(text).map_or_else(|_| Selection::all(), |split| split.train)
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
    fn refuses_what_any_stage_was_trained_on_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = dataset(folder.path());
        let stage = |digest: &str, split: &str, base: Option<Provenance>| Provenance {
            data_digest: digest.into(),
            split: split.into(),
            base: base.map(Box::new),
            ..Provenance::default()
        };
        let own = dataset.digest();
        let seen = stage(own, "cameras=1", None);
        assert_eq!(check(&seen, &dataset, &[1]), Ok(()));
        let overlap = check(&seen, &dataset, &[0, 1]).unwrap_err();
        assert_eq!(
            (overlap.count, overlap.total, overlap.example.as_str()),
            (1, 2, "camera1")
        );
        assert_eq!(
            check(&stage("another set", "all", None), &dataset, &[0, 1]),
            Ok(())
        );
        assert_eq!(
            check(&stage("another set", "all", Some(seen)), &dataset, &[0])
                .unwrap_err()
                .count,
            1
        );
        assert_eq!(
            check(&stage(own, "lost", None), &dataset, &[0, 1])
                .unwrap_err()
                .count,
            2
        );
    }

    #[test]
    fn a_stage_is_read_as_selection_as_split_or_as_everything() {
        assert_eq!(trained_on("cameras=1").to_string(), "cameras=1");
        assert_eq!(trained_on("nw-ucla-view1").to_string(), "cameras=1");
        assert_eq!(trained_on("no such split"), Selection::all());
    }
}
