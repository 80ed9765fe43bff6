//! Runs the signed int8 encoder on prepared windows.
//!
//! [`recogniser`] owns the arena and gives trunk features and base logits, [`softmax`] turns logits into calibrated
//! probabilities, [`smoothing`] steadies what is reported over time. Trunk features go on to `adapt`.

pub mod recogniser;
pub mod smoothing;
pub mod softmax;

pub use recogniser::{InferError, Recogniser};
pub use smoothing::{InferConfig, Smoother};
