//! What is reported of answers: [`smoothing`] steadies them over time. Answers themselves come from `tendon_adapt`.

pub mod smoothing;

pub use smoothing::{InferConfig, Smoother};
