//! Adaptation as an operator sees it: its state, on and off, undo.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::limits::CLASS_NAME_BYTES;

/// Bytes of the list of known class names in an answer; a longer list ends early.
pub const KNOWN_BYTES: usize = 512;

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
    /// Go back to the tail before the last update, or after update `to` (0 for the shipped tail).
    UndoUpdate {
        /// The update; the last but one if none.
        to: Option<u64>,
    },
}

/// A person says what a window shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The window's number, from a report of a recognition.
    pub window: u64,
    /// The class's name in the bundle.
    pub class: String<CLASS_NAME_BYTES>,
}

/// What became of a label.
#[expect(
    clippy::large_enum_variant,
    reason = "no allocation: messages have a fixed size"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Labelled {
    /// The window teaches with this label from now on.
    Taken {
        /// The window's number.
        window: u64,
        /// Index of the class in the bundle.
        class: u8,
        /// Windows in memory that persons named.
        named: u32,
    },
    /// The window is not known, or was frozen or torn.
    UnknownWindow {
        /// The oldest and the newest window that can be named.
        known: Option<(u64, u64)>,
    },
    /// The bundle knows no such class.
    UnknownClass {
        /// Names of classes that it knows, with commas between them.
        known: String<KNOWN_BYTES>,
    },
    /// The device does not learn.
    Off,
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
