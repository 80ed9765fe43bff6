//! The int8 encoder with its buffers, all made once when a bundle starts.

use super::softmax::softmax;
use crate::features::Features;
use tendon_engine::{BufferError, Encoder};
use tendon_shared::pose::Presence;
use tendon_shared::stream::{Stream, StreamLengthError, stack};
use tendon_shared::topology::TopologyId;

/// The encoder could not run: bundle and buffers do not belong together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InferError {
    /// A buffer of the engine.
    #[error("encoder: {0}")]
    Buffer(BufferError),
    /// The stacked streams.
    #[error("streams: {0}")]
    Streams(StreamLengthError),
}

impl From<BufferError> for InferError {
    fn from(error: BufferError) -> Self {
        Self::Buffer(error)
    }
}

impl From<StreamLengthError> for InferError {
    fn from(error: StreamLengthError) -> Self {
        Self::Streams(error)
    }
}

/// Buffers for one encoder.
#[derive(Debug)]
pub struct Recogniser {
    topology: TopologyId,
    streams: Vec<Stream>,
    temperature: f32,
    arena: Vec<u8>,
    stacked: Vec<f32>,
    trunk: Vec<i8>,
    pooled: Vec<i32>,
    logits: Vec<i32>,
}

impl Recogniser {
    /// Buffers for `encoder`, whose input is `streams` of `topology` and whose logits are calibrated by `temperature`.
    #[must_use]
    pub fn new(
        encoder: &Encoder<'_>,
        topology: TopologyId,
        streams: Vec<Stream>,
        temperature: f32,
    ) -> Self {
        let spec = encoder.spec();
        Self {
            topology,
            streams,
            temperature,
            arena: vec![0; encoder.arena_len()],
            stacked: vec![0.0; spec.input_len()],
            trunk: vec![0; spec.trunk_len() * spec.bodies],
            pooled: vec![0; spec.dim * spec.bodies],
            logits: vec![0; spec.classes],
        }
    }

    /// Trunk features of a normalised window `[body, 3, frame, joint]`, of the bodies that the encoder counts.
    ///
    /// # Errors
    /// [`InferError`] when window and encoder do not fit.
    pub fn trunk(
        &mut self,
        encoder: &Encoder<'_>,
        window: &[f32],
        presence: Presence,
    ) -> Result<Features, InferError> {
        let spec = encoder.spec();
        let body_len = 3 * spec.frames * spec.joints;
        let mut bodies = 0;
        for (body, values) in window.chunks_exact(body_len).enumerate().take(spec.bodies) {
            if spec.body_mask && !presence.contains(body) {
                continue;
            }
            stack(
                &self.streams,
                self.topology.topology(),
                values,
                spec.frames,
                &mut self.stacked,
            )?;
            let out = self
                .trunk
                .chunks_exact_mut(spec.trunk_len())
                .nth(bodies)
                .unwrap_or_default();
            encoder.trunk(&self.stacked, &mut self.arena, out)?;
            bodies += 1;
        }
        Ok(Features::new(
            self.trunk
                .get(..bodies * spec.trunk_len())
                .unwrap_or_default(),
        ))
    }

    /// Calibrated probabilities of the shipped int8 tail, and the window's pooled features: the mean over bodies, joints and frames, in
    /// steps of the int8 activations.
    ///
    /// # Errors
    /// [`InferError`] when features and encoder do not fit.
    pub fn classify(
        &mut self,
        encoder: &Encoder<'_>,
        features: &Features,
    ) -> Result<(Vec<f32>, Vec<f32>), InferError> {
        let spec = encoder.spec();
        let bodies = features.values().chunks_exact(spec.trunk_len());
        let count = bodies.len().min(spec.bodies);
        for (trunk, pooled) in bodies.zip(self.pooled.chunks_exact_mut(spec.dim)) {
            encoder.tail(trunk, &mut self.arena, pooled)?;
        }
        encoder.classify(
            self.pooled.get(..count * spec.dim).unwrap_or_default(),
            &mut self.logits,
        )?;
        let mut probabilities: Vec<f32> = self
            .logits
            .iter()
            .map(|logit| *logit as f32 * encoder.logit_scale())
            .collect();
        softmax(&mut probabilities, self.temperature);
        let mut pooled = vec![0.0; spec.dim];
        for body in self.pooled.chunks_exact(spec.dim).take(count) {
            for (sum, value) in pooled.iter_mut().zip(body) {
                *sum += *value as f32 / count as f32;
            }
        }
        Ok((probabilities, pooled))
    }
}
