//! Recordings in, windows out.
//!
//! The modules stand in the order in which data passes through them: [`recording`] reads the formats of
//! the public sets, [`synth`] generates recordings, [`dataset`] keeps them in one memory-mapped file, [`split`] says who trains and who tests,
//! [`windows`] makes the fixed-size input of a model.

pub mod dataset;
pub mod import;
pub mod recording;
pub mod split;
pub mod synth;
pub mod windows;
