//! The training loop of an encoder with its classifier.

use super::checkpoint::{Checkpoint, State};
use super::config::{FinetuneConfig, Rule};
use crate::evaluate::EvaluateError;
use crate::evaluate::features::{Change, batch, check_input, predict};
use crate::evaluate::metrics::{Predictions, argmax};
use crate::evaluate::order::shuffled;
use crate::evaluate::probe::to_vec;
use burn::module::Module as _;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tendon_data::windows::WindowSet;
use tendon_model::augment::random::generator;
use tendon_model::classifier::Classifier;
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::optimizer::{Optimizer, OptimizerConfig};
use tendon_model::parameters::{Named, collect, restore};
use tendon_model::pass::{Pass, absorb};

/// Counter that keeps dropout's draws apart from those of augmentation (0) and of orders.
const DROPOUT_DRAWS: u64 = 1;

/// One training run.
pub struct Run<'a> {
    /// The settings.
    pub config: &'a FinetuneConfig,
    /// Epochs of this run; the schedule ends with the last.
    pub epochs: usize,
    /// Shape and input of the encoder.
    pub encoder: &'a EncoderConfig,
    /// The encoder to start from, on an autodiff device.
    pub start: Encoder,
    /// Windows to learn from.
    pub train: &'a WindowSet,
    /// Windows of held-out persons; they choose the best epoch and change nothing else.
    pub validation: Option<&'a WindowSet>,
    /// Decides the classifier's first weights, the orders and all random changes.
    pub seed: u64,
    /// Says which run this is, for its checkpoint.
    pub identity: String,
    /// Where the run is stored after each epoch.
    pub checkpoint: &'a Path,
    /// Where tensors live, without autodiff.
    pub device: &'a Device,
}

/// What happened in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss, with label smoothing, nats.
    pub loss: f64,
    /// Share of the changed training windows recognised while training, 0..=1.
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Share of the held-out windows recognised, 0..=1.
    pub validation: Option<f64>,
    /// Mean negative log-likelihood on the held-out windows, nats.
    pub validation_nll: Option<f64>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// Some windows of an epoch (counted from 0) are done.
    Windows {
        /// The epoch.
        epoch: usize,
        /// Windows of this epoch so far.
        done: usize,
    },
    /// An epoch is done and stored.
    Epoch {
        /// The epoch.
        epoch: usize,
        /// What happened.
        figures: Epoch,
    },
}

/// A finished run.
pub struct Trained {
    /// The model after the last epoch, off the autodiff graph.
    pub last: Classifier,
    /// Index of the best epoch on the held-out persons, and the model after it.
    pub best: Option<(usize, Classifier)>,
    /// What happened.
    pub epochs: Vec<Epoch>,
}

/// Trains, from the beginning or from the run's checkpoint.
///
/// A run that was killed and resumed ends with the same bytes as one that was not.
///
/// # Errors
/// The windows do not fit the encoder, the loss is no longer finite, or the checkpoint cannot be read or written.
pub fn train(run: Run<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Trained, EvaluateError> {
    check_input(run.encoder, run.train)?;
    let device = run.device.clone().autodiff();
    let rule = optimizer(run.config);
    let mut model = Classifier::new(
        run.start.clone(),
        run.encoder.dim,
        run.train.classes.len(),
        run.seed,
    );
    let mut optimizer = rule.init();
    let mut state = State {
        identity: run.identity.clone(),
        ..State::default()
    };
    let mut best = Named::new();
    if let Some(stored) = Checkpoint::read(run.checkpoint, &run.identity)? {
        model = restore(model, &stored.model)?;
        optimizer = Optimizer::resume(rule, stored.state.steps, &stored.moments, &device);
        (state, best) = (stored.state, stored.best);
    }
    for epoch in state.epochs.len()..run.epochs {
        let mut figures;
        (model, figures) = one_epoch(&run, model, &mut optimizer, epoch, &device, watch)?;
        let weights = collect(&model);
        if let Some(validation) = run.validation {
            let predictions = predict(&model.valid(), run.encoder, validation, run.device)?;
            figures.validation = Some(predictions.top1());
            figures.validation_nll = Some(predictions.nll(1.0));
            if state
                .best_epoch
                .is_none_or(|index| better(&figures, &state.epochs[index]))
            {
                state.best_epoch = Some(epoch);
                best.clone_from(&weights);
            }
        }
        state.epochs.push(figures);
        state.steps = optimizer.steps();
        let stored = Checkpoint {
            model: weights,
            best: best.clone(),
            moments: optimizer.state(),
            state: state.clone(),
        };
        stored
            .write(run.checkpoint)
            .map_err(EvaluateError::Checkpoint)?;
        watch(Progress::Epoch { epoch, figures });
    }
    let last = model.valid();
    let best = match state.best_epoch {
        Some(epoch) => Some((epoch, restore(last.clone(), &best)?)),
        None => None,
    };
    Ok(Trained {
        last,
        best,
        epochs: state.epochs,
    })
}

/// The logits of held-out windows under both models of a run: the last, then the best.
///
/// # Errors
/// The windows do not fit the encoder.
pub fn predict_both(
    trained: &Trained,
    encoder: &EncoderConfig,
    windows: &WindowSet,
    device: &Device,
) -> Result<(Predictions, Option<Predictions>), EvaluateError> {
    let last = predict(&trained.last, encoder, windows, device)?;
    let best = trained
        .best
        .as_ref()
        .map(|(_, model)| predict(model, encoder, windows, device))
        .transpose()?;
    Ok((last, best))
}

fn one_epoch(
    run: &Run<'_>,
    mut model: Classifier,
    optimizer: &mut Optimizer,
    epoch: usize,
    device: &Device,
    watch: &mut dyn FnMut(Progress),
) -> Result<(Classifier, Epoch), EvaluateError> {
    let config = run.config;
    let order = shuffled(run.train.len(), run.seed, epoch as u64);
    let (mut loss_sum, mut right, mut done, mut rate) = (0.0, 0, 0, 0.0);
    for (step, indices) in order.chunks(config.batch).enumerate() {
        if step > 0 && indices.len() * 2 < config.batch {
            continue;
        }
        let change = Change {
            recipe: &config.augment,
            seed: run.seed,
            epoch: epoch as u64,
        };
        let (x, presence) = batch(run.encoder, run.train, indices, Some(change), device)?;
        let mut pass = Pass::train(generator(
            run.seed,
            epoch as u64,
            step as u64,
            DROPOUT_DRAWS,
        ));
        let logits = model.forward(x, &presence, &mut pass);
        let labels: Vec<usize> = indices
            .iter()
            .map(|&index| usize::from(run.train.labels[index]))
            .collect();
        let predicted = to_vec(logits.clone().without_autodiff());
        right += predicted
            .chunks_exact(run.train.classes.len())
            .zip(&labels)
            .filter(|(row, label)| argmax(row) == **label)
            .count();
        let loss = smoothed_loss(logits, &labels, config.label_smoothing, device);
        let value = f64::from(loss.clone().without_autodiff().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(EvaluateError::Diverged { epoch: epoch + 1 });
        }
        let position = epoch as f64 + done as f64 / run.train.len() as f64;
        rate = config.learning_rate
            * config
                .schedule
                .factor(position, run.epochs, config.warmup, &config.steps);
        let gradients = loss.backward();
        model = optimizer.step(rate, model, &gradients);
        absorb(&mut model, pass);
        loss_sum += value * indices.len() as f64;
        done += indices.len();
        watch(Progress::Windows { epoch, done });
    }
    let seen = done.max(1) as f64;
    let figures = Epoch {
        loss: loss_sum / seen,
        accuracy: right as f64 / seen,
        rate,
        validation: None,
        validation_nll: None,
    };
    Ok((model, figures))
}

/// Mean cross-entropy against labels of which a share is spread over all classes.
///
/// # Shapes
/// `logits` `[batch, class]`, one label a row.
fn smoothed_loss(
    logits: Tensor<2>,
    labels: &[usize],
    smoothing: f64,
    device: &Device,
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    let floor = (smoothing / classes as f64) as f32;
    let mut targets = vec![floor; batch * classes];
    for (row, &label) in labels.iter().enumerate() {
        targets[row * classes + label] += (1.0 - smoothing) as f32;
    }
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [batch, classes]), device);
    (targets * log_softmax(logits, 1)).sum().neg() / batch as f64
}

fn optimizer(config: &FinetuneConfig) -> OptimizerConfig {
    match config.rule {
        Rule::Sgd => OptimizerConfig::Sgd {
            momentum: config.momentum,
            nesterov: true,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
        },
        Rule::Adamw => OptimizerConfig::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: config.weight_decay,
            clip_norm: config.clip_norm,
        },
    }
}

/// The encoder with another dropout rate.
#[must_use]
pub fn redropped(mut encoder: Encoder, dropout: f64) -> Encoder {
    encoder.set_dropout(dropout);
    encoder
}

/// More windows recognised or, among equals, likelier labels.
fn better(new: &Epoch, old: &Epoch) -> bool {
    let key = |epoch: &Epoch| {
        (
            epoch.validation.unwrap_or(0.0),
            -epoch.validation_nll.unwrap_or(f64::INFINITY),
        )
    };
    key(new) > key(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothed_loss_by_hand() {
        // Two equal logits: log-softmax is -ln 2 for both, whatever the smoothing.
        let device = Device::flex();
        let loss = smoothed_loss(Tensor::zeros([1, 2], &device), &[1], 0.1, &device);
        assert!((loss.into_scalar::<f32>() - 2f32.ln()).abs() < 1e-6);
        // Logits (0, ln 3), label 1, smoothing 0.2: 0.9 ln(4/3) + 0.1 ln 4.
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()]], &device);
        let loss: f32 = smoothed_loss(logits, &[1], 0.2, &device).into_scalar();
        assert!((loss - (0.9 * (4f32 / 3.0).ln() + 0.1 * 4f32.ln())).abs() < 1e-6);
    }

    #[test]
    fn likelihood_decides_between_equal_accuracies() {
        let epoch = |validation, nll| Epoch {
            loss: 0.0,
            accuracy: 0.0,
            rate: 0.0,
            validation: Some(validation),
            validation_nll: Some(nll),
        };
        assert!(better(&epoch(0.6, 2.0), &epoch(0.5, 1.0)));
        assert!(better(&epoch(0.5, 0.9), &epoch(0.5, 1.0)));
        assert!(!better(&epoch(0.5, 1.0), &epoch(0.5, 1.0)));
    }
}
