//! Adaptation as an operator sees it: its state, on and off, undo.

use serde::{Deserialize, Serialize};

/// What an operator may ask of adaptation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdaptCommand {
    /// Only tell.
    Report,
    /// Learn from now on.
    Enable,
    /// Stop learning; an adapted tail that serves keeps serving.
    Disable,
    /// Forget everything learned and serve the shipped bundle as it is.
    Undo,
}

/// Whose tail of the encoder gives the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Serving {
    /// The shipped one.
    #[default]
    Base,
    /// The adapted one.
    Adapted,
}

/// The state of adaptation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdaptReport {
    /// Whether the device learns.
    pub enabled: bool,
    /// Whose tail serves.
    pub serving: Serving,
    /// Updates of the adapted tail since it was made.
    pub updates: u32,
    /// Windows in memory.
    pub memory: u32,
    /// Windows that passed the gate since the device started.
    pub accepted: u32,
    /// Windows that did not.
    pub refused: u32,
    /// Guard score of the base tail on recent windows, in thousandths (0..=1000).
    pub guard_base: u16,
    /// Guard score of the adapted tail on the same windows, in thousandths (0..=1000).
    pub guard_adapted: u16,
    /// How often the guard discarded an adapted tail.
    pub discarded: u32,
}
