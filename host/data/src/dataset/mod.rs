//! The store: one memory-mapped safetensors file a set, readable from Python.
//!
//! | tensor | type, shape | meaning |
//! |---|---|---|
//! | `poses` | F32 `[row, joint, 3]` | metres, camera frame; a recording is `frames * bodies` rows, frame by frame |
//! | `frames`, `bodies` | I32 `[recording]` | rows follow one another in this order, so offsets are a running sum |
//! | `labels`, `subjects`, `cameras`, `setups`, `repetitions` | I32 `[recording]` | see [`Recording`] |
//! | `fps` | F32 `[recording]` | frames per second |
//! | `names` | U8 `[bytes]` | UTF-8, one name a line |
//!
//! Poses are stored as recorded: normalising is the reader's choice ([`crate::windows`]). Nothing is trusted when a file
//! is opened: sizes are checked before they are used, and only the short tensors are copied to memory.

mod header;
mod index;
mod open;
mod writer;

pub use header::SetInfo;
pub use open::{Dataset, Recording};
pub use writer::{DatasetWriter, Summary};

use std::path::PathBuf;

/// The version of the file's layout that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A dataset file that could not be written or opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: StoreProblem,
}

/// What is wrong with a dataset file.
#[derive(Debug, thiserror::Error)]
pub enum StoreProblem {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not a safetensors file, or a damaged one.
    #[error("not a readable safetensors file ({0}); import the recordings again")]
    Container(String),
    /// A safetensors file that holds something else, or parts that contradict each other.
    #[error("not a set of recordings: {0}; make one with `tendon import`")]
    Contents(String),
    /// Written by a newer program.
    #[error(
        "written in format {found}, this program reads format {FORMAT_VERSION}; update tendon or import the recordings again"
    )]
    Version {
        /// The file's format.
        found: u32,
    },
    /// A recording that may not enter the set.
    #[error("recording {name}: {fault}")]
    Recording {
        /// The recording.
        name: String,
        /// What is wrong with it.
        fault: crate::recording::Fault,
    },
    /// The content is not what was written.
    #[error(
        "the content does not have the digest that the file states; it was damaged, import the recordings again"
    )]
    Digest,
    /// A set needs at least one recording.
    #[error("there is no recording to write")]
    NoRecording,
}

#[cfg(test)]
pub(crate) mod tests;
