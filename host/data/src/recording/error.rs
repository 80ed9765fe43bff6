//! What can be wrong with a file of recordings, and where in it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that could not be read, with the place and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {}", path.display(), fault.place, fault.problem)]
pub struct ReadError {
    /// The file, or the folder that was searched.
    pub path: PathBuf,
    /// The place and the reason.
    pub fault: Fault,
}

/// A problem at a place of a file whose name the parser does not know.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{problem}{place}")]
pub struct Fault {
    /// Where in the file.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// A place in a file; lines and frames count from 1, bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A line of text.
    Line(usize),
    /// A frame of the recording.
    Frame(usize),
    /// A sample of an array file, and the frame in it.
    Sample(usize),
    /// An offset in a binary file.
    Byte(u64),
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
    /// There is nothing in it.
    #[error("it holds no frame of any body")]
    Empty,
    /// It stops before its end.
    #[error("it ends too early: {expected} expected; copy the file again")]
    Truncated {
        /// What should have followed.
        expected: &'static str,
    },
    /// It is larger than any real recording.
    #[error("{what} is {found}, at most {limit} is accepted")]
    TooLarge {
        /// The quantity that is too large.
        what: &'static str,
        /// What the file says.
        found: u64,
        /// The largest value that is accepted.
        limit: u64,
    },
    /// A pose with the wrong number of joints.
    #[error("{found} joints where {expected} belong; is this the right format?")]
    JointCount {
        /// Joints of the format's topology.
        expected: usize,
        /// Joints in the file.
        found: usize,
    },
    /// A coordinate that is NaN or infinite.
    #[error("a coordinate is not a finite number")]
    NonFinite,
    /// A word that should be a number.
    #[error("{found:?} is not {expected}")]
    NotANumber {
        /// What belongs there.
        expected: &'static str,
        /// The start of what stands there.
        found: String,
    },
    /// The file's name does not follow the format's pattern.
    #[error("the name does not follow the pattern {pattern}")]
    Name {
        /// The pattern, with letters for digits.
        pattern: &'static str,
    },
    /// No file of this format was found.
    #[error("nothing of this format is here; expected {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// Anything else that breaks the format's rules.
    #[error("{0}")]
    Malformed(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Frame(frame) => write!(f, ", frame {frame}"),
            Self::Sample(sample) => write!(f, ", sample {sample}"),
            Self::Byte(byte) => write!(f, ", byte {byte}"),
        }
    }
}

impl Fault {
    /// A problem of the whole file.
    pub fn file(problem: Problem) -> Self {
        Self {
            place: Place::File,
            problem,
        }
    }

    /// A problem in a line of text, counted from 1.
    pub fn line(line: usize, problem: Problem) -> Self {
        Self {
            place: Place::Line(line),
            problem,
        }
    }

    /// A problem in a frame, counted from 1.
    pub fn frame(frame: usize, problem: Problem) -> Self {
        Self {
            place: Place::Frame(frame),
            problem,
        }
    }

    /// A problem in a sample of an array, counted from 1.
    pub fn sample(sample: usize, problem: Problem) -> Self {
        Self {
            place: Place::Sample(sample),
            problem,
        }
    }

    /// A problem at a byte offset, counted from 0.
    pub fn byte(byte: u64, problem: Problem) -> Self {
        Self {
            place: Place::Byte(byte),
            problem,
        }
    }

    /// Names the file.
    pub fn at(self, path: &Path) -> ReadError {
        ReadError {
            path: path.to_path_buf(),
            fault: self,
        }
    }
}

impl Problem {
    /// Something that breaks the rules of the format.
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::file(Problem::Io(error.to_string()))
    }
}
