//! Evaluation: what an encoder, or a finetuned classifier, is worth on people and cameras it has not seen.
//!
//! One protocol, one file: [`probe`], [`knn`]. A protocol never reads a file
//! and never prints; it takes windows and returns predictions. Nothing here may choose an epoch, a threshold or a
//! temperature on test windows: choices are made on training subjects that were held out.

pub mod knn;
pub mod matrix;
pub mod metrics;
pub mod order;
pub mod probe;
pub mod temperature;

/// Why an evaluation cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Sizes that must fit together do not.
    #[error("the windows do not fit: {0}")]
    Shape(String),
    /// A feature is infinite or not a number.
    #[error(
        "features of window {window} are not finite: the encoder or the window holds values that are not numbers"
    )]
    NotFinite {
        /// Index of the window.
        window: usize,
    },
}
