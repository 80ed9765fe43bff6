//! Windows of sets that do not fit into memory: made from the memory-mapped store when they are asked for.
//!
//! What is held is one line of tags a window. Every recording is normalised once when the windows are prepared, so that a bad
//! one is found before training and not in its third hour.

use super::{WindowError, Windows, fingerprints, floats, names, window_of};
use crate::dataset::{Dataset, Recording};
use rayon::prelude::*;
use tendon_shared::normalize::NormalizeSpec;
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

/// Windows of chosen recordings, in the order of the choice.
#[derive(Debug)]
pub struct StoredWindows<'a> {
    dataset: &'a Dataset,
    indices: Vec<usize>,
    spec: NormalizeSpec,
    presence: Vec<Presence>,
    labels: Vec<u16>,
    subjects: Vec<u16>,
    digests: Vec<String>,
    recordings: Vec<u64>,
    names: Vec<String>,
}

impl<'a> StoredWindows<'a> {
    /// Checks in parallel that each of the recordings `indices` becomes a window, and keeps none of them.
    ///
    /// # Errors
    /// A recording that cannot become a window.
    pub fn prepare(
        dataset: &'a Dataset,
        indices: &[usize],
        spec: &NormalizeSpec,
    ) -> Result<Self, WindowError> {
        let floats = floats(dataset, indices, spec)?;
        let presence = indices
            .par_iter()
            .map_init(
                || vec![0.0; floats],
                |window, &number| make(dataset, number, spec, window),
            )
            .collect::<Result<Vec<Presence>, WindowError>>()?;
        let tags = |tag: fn(&Recording<'_>) -> u16| {
            let tags = indices
                .iter()
                .map(|&number| tag(&dataset.recording(number)));
            tags.collect()
        };
        Ok(Self {
            dataset,
            indices: indices.to_vec(),
            spec: *spec,
            presence,
            labels: tags(|recording| recording.label),
            subjects: tags(|recording| recording.subject),
            digests: vec![dataset.digest().to_owned()],
            recordings: fingerprints(dataset, indices),
            names: names(dataset, indices),
        })
    }
}

/// Makes one window and gives the recording's pages back.
fn make(
    dataset: &Dataset,
    number: usize,
    spec: &NormalizeSpec,
    out: &mut [f32],
) -> Result<Presence, WindowError> {
    let recording = dataset.recording(number);
    let made = window_of(
        dataset.topology(),
        spec,
        recording.bodies,
        recording.poses,
        out,
    );
    dataset.forget(number);
    made.map_err(|error| WindowError {
        recording: recording.name.to_owned(),
        problem: error.into(),
    })
}

impl Windows for StoredWindows<'_> {
    fn topology(&self) -> TopologyId {
        self.dataset.topology()
    }

    fn spec(&self) -> &NormalizeSpec {
        &self.spec
    }

    fn presence(&self) -> &[Presence] {
        &self.presence
    }

    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn subjects(&self) -> &[u16] {
        &self.subjects
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn digests(&self) -> &[String] {
        &self.digests
    }

    fn recordings(&self) -> &[u64] {
        &self.recordings
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn copy(&self, number: usize, out: &mut [f32]) {
        // The same bytes became a window when this was prepared, so they do so again.
        if make(self.dataset, self.indices[number], &self.spec, out).is_err() {
            out.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WindowProblem, WindowSet};
    use super::*;
    use crate::dataset::tests::{kinect_set, moving};
    use tendon_shared::normalize::Mode;

    const SPEC: NormalizeSpec = NormalizeSpec {
        mode: Mode::Product,
        frames: 16,
        bodies: 2,
    };

    #[test]
    fn stored_windows_are_those_in_memory_and_stay_so() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = [
            moving("a", 1, 900),
            moving("b", 2, 20),
            moving("c", 1, 30),
            moving("d", 2, 500),
        ];
        let set = kinect_set(folder.path(), &recordings);
        let choice = [3, 0, 2, 1];
        let memory = WindowSet::prepare(&set, &choice, &SPEC).unwrap();
        let stored = StoredWindows::prepare(&set, &choice, &SPEC).unwrap();
        assert_eq!(Windows::len(&stored), 4);
        for _ in 0..2 {
            for number in [1, 0, 3, 2] {
                assert_eq!(stored.owned(number), memory.window(number));
            }
        }
        assert_eq!(stored.presence(), memory.presence);
        assert_eq!(stored.labels(), memory.labels);
        assert_eq!(stored.digests(), memory.digests);
        assert_eq!(stored.recordings(), memory.recordings);
        assert_eq!(stored.names(), ["d", "a", "c", "b"]);
        set.verify_digest().unwrap();
    }

    #[test]
    fn a_bad_choice_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let set = kinect_set(folder.path(), &[moving("a", 1, 9)]);
        let error = StoredWindows::prepare(&set, &[1], &SPEC).unwrap_err();
        assert!(matches!(error.problem, WindowProblem::NoSuchRecording(1)));
    }
}
