//! Normalises one person's poses into the model's window, with the code that prepared the training set.

use tendon_shared::normalize::{NormalizeError, NormalizeSpec, normalize};
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

/// A stretch of one person's poses that is to be recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip<'p> {
    /// The person's track.
    pub track: u64,
    /// First pose, milliseconds.
    pub start_ms: u64,
    /// Last pose, milliseconds.
    pub end_ms: u64,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
    /// `[frame, joint, 3]`, metres; an absent joint is all zero.
    pub poses: &'p [f32],
}

/// A window that the encoder can take.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Which bodies are there.
    pub presence: Presence,
    /// `[body, channel = 3, frame, joint]`, normalised.
    pub data: Vec<f32>,
}

/// The clip cannot become a window.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("track {track} at {end_ms} ms: {source:?}")]
pub struct PrepareError {
    /// The person's track.
    pub track: u64,
    /// Last pose, milliseconds.
    pub end_ms: u64,
    /// What normalisation refused.
    pub source: NormalizeError,
}

/// Prepares clips for one model.
#[derive(Debug)]
pub struct Preparer {
    topology: TopologyId,
    spec: NormalizeSpec,
    padded: Vec<f32>,
}

impl Preparer {
    /// Prepares windows of `topology` as `spec` says.
    #[must_use]
    pub fn new(topology: TopologyId, spec: NormalizeSpec) -> Self {
        Self {
            topology,
            spec,
            padded: Vec::new(),
        }
    }

    /// Values in a prepared window.
    #[must_use]
    pub fn window_len(&self) -> usize {
        usize::from(self.spec.bodies)
            * 3
            * usize::from(self.spec.frames)
            * self.topology.topology().joint_count()
    }

    /// Normalises one clip, whose poses are `poses`. A track is one person: further bodies of the model are absent.
    ///
    /// # Errors
    /// [`PrepareError`] when normalisation refuses the poses; the caller counts it.
    pub fn prepare(&mut self, clip: &Clip<'_>, poses: &[f32]) -> Result<Prepared, PrepareError> {
        let topology = self.topology.topology();
        let pose = topology.joint_count() * 3;
        let bodies = usize::from(self.spec.bodies);
        let poses = if bodies <= 1 {
            poses
        } else {
            self.padded.clear();
            for frame in poses.chunks_exact(pose) {
                self.padded.extend_from_slice(frame);
                self.padded
                    .resize(self.padded.len() + (bodies - 1) * pose, 0.0);
            }
            &self.padded
        };
        let mut data = vec![0.0; self.window_len()];
        let presence =
            normalize(topology, &self.spec, poses, &mut data).map_err(|source| PrepareError {
                track: clip.track,
                end_ms: clip.end_ms,
                source,
            })?;
        Ok(Prepared { presence, data })
    }
}
