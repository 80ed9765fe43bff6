//! Turns each person's poses into the windows that the encoder sees.
//!
//! [`track`] keeps the last poses of one person, [`tracks`] the bounded set of persons and the [`policy`] that says when a
//! window is due. Poses come from `capture`; windows go to
//! `tendon_adapt`, which normalises them. No model and no clock here: time is what the poses say.

pub mod policy;
pub mod track;
pub mod tracks;

pub use policy::{Policy, WindowConfig};
pub use tracks::{Cut, Tracks, WindowCounts};

#[cfg(test)]
mod crowd;
