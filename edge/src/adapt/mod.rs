//! Adapts the encoder's tail to its own home with a mean teacher, from unlabelled windows, and undoes what does not help.
//!
//! Windows that were recognised come in with their trunk features. [`gate`] accepts
//! pseudo-labels, [`memory`] keeps a balanced few, [`student`] learns from them, [`teacher`] averages the student, [`guard`]
//! compares the teacher with the shipped tail and decides which of the two serves, [`journal`] writes down why and [`state`]
//! survives a power cut. [`update`] is one update cut in small pieces and [`adapter`] holds it all together, so that work goes on
//! in idle time and recognition never waits long.
//! The int8 encoder and the calibration stay as shipped; a correction beside its last block and the classifier are learnt. No clock and no chance of its own in
//! here: both are arguments.

pub mod adapter;
pub mod config;
pub mod device;
pub mod features;
pub mod flat;
pub mod gate;
pub mod guard;
pub mod journal;
pub mod memory;
pub mod model;
pub mod optimiser;
pub mod recent;
pub mod source;
pub mod state;
pub mod student;
pub mod teacher;
pub mod update;

pub use adapter::{Adapter, Work};
pub use config::AdaptConfig;
pub use features::Features;

#[cfg(test)]
mod tests;
