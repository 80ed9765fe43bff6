//! Windows: recordings brought to the fixed size that a model sees.
//!
//! The work itself is [`tendon_shared::normalize`], the same code that runs on the device. A window is small, so most sets
//! fit into memory ([`WindowSet`]); of large ones windows are made when they are asked for ([`StoredWindows`]). Pretraining takes
//! either ([`Windows`]) and gets the same bytes. Augmenting happens later, on copies.

mod pooled;
mod stored;

pub use pooled::{PoolError, PooledWindows};
pub use stored::StoredWindows;

use crate::dataset::Dataset;
use rayon::prelude::*;
use std::ops::Range;
use tendon_shared::normalize::{NormalizeError, NormalizeSpec, normalize};
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

/// Windows of chosen recordings, in the order of the choice.
#[derive(Debug, Clone)]
pub struct WindowSet {
    /// The skeleton standard.
    pub topology: TopologyId,
    /// How the recordings were normalised.
    pub spec: NormalizeSpec,
    /// `[window, body, channel = 3, frame, joint]`.
    pub data: Vec<f32>,
    /// Which bodies are there, one a window.
    pub presence: Vec<Presence>,
    /// Class index, one a window.
    pub labels: Vec<u16>,
    /// Person, one a window.
    pub subjects: Vec<u16>,
    /// Camera, one a window.
    pub cameras: Vec<u16>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Digests of the sets that the windows come from.
    pub digests: Vec<String>,
    /// Fingerprint of each window's recording ([`crate::dataset::Recording::fingerprint`]).
    pub recordings: Vec<u64>,
    /// Name of each window's recording.
    pub names: Vec<String>,
}

/// Windows of chosen recordings, wherever they are.
pub trait Windows: Sync {
    /// The skeleton standard.
    fn topology(&self) -> TopologyId;

    /// How the recordings are normalised.
    fn spec(&self) -> &NormalizeSpec;

    /// Which bodies are there, one a window.
    fn presence(&self) -> &[Presence];

    /// Class index, one a window.
    fn labels(&self) -> &[u16];

    /// Person, one a window.
    fn subjects(&self) -> &[u16];

    /// Names of the classes.
    fn classes(&self) -> &[String];

    /// Digests of the sets that the windows come from.
    fn digests(&self) -> &[String];

    /// Fingerprint of each window's recording ([`crate::dataset::Recording::fingerprint`]).
    fn recordings(&self) -> &[u64];

    /// Name of each window's recording; recordings of several sets may share one.
    fn names(&self) -> &[String];

    /// Where the windows of each set begin and end, when several sets were put together.
    fn parts(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }

    /// Copies one window, `[body, channel = 3, frame, joint]`; may be called from many threads at once.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`] or `out` is not [`Self::stride`] long.
    fn copy(&self, number: usize, out: &mut [f32]);

    /// Number of windows.
    fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there is no window.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Floats of one window, all bodies.
    fn stride(&self) -> usize {
        self.spec().window_len(self.topology().topology())
    }

    /// One window of its own.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`].
    fn owned(&self, number: usize) -> Vec<f32> {
        let mut window = vec![0.0; self.stride()];
        self.copy(number, &mut window);
        window
    }
}

impl Windows for WindowSet {
    fn topology(&self) -> TopologyId {
        self.topology
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
        &self.classes
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
        out.copy_from_slice(self.window(number));
    }
}

/// A recording that cannot become a window.
#[derive(Debug, thiserror::Error)]
#[error("recording {recording} cannot become a window: {problem}")]
pub struct WindowError {
    /// The recording.
    pub recording: String,
    /// What is wrong.
    pub problem: WindowProblem,
}

/// Why a recording cannot become a window.
#[derive(Debug, thiserror::Error)]
pub enum WindowProblem {
    /// The set has no recording with this number.
    #[error("the set has only {0} recordings")]
    NoSuchRecording(usize),
    /// The normalisation refused it.
    #[error(transparent)]
    Normalize(#[from] NormalizeError),
}

impl WindowSet {
    /// Makes one window of each of the recordings `indices`, in parallel.
    ///
    /// # Errors
    /// The first recording that cannot become a window.
    pub fn prepare(
        dataset: &Dataset,
        indices: &[usize],
        spec: &NormalizeSpec,
    ) -> Result<Self, WindowError> {
        let topology = dataset.topology();
        let floats = floats(dataset, indices, spec)?;
        let mut data = vec![0.0; indices.len() * floats];
        let presence = data
            .par_chunks_mut(floats)
            .zip(indices)
            .map(|(window, &number)| {
                let recording = dataset.recording(number);
                window_of(topology, spec, recording.bodies, recording.poses, window).map_err(
                    |error| WindowError {
                        recording: recording.name.to_owned(),
                        problem: error.into(),
                    },
                )
            })
            .collect::<Result<Vec<Presence>, WindowError>>()?;
        let tags = |tag: fn(&crate::dataset::Recording<'_>) -> u16| {
            indices
                .iter()
                .map(|&number| tag(&dataset.recording(number)))
                .collect()
        };
        Ok(Self {
            topology,
            spec: *spec,
            data,
            presence,
            labels: tags(|recording| recording.label),
            subjects: tags(|recording| recording.subject),
            cameras: tags(|recording| recording.camera),
            classes: dataset.classes().to_vec(),
            digests: vec![dataset.digest().to_owned()],
            recordings: fingerprints(dataset, indices),
            names: names(dataset, indices),
        })
    }

    /// Some of the windows, in the order of `chosen`.
    ///
    /// # Panics
    /// When a number is not below [`Self::len`].
    #[must_use]
    pub fn select(&self, chosen: &[usize]) -> Self {
        let tags = |tags: &[u16]| chosen.iter().map(|&window| tags[window]).collect();
        Self {
            data: chosen
                .iter()
                .flat_map(|&window| self.window(window))
                .copied()
                .collect(),
            presence: chosen.iter().map(|&window| self.presence[window]).collect(),
            labels: tags(&self.labels),
            subjects: tags(&self.subjects),
            cameras: tags(&self.cameras),
            recordings: chosen
                .iter()
                .map(|&window| self.recordings[window])
                .collect(),
            names: chosen
                .iter()
                .map(|&window| self.names[window].clone())
                .collect(),
            topology: self.topology,
            spec: self.spec,
            classes: self.classes.clone(),
            digests: self.digests.clone(),
        }
    }

    /// Windows in the set.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no window.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Floats of one window, all bodies.
    pub fn stride(&self) -> usize {
        self.spec.window_len(self.topology.topology())
    }

    /// One window, `[body, channel = 3, frame, joint]`.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`].
    pub fn window(&self, number: usize) -> &[f32] {
        let stride = self.stride();
        &self.data[number * stride..(number + 1) * stride]
    }
}

/// Floats of a window, after a look at the choice.
fn floats(
    dataset: &Dataset,
    indices: &[usize],
    spec: &NormalizeSpec,
) -> Result<usize, WindowError> {
    let count = dataset.len();
    if let Some(number) = indices.iter().find(|&&number| number >= count) {
        return Err(WindowError {
            recording: format!("number {number}"),
            problem: WindowProblem::NoSuchRecording(count),
        });
    }
    let floats = spec.window_len(dataset.topology().topology());
    if floats == 0 {
        let problem = NormalizeError::Spec {
            frames: spec.frames,
            bodies: spec.bodies,
        };
        return Err(WindowError {
            recording: "(any)".to_owned(),
            problem: problem.into(),
        });
    }
    Ok(floats)
}

/// Fingerprints of chosen recordings.
fn fingerprints(dataset: &Dataset, indices: &[usize]) -> Vec<u64> {
    indices
        .par_iter()
        .map(|&number| {
            let fingerprint = dataset.recording(number).fingerprint();
            dataset.forget(number);
            fingerprint
        })
        .collect()
}

/// Names of chosen recordings.
fn names(dataset: &Dataset, indices: &[usize]) -> Vec<String> {
    let name = |&number: &usize| dataset.recording(number).name.to_owned();
    indices.iter().map(name).collect()
}

/// Makes one window; bodies that the window lacks room for are left out, bodies that the recording lacks are absent.
///
/// # Shapes
/// `poses` `[frame, bodies, joint, 3]`, `out` `[spec.bodies, channel = 3, frame, joint]`.
///
/// # Errors
/// When the sizes do not fit.
pub fn window_of(
    topology: TopologyId,
    spec: &NormalizeSpec,
    bodies: usize,
    poses: &[f32],
    out: &mut [f32],
) -> Result<Presence, NormalizeError> {
    let topology = topology.topology();
    let wanted = usize::from(spec.bodies);
    if bodies == wanted {
        return normalize(topology, spec, poses, out);
    }
    let body = topology.joint_count() * 3;
    let mut fitted = Vec::with_capacity(poses.len() / bodies.max(1) * wanted);
    for frame in poses.chunks_exact((bodies * body).max(1)) {
        let kept = &frame[..bodies.min(wanted) * body];
        fitted.extend_from_slice(kept);
        fitted.resize(fitted.len() + (wanted * body - kept.len()), 0.0);
    }
    normalize(topology, spec, &fitted, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{kinect_set, moving};
    use tendon_shared::normalize::Mode;

    const SPEC: NormalizeSpec = NormalizeSpec {
        mode: Mode::Product,
        frames: 16,
        bodies: 1,
    };

    #[test]
    fn windows_follow_the_order_of_the_choice() {
        let folder = tempfile::tempdir().unwrap();
        let set = kinect_set(
            folder.path(),
            &[moving("a", 1, 9), moving("b", 1, 20), moving("c", 1, 30)],
        );
        let windows = WindowSet::prepare(&set, &[2, 0], &SPEC).unwrap();
        assert_eq!((windows.len(), windows.stride()), (2, 3 * 16 * 20));
        assert_eq!(windows.data.len(), 2 * windows.stride());
        let one = WindowSet::prepare(&set, &[0], &SPEC).unwrap();
        assert_eq!(windows.window(1), one.window(0));
        assert!(windows.window(0).iter().all(|value| value.is_finite()));
        assert!(windows.window(0).iter().any(|value| *value != 0.0));
        assert_eq!(windows.digests, [set.digest()]);
        let second = windows.select(&[1]);
        assert_eq!((second.len(), second.window(0)), (1, windows.window(1)));
        assert_eq!(second.recordings, [windows.recordings[1]]);
        assert_eq!(
            (windows.names[1].as_str(), &second.names[0][..]),
            ("a", "a")
        );
        assert!(
            windows
                .presence
                .iter()
                .all(|presence| *presence == windows.presence[0])
        );
    }

    #[test]
    fn a_missing_second_body_is_absent_and_a_surplus_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let set = kinect_set(folder.path(), &[moving("one", 1, 12), moving("two", 2, 12)]);
        let pair = WindowSet::prepare(&set, &[0, 1], &NormalizeSpec { bodies: 2, ..SPEC }).unwrap();
        let single = WindowSet::prepare(&set, &[0, 1], &SPEC).unwrap();
        let body = single.stride();
        assert_eq!(pair.window(0)[..body], *single.window(0));
        assert!(pair.window(0)[body..].iter().all(|value| *value == 0.0));
        assert_ne!(pair.presence[0], pair.presence[1]);
        assert_eq!(single.presence[0], single.presence[1]);
    }

    #[test]
    fn an_unknown_number_or_size_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let set = kinect_set(folder.path(), &[moving("a", 1, 9)]);
        let error = WindowSet::prepare(&set, &[1], &SPEC).unwrap_err();
        assert!(matches!(error.problem, WindowProblem::NoSuchRecording(1)));
        let error =
            WindowSet::prepare(&set, &[0], &NormalizeSpec { frames: 0, ..SPEC }).unwrap_err();
        assert!(matches!(error.problem, WindowProblem::Normalize(_)));
    }
}
