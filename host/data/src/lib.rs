//! Recordings in, windows out.
//!
//! In the order in which data passes through them: [`recording`] reads the formats of the public sets, [`synth`] generates
//! recordings, [`import`] brings both into a [`dataset`], one memory-mapped file; [`verify`] says what is odd in it;
//! [`split`] says who trains and who tests; [`windows`] makes the fixed-size input of a model.

pub mod dataset;
pub mod import;
pub mod recording;
pub mod split;
pub mod synth;
pub mod verify;
pub mod windows;
