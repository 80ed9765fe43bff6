//! Finetuning: supervised training of an encoder, pretrained or from scratch, with a linear classifier.
//!
//! Two runs, so that nothing is ever chosen on test windows. The first holds some training persons out: they tell
//! the best epoch and the softmax temperature. The second, if configured, starts again and learns from all training
//! persons for the chosen number of epochs, and takes over the temperature.

pub mod checkpoint;
pub mod config;
pub mod schedule;
pub mod train;

pub use config::{ConfigError, FinetuneConfig, Refit, Rule, Scratch};
pub use schedule::Schedule;
pub use train::{Epoch, Progress, Run, Trained, predict_both, redropped, train};

#[cfg(test)]
mod tests;
