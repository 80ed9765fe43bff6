//! A SkeletonCLR training step: augmentation, both forward passes, EMA, loss, backward, optimiser, queue.

use super::serve::Work;
use super::subject::{SubjectError, generate_windows};
use crate::method::{Drawn, Method as _, MethodError, Moment, SkeletonClr, SkeletonClrConfig};
use crate::pretrain::batch::Batches;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tendon_data::windows::WindowSet;
use tendon_model::augment::Recipe;
use tendon_model::container;
use tendon_model::ema::TargetNorm;
use tendon_model::encoder::EncoderConfig;
use tendon_model::graph::{Adjacency, SUBSETS};
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{Named, Values};

/// The file of the start and the windows, for peers.
pub const TRAIN: &str = "train.safetensors";
/// The file of the specification, for our own side.
pub const SPEC: &str = "train.json";

/// Constants of the step. The file that peers read holds them too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Windows of a step.
    pub batch: usize,
    /// Windows there are to choose from.
    pub windows: usize,
    /// Keys in the queue.
    pub queue: usize,
    /// Seed of weights and windows.
    pub seed: u64,
    /// Softmax temperature.
    pub temperature: f64,
    /// Weight of the key network's old value.
    pub ema_decay: f64,
    /// Learning rate.
    pub rate: f64,
    /// AdamW's decay of the weights.
    pub weight_decay: f64,
    /// Steps whose losses are compared.
    pub checked_steps: usize,
}

impl TrainSpec {
    /// The usual constants (see configs/pretrain) for an encoder, with four batches of windows.
    #[must_use]
    pub fn new(encoder: EncoderConfig, batch: usize, seed: u64) -> Self {
        Self {
            encoder,
            batch,
            windows: 4 * batch,
            queue: 4096,
            seed,
            temperature: 0.1,
            ema_decay: 0.99,
            rate: 1e-3,
            weight_decay: 1e-4,
            checked_steps: 3,
        }
    }

    /// Writes what both sides start from into `folder`.
    ///
    /// # Errors
    /// The specification is out of range or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), SubjectError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|source| SubjectError::Io { path, source })
        };
        let text = serde_json::to_string(self).unwrap_or_default();
        put(SPEC, text.as_bytes())?;
        let state = self.method()?.state();
        let mut tensors = Named::new();
        for (name, values) in state.below("online") {
            let name = name.strip_prefix("encoder.").unwrap_or(&name).to_owned();
            tensors.insert(name, values);
        }
        if let Some(keys) = state.below("queue").remove("keys") {
            tensors.insert("queue".to_owned(), keys);
        }
        let (config, windows) = (&self.encoder, self.generate()?);
        let adjacency = Adjacency::new(config.topology.topology(), config.graph);
        let joints = adjacency.joints;
        let mut put_in = |name: &str, shape: Vec<usize>, data| {
            tensors.insert(name.to_owned(), Values { shape, data });
        };
        put_in("adjacency", vec![SUBSETS, joints, joints], adjacency.values);
        put_in(
            "windows",
            vec![self.windows, config.bodies, 3, config.frames, joints],
            windows.data,
        );
        let metadata = BTreeMap::from([("spec".to_owned(), text)]);
        put(TRAIN, &container::encode(&tensors, &metadata))
    }

    /// The windows; every body is there.
    fn generate(&self) -> Result<WindowSet, SubjectError> {
        Ok(generate_windows(&self.encoder, self.windows, 0, self.seed)?)
    }

    fn method(&self) -> Result<SkeletonClr, SubjectError> {
        let config = SkeletonClrConfig {
            temperature: self.temperature,
            queue: self.queue,
            ema_decay: self.ema_decay,
            ema_warmup: false,
            target_norm: TargetNorm::OwnTrain,
            head_norm: false,
            projection: 128,
            query: Recipe::normal(),
            key: Recipe::normal(),
        };
        let optimizer = OptimizerConfig::adamw(self.weight_decay);
        let device = Device::flex();
        let (batch, seed) = (self.batch, self.seed);
        Ok(SkeletonClr::new(
            config,
            &self.encoder,
            optimizer,
            batch,
            seed,
            &device,
        )?)
    }
}

/// Our training step.
pub struct Train {
    spec: TrainSpec,
    windows: WindowSet,
    method: SkeletonClr,
    steps: u64,
}

impl Train {
    /// Starts as the specification in `folder` says.
    ///
    /// # Errors
    /// The text says what is wrong with the folder.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let path = folder.join(SPEC);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let spec: TrainSpec = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let fail = |error: SubjectError| error.to_string();
        Ok(Self {
            windows: spec.generate().map_err(fail)?,
            method: spec.method().map_err(fail)?,
            spec,
            steps: 0,
        })
    }

    /// The first windows as one batch, from `start` on, not augmented.
    fn plain(&self, start: usize) -> Tensor<5> {
        let (config, batch) = (&self.spec.encoder, self.spec.batch);
        let stride = self.windows.stride();
        let values = self.windows.data[start * stride..(start + batch) * stride].to_vec();
        let shape = [batch, config.bodies, 3, config.frames, config.joints()];
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

fn learn(
    method: &mut SkeletonClr,
    drawn: &[Drawn],
    moment: &Moment,
    rate: f64,
) -> Result<f32, MethodError> {
    let loss = method.loss(drawn, moment)?;
    let value = loss.value.clone().into_scalar::<f32>();
    method.learn(&loss.value.backward(), rate);
    Ok(value)
}

impl Work for Train {
    fn about(&self) -> String {
        let TrainSpec { batch, queue, .. } = self.spec;
        format!("Burn, flex, with own operations; batch {batch}, queue {queue}, AdamW")
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), String> {
        let per_epoch = (self.spec.windows / self.spec.batch).max(1) as u64;
        let moment = Moment {
            seed: self.spec.seed,
            epoch: self.steps / per_epoch,
            step: self.steps,
        };
        let mut batches = Batches::new(&self.windows, self.spec.seed);
        let position = self.steps % per_epoch;
        let drawn = batches
            .draw(&self.method.draws(), &moment, position, &Device::flex())
            .map_err(|error| error.to_string())?;
        self.steps += 1;
        learn(&mut self.method, &drawn, &moment, self.spec.rate)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn output(&mut self, _: usize) -> Result<Vec<Vec<f32>>, String> {
        let batch = self.spec.batch;
        let mut method = self.spec.method().map_err(|error| error.to_string())?;
        let drawn = [Drawn {
            views: vec![vec![self.plain(0)], vec![self.plain(batch)]],
            presence: self.windows.presence[..batch].to_vec(),
            labels: Vec::new(),
            numbers: (0..batch).collect(),
        }];
        let losses = (0..self.spec.checked_steps as u64).map(|step| {
            let moment = Moment {
                seed: self.spec.seed,
                epoch: 0,
                step,
            };
            learn(&mut method, &drawn, &moment, self.spec.rate).map_err(|error| error.to_string())
        });
        Ok(vec![losses.collect::<Result<_, _>>()?])
    }
}
