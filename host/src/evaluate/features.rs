//! Windows through an encoder: the features that probe and nearest neighbours work on, and a classifier's predictions.

use super::EvaluateError;
use super::matrix::Features;
use super::metrics::Predictions;
use super::pooling::Pooling;
use super::probe::to_vec;
use burn::tensor::{Device, Tensor, TensorData};
use tendon_data::windows::{WindowSet, Windows};
use tendon_model::augment::random::generator;
use tendon_model::augment::{Recipe, View};
use tendon_model::classifier::Classifier;
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::pass::Pass;
use tendon_shared::pose::Presence;
use tendon_shared::stream::stack;

/// Windows that pass through the encoder at once.
const BATCH: usize = 64;

/// A random change of each window: the recipe and the counters that its draws depend on.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What may happen.
    pub recipe: &'a Recipe,
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, counted from 0.
    pub epoch: u64,
}

/// Checks that windows are what an encoder reads.
///
/// # Errors
/// Topology, frames or bodies differ.
pub fn check_input(config: &EncoderConfig, windows: &dyn Windows) -> Result<(), EvaluateError> {
    let (frames, bodies) = (
        usize::from(windows.spec().frames),
        usize::from(windows.spec().bodies),
    );
    if config.topology != windows.topology() {
        let (wants, has) = (config.topology.name(), windows.topology().name());
        return Err(EvaluateError::Shape(format!(
            "the encoder reads {wants} skeletons, the set has {has}"
        )));
    }
    if config.frames != frames || config.bodies != bodies {
        let wants = format!("{} frames and {} bodies", config.frames, config.bodies);
        return Err(EvaluateError::Shape(format!(
            "the encoder reads {wants}, the windows have {frames} and {bodies}"
        )));
    }
    Ok(())
}

/// The encoder's input for chosen windows.
///
/// # Shapes
/// `[batch, body, channel = 3 * streams, frame, joint]`
///
/// # Errors
/// The windows do not fit the encoder.
pub fn batch(
    config: &EncoderConfig,
    windows: &dyn Windows,
    indices: &[usize],
    change: Option<Change<'_>>,
    device: &Device,
) -> Result<(Tensor<5>, Vec<Presence>), EvaluateError> {
    check_input(config, windows)?;
    let (frames, joints) = (config.frames, config.joints());
    let topology = config.topology.topology();
    let mut values =
        vec![0.0; indices.len() * config.bodies * config.window_channels() * frames * joints];
    let mut targets = values.chunks_exact_mut(config.window_channels() * frames * joints);
    for &index in indices {
        let mut window = windows.owned(index);
        if let Some(Change {
            recipe,
            seed,
            epoch,
        }) = change
        {
            let mut view = View {
                data: &mut window,
                frames,
                joints,
            };
            recipe.apply(
                &mut view,
                topology,
                &mut generator(seed, epoch, index as u64, 0),
            );
        }
        for (body, target) in window.chunks_exact(3 * frames * joints).zip(&mut targets) {
            stack(&config.streams, topology, body, frames, target)
                .map_err(|error| EvaluateError::Shape(error.to_string()))?;
        }
    }
    let shape = [
        indices.len(),
        config.bodies,
        config.window_channels(),
        frames,
        joints,
    ];
    let presence = indices
        .iter()
        .map(|&index| windows.presence()[index])
        .collect();
    Ok((
        Tensor::from_data(TensorData::new(values, shape), device),
        presence,
    ))
}

/// The pooled features of every window, with running statistics and without dropout; bodies are averaged.
///
/// `watch` is called with the number of windows done.
///
/// # Errors
/// The windows do not fit the encoder, or a feature is not finite.
pub fn embed(
    encoder: &Encoder,
    config: &EncoderConfig,
    pooling: Pooling,
    windows: &dyn Windows,
    device: &Device,
    mut watch: impl FnMut(usize),
) -> Result<Features, EvaluateError> {
    let topology = config.topology.topology();
    let width = pooling.len(config);
    let mut values = Vec::with_capacity(windows.len() * width);
    let all: Vec<usize> = (0..windows.len()).collect();
    for indices in all.chunks(BATCH) {
        let (x, presence) = batch(config, windows, indices, None, device)?;
        let (rows, bodies) = encoder.fold(x, &presence);
        let map = encoder.features(rows, &mut Pass::Infer);
        values.extend(to_vec(bodies.mean(pooling.apply(map, topology))));
        watch(values.len() / width);
    }
    Features::new(
        width,
        values,
        windows.labels().to_vec(),
        windows.classes().len(),
    )
}

/// The logits of every window, with running statistics and without dropout.
///
/// # Errors
/// The windows do not fit the encoder, or a logit is not finite.
pub fn predict(
    model: &Classifier,
    config: &EncoderConfig,
    windows: &WindowSet,
    device: &Device,
) -> Result<Predictions, EvaluateError> {
    let classes = windows.classes.len();
    let mut logits = Vec::with_capacity(windows.len() * classes);
    let all: Vec<usize> = (0..windows.len()).collect();
    for indices in all.chunks(BATCH) {
        let (x, presence) = batch(config, windows, indices, None, device)?;
        logits.extend(to_vec(model.forward(x, &presence, &mut Pass::Infer)));
    }
    if let Some(index) = logits.iter().position(|logit| !logit.is_finite()) {
        return Err(EvaluateError::NotFinite {
            window: index / classes.max(1),
        });
    }
    Ok(Predictions::new(classes, logits, windows.labels.clone()))
}
