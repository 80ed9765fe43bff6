//! Evaluation: what an encoder, or a finetuned classifier, is worth on people and cameras it has not seen.
//!
//! [`pooling`] makes vectors of an encoder's maps. One protocol, one file: [`probe`], [`knn`], [`retrieval`], [`finetune`], few [`labels`] and how they [`spread`], [`fusion`] of streams and the [`baselines`] that learn no encoder. A protocol never
//! opens a data set and never prints; it takes windows and returns predictions. Nothing here may choose an epoch, a
//! threshold or a temperature on test windows: choices are made on training subjects that were held out.

pub mod baselines;
pub mod features;
pub mod finetune;
pub mod fusion;
pub mod guard;
pub mod knn;
pub mod labels;
pub mod matrix;
pub mod metrics;
pub mod nearest;
pub mod order;
pub mod outcome;
pub mod pooling;
pub mod probe;
pub mod retrieval;
pub mod spread;
pub mod temperature;

/// Why an evaluation cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Sizes that must fit together do not.
    #[error("the windows do not fit: {0}")]
    Shape(String),
    /// A feature or a logit is infinite or not a number.
    #[error(
        "the output for window {window} is not finite: the encoder or the window holds values that are not numbers"
    )]
    NotFinite {
        /// Index of the window.
        window: usize,
    },
    /// Training blew up.
    #[error(
        "the loss is no longer finite in epoch {epoch}; lower learning_rate, add warmup epochs or set clip_norm"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
    },
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Unreadable(#[from] finetune::checkpoint::CheckpointError),
    /// A checkpoint cannot be written.
    #[error("the checkpoint cannot be written: {0}")]
    Checkpoint(std::io::Error),
    /// Stored weights do not fit the model.
    #[error(transparent)]
    Weights(#[from] tendon_model::parameters::RestoreError),
}
