//! One person before a camera: sliding windows, each normalised from raw poses and recognised, as a device does it.

use super::infer::{InferError, encoder, read};
use super::serve::Work;
use super::subject::{Subject, SubjectError};
use std::collections::BTreeMap;
use std::path::Path;
use tendon_data::synth::SynthSpec;
use tendon_data::windows::{WindowSet, window_of};
use tendon_engine::Encoder;
use tendon_model::container;
use tendon_model::encoder::EncoderConfig;
use tendon_model::parameters::{Named, Values};
use tendon_shared::normalize::{NormalizeError, NormalizeSpec};
use tendon_shared::pose::Presence;
use tendon_shared::topology::Topology;

/// The file of the raw poses.
pub const STREAM: &str = "stream.safetensors";
/// Frames a second.
pub const RATE: f64 = 30.0;
/// Frames between windows.
pub const STRIDE: usize = 8;

/// A long recording of one person, `[frame, joint, 3]` in metres: generated performances one after the other.
#[must_use]
pub fn poses(config: &EncoderConfig, windows: usize, seed: u64) -> Vec<f32> {
    let synth = SynthSpec {
        topology: config.topology,
        seed,
        subjects: 1,
        cameras: 1,
        repetitions: 1000,
        ..SynthSpec::default()
    };
    let length = (config.frames + (windows - 1) * STRIDE) * config.joints() * 3;
    let mut poses: Vec<f32> = Vec::new();
    let mut number = 0;
    while poses.len() < length {
        poses.extend(synth.recording(number).poses);
        number += 1;
    }
    poses.truncate(length);
    poses
}

/// The windows of a long recording, as peers get them.
///
/// # Errors
/// The configuration leaves no window.
pub fn windows(
    config: &EncoderConfig,
    spec: NormalizeSpec,
    poses: &[f32],
) -> Result<WindowSet, NormalizeError> {
    let frame = config.joints() * 3;
    let count = (poses.len() / frame - config.frames) / STRIDE + 1;
    let stride = spec.window_len(config.topology.topology());
    let mut set = WindowSet {
        topology: config.topology,
        spec,
        data: vec![0.0; count * stride],
        presence: Vec::new(),
        labels: vec![0; count],
        subjects: vec![0; count],
        cameras: vec![1; count],
        classes: tendon_data::synth::classes(),
        digests: Vec::new(),
        recordings: Vec::new(),
        names: Vec::new(),
    };
    for (number, out) in set.data.chunks_exact_mut(stride).enumerate() {
        let start = number * STRIDE * frame;
        let poses = &poses[start..start + config.frames * frame];
        set.presence
            .push(window_of(config.topology, &spec, 1, poses, out)?);
    }
    Ok(set)
}

/// Puts a stream of `count` windows in the place of a subject's windows, and its raw poses into `folder`.
///
/// # Errors
/// The configuration leaves no window, or the file cannot be written.
pub fn write(
    subject: &mut Subject,
    count: usize,
    seed: u64,
    folder: &Path,
) -> Result<(), SubjectError> {
    let poses = poses(&subject.config, count, seed);
    subject.windows = windows(&subject.config, subject.windows.spec, &poses)?;
    let joints = subject.config.joints();
    let values = Values {
        shape: vec![poses.len() / joints / 3, joints, 3],
        data: poses,
    };
    let path = folder.join(STREAM);
    let spec = serde_json::to_string(&(&subject.config, subject.windows.spec)).unwrap_or_default();
    let bytes = container::encode(
        &Named::from([("poses".to_owned(), values)]),
        &BTreeMap::from([("spec".to_owned(), spec)]),
    );
    std::fs::write(&path, bytes).map_err(|source| SubjectError::Io { path, source })
}

/// Persons before one core when a window takes `seconds`.
#[must_use]
pub fn persons(seconds: f64) -> f64 {
    STRIDE as f64 / RATE / seconds
}

/// Our side: normalise, stack, run.
pub struct Stream<'b> {
    encoder: Encoder<'b>,
    config: EncoderConfig,
    spec: NormalizeSpec,
    topology: &'static Topology,
    poses: Vec<f32>,
    window: Vec<f32>,
    stacked: Vec<f32>,
    arena: Vec<u8>,
    logits: Vec<i32>,
}

impl<'b> Stream<'b> {
    /// The stream in `folder` through `blob`, on `path` or on the fastest one.
    ///
    /// # Errors
    /// The folder holds no stream, or the path does not run here.
    pub fn new(
        folder: &Path,
        blob: &'b [u8],
        path: Option<tendon_engine::Path>,
    ) -> Result<Self, InferError> {
        let encoder = encoder(blob, path)?;
        let (mut tensors, metadata) = container::decode(&read(folder, STREAM)?)?;
        let missing = || InferError::Missing("poses");
        let poses = tensors.remove("poses").ok_or_else(missing)?.data;
        let spec = metadata.get("spec").ok_or_else(missing)?;
        let (config, spec): (EncoderConfig, NormalizeSpec) =
            serde_json::from_str(spec).map_err(|_| missing())?;
        let topology = config.topology.topology();
        let window = spec.window_len(topology);
        Ok(Self {
            arena: vec![0; encoder.arena_len()],
            logits: vec![0; encoder.spec().classes],
            stacked: vec![0.0; window * config.streams.len()],
            window: vec![0.0; window],
            encoder,
            config,
            spec,
            topology,
            poses,
        })
    }

    fn count(&self) -> usize {
        let frame = self.config.joints() * 3;
        (self.poses.len() / frame - self.config.frames) / STRIDE + 1
    }
}

impl Work for Stream<'_> {
    fn about(&self) -> String {
        format!(
            "normalised from raw poses and recognised; windows of {} frames, one every {STRIDE}",
            self.config.frames
        )
    }

    fn step(&mut self, _: usize, turn: usize) -> Result<(), String> {
        let (frame, frames) = (self.config.joints() * 3, self.config.frames);
        let start = turn % self.count() * STRIDE * frame;
        let poses = &self.poses[start..start + frames * frame];
        let presence: Presence =
            window_of(self.config.topology, &self.spec, 1, poses, &mut self.window)
                .map_err(|error| error.to_string())?;
        let one = 3 * frames * self.config.joints();
        let streams = &self.config.streams;
        let each = self.stacked.chunks_exact_mut(one * streams.len());
        for (out, body) in each.zip(self.window.chunks_exact(one)) {
            tendon_shared::stream::stack(streams, self.topology, body, frames, out)
                .map_err(|error| error.to_string())?;
        }
        self.encoder
            .run(&self.stacked, presence, &mut self.arena, &mut self.logits)
            .map_err(|error| format!("{error:?}"))
    }

    fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String> {
        let scale = self.encoder.logit_scale();
        (0..self.count())
            .map(|number| {
                self.step(case, number)?;
                Ok(self.logits.iter().map(|q| *q as f32 * scale).collect())
            })
            .collect()
    }
}
