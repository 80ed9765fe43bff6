//! Recognises actions with the signed int8 encoder and adapts to one home, from unlabelled windows; what does not help is undone.
//!
//! [`recogniser`] owns the engine's buffers and gives trunk features and the shipped answer, [`softmax`] makes calibrated probabilities.
//! The encoder's tail learns with a mean teacher:
//! Windows that were recognised come in with their trunk features. [`gate`] accepts
//! pseudo-labels, [`memory`] keeps a balanced few, [`student`] learns from them, [`teacher`] averages the student, [`guard`]
//! compares the teacher with the shipped tail and decides which of the two serves, [`journal`] writes down why and [`state`]
//! survives a power cut. [`keys`] lets windows that persons named answer for windows like them, [`supports`] those that the encoder was sure of. [`update`] is one update cut in small pieces and [`adapter`] holds it all together, so that work goes on
//! in idle time and recognition never waits long.
//! The int8 encoder and the calibration stay as shipped; a correction beside its last block and the classifier are learnt. No clock and no chance of its own in
//! here: both are arguments.

pub mod adapter;
pub mod align;
pub mod candidates;
pub mod config;
pub mod device;
pub mod estimate;
pub mod explain;
pub mod features;
pub mod flat;
pub mod gate;
pub mod guard;
pub mod habit;
pub mod history;
pub mod home;
pub mod information;
pub mod journal;
pub mod keys;
pub mod memory;
pub mod model;
pub mod novelty;
pub mod optimiser;
pub mod prepare;
pub mod prototypes;
pub mod recent;
pub mod recogniser;
pub mod softmax;
pub mod source;
pub mod state;
pub mod steadiness;
pub mod student;
pub mod supports;
pub mod teacher;
pub mod update;

pub use adapter::{Adapter, Work};
pub use config::AdaptConfig;
pub use features::Features;
pub use home::{Answer, Home, StartError, WindowError};
pub use prepare::Clip;
pub use recogniser::{InferError, Recogniser};

#[cfg(test)]
mod tests;
