//! Readers of skeleton recordings, one format a file.

pub mod error;
pub mod ntu_name;
mod raw;

pub use error::{Fault, Place, Problem, ReadError};
pub use raw::{MAX_FRAMES, RawRecording};
