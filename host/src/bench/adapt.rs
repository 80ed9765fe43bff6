//! An adaptation step as a device makes it: from kept trunk features through the engine's last blocks and the tail's correction,
//! micro-batches, clipping, SGD, mean teacher.
//!
//! The same step as `tendon-edge`'s, built from the same parts; only the replay of source windows is left out, here and at the peers.

use super::infer::{InferError, Windows, read};
use super::serve::Work;
use super::subject::BLOB;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;
use tendon_engine::Encoder;
use tendon_model::parameters::{Named, collect, collect_gradients, restore};
use tendon_model::sketch::Sketch;
use tendon_model::tail::Tail;

/// Windows whose gradient is computed at once (the device's default).
const MICRO_BATCH: usize = 4;
/// Rank of the correction (the device's default).
const RANK: usize = 8;
/// The device's rule: SGD with momentum, a limited gradient, a teacher that follows.
const LEARNING_RATE: f32 = 1e-3;
const MOMENTUM: f32 = 0.9;
const CLIP_NORM: f64 = 1.0;
const DECAY: f32 = 0.95;

/// Our adaptation step.
pub struct Adapt {
    student: Tail,
    teacher: Tail,
    weights: Named,
    averaged: Named,
    velocity: Named,
    blob: Vec<u8>,
    sketch: Sketch,
    /// `[window, joint, frame, channel]`
    features: Vec<i8>,
    labels: Vec<usize>,
    classes: usize,
    device: Device,
}

impl Adapt {
    /// The tail of the subject in `folder`, on the trunk features of its windows, of which each has one body.
    ///
    /// # Errors
    /// The folder holds no subject.
    pub fn new(folder: &Path) -> Result<Self, InferError> {
        let blob = read(folder, BLOB)?;
        let encoder = Encoder::parse(&blob).map_err(InferError::Blob)?;
        let windows = Windows::read(folder)?;
        let spec = *encoder.spec();
        let mut features = vec![0; windows.len() * spec.trunk_len()];
        let mut arena = vec![0; encoder.arena_len()];
        for (number, features) in features.chunks_exact_mut(spec.trunk_len()).enumerate() {
            let body = &windows.window(number)[..spec.input_len()];
            encoder
                .trunk(body, &mut arena, features)
                .map_err(|_| InferError::Missing("windows of the encoder's size"))?;
        }
        let device = Device::flex().autodiff();
        let tables = encoder.tail_weights();
        let student = Tail::new(&tables, RANK, &device);
        let teacher = Tail::new(&tables, RANK, &Device::flex());
        let sketch = Sketch::new(&tables, RANK, &Device::flex());
        let weights = collect(&student);
        let mut velocity = weights.clone();
        for values in velocity.values_mut() {
            values.data.fill(0.0);
        }
        Ok(Self {
            student,
            teacher,
            averaged: weights.clone(),
            weights,
            velocity,
            sketch,
            features,
            labels: windows.labels,
            classes: spec.classes,
            device,
            blob: blob.clone(),
        })
    }

    fn logits(
        &self,
        tail: &Tail,
        windows: std::ops::Range<usize>,
        device: &Device,
    ) -> Result<Tensor<2>, String> {
        let encoder = Encoder::parse(&self.blob).map_err(|error| error.to_string())?;
        let bodies: Vec<&[i8]> = self
            .features
            .chunks_exact(encoder.spec().trunk_len())
            .skip(windows.start)
            .take(windows.len())
            .collect();
        let read = self
            .sketch
            .read(&encoder, bodies.into_iter())
            .map_err(|error| error.to_string())?;
        let input = self.sketch.input(&[&read], device);
        Ok(tail.classify(tail.features(input)))
    }

    /// The mean gradient over all windows, added up over micro-batches.
    fn gradient(&self) -> Result<Named, String> {
        let count = self.labels.len();
        let mut sum = Named::new();
        for start in (0..count).step_by(MICRO_BATCH) {
            let windows = start..count.min(start + MICRO_BATCH);
            let mut targets = vec![0.0; windows.len() * self.classes];
            for (row, label) in self.labels[windows.clone()].iter().enumerate() {
                targets[row * self.classes + label] = 1.0 / count as f32;
            }
            let shape = [windows.len(), self.classes];
            let targets = Tensor::<2>::from_data(TensorData::new(targets, shape), &self.device);
            let logits = self.logits(&self.student, windows, &self.device)?;
            let loss = (log_softmax(logits, 1) * targets).sum().neg();
            let part = collect_gradients(&self.student, &loss.backward());
            if sum.is_empty() {
                sum = part;
                continue;
            }
            for (name, values) in part {
                if let Some(sum) = sum.get_mut(&name) {
                    add(&mut sum.data, &values.data);
                }
            }
        }
        Ok(sum)
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

impl Work for Adapt {
    fn about(&self) -> String {
        format!(
            "{} weights beside the last int8 block (rank {RANK}), micro-batches of {MICRO_BATCH}; trunk features computed once",
            self.weights
                .values()
                .map(|values| values.data.len())
                .sum::<usize>()
        )
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), String> {
        let gradient = self.gradient()?;
        let square: f64 = gradient
            .values()
            .flat_map(|values| &values.data)
            .map(|value| f64::from(*value).powi(2))
            .sum();
        let shorten = (CLIP_NORM / square.sqrt().max(CLIP_NORM)) as f32;
        for (name, gradient) in &gradient {
            let parts = (
                self.weights.get_mut(name),
                self.velocity.get_mut(name),
                self.averaged.get_mut(name),
            );
            let (Some(weights), Some(velocity), Some(averaged)) = parts else {
                return Err(format!("a gradient of the unknown weight {name}"));
            };
            let moved = weights.data.iter_mut().zip(&mut velocity.data);
            for (((weight, velocity), average), gradient) in
                moved.zip(&mut averaged.data).zip(&gradient.data)
            {
                *velocity = MOMENTUM * *velocity + gradient * shorten;
                *weight -= LEARNING_RATE * *velocity;
                *average = DECAY * *average + (1.0 - DECAY) * *weight;
            }
        }
        let fail = |error: tendon_model::parameters::RestoreError| error.to_string();
        self.student = restore(self.student.clone(), &self.weights).map_err(fail)?;
        self.teacher = restore(self.teacher.clone(), &self.averaged).map_err(fail)?;
        Ok(())
    }

    fn output(&mut self, _: usize) -> Result<Vec<Vec<f32>>, String> {
        let all = 0..self.labels.len();
        let logits = self.logits(&self.teacher, all, &Device::flex())?;
        let logits: Vec<f32> = logits
            .into_data()
            .try_to_vec()
            .map_err(|error| format!("{error:?}"))?;
        Ok(logits
            .chunks_exact(self.classes)
            .map(<[f32]>::to_vec)
            .collect())
    }
}
