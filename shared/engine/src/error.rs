//! What can go wrong: a blob that is no encoder, or buffers that do not fit it.

use crate::path::Path;
use core::fmt;

/// Why a blob is refused. The blob must be made anew; nothing on the device can repair it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The blob ends before the table that starts at this byte.
    Truncated {
        /// Offset of the missing table, bytes.
        at: usize,
    },
    /// The blob does not start with the magic.
    NotAnEncoder,
    /// The blob was written for another version of the arithmetic.
    UnsupportedVersion {
        /// The version found.
        found: u16,
    },
    /// A value is outside its documented range.
    OutOfRange {
        /// Which value.
        field: &'static str,
    },
    /// The blob is longer than its tables.
    TrailingBytes {
        /// Where the tables end, bytes.
        at: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at } => write!(f, "the encoder ends inside the table at byte {at}"),
            Self::NotAnEncoder => f.write_str("these bytes are no encoder"),
            Self::UnsupportedVersion { found } => {
                write!(
                    f,
                    "the encoder has format version {found}, this engine runs version {}",
                    crate::format::VERSION
                )
            }
            Self::OutOfRange { field } => write!(f, "the encoder's {field} is out of range"),
            Self::TrailingBytes { at } => write!(
                f,
                "the encoder's tables end at byte {at}, but the blob goes on"
            ),
        }
    }
}

impl core::error::Error for ParseError {}

/// A buffer whose length does not fit the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferError {
    /// Which buffer.
    pub buffer: &'static str,
    /// Its length in elements (the arena: bytes).
    pub found: usize,
    /// The length that the encoder needs.
    pub needed: usize,
}

impl BufferError {
    /// Checks that a buffer has exactly the length `needed`.
    pub(crate) fn check(buffer: &'static str, found: usize, needed: usize) -> Result<(), Self> {
        if found == needed {
            Ok(())
        } else {
            Err(Self {
                buffer,
                found,
                needed,
            })
        }
    }
}

impl fmt::Display for BufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} has {} elements, the encoder needs {}",
            self.buffer, self.found, self.needed
        )
    }
}

impl core::error::Error for BufferError {}

/// A path was asked for that this machine or this build does not have. `Path::best` is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The path.
    pub path: Path,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the engine's path {} does not run here", self.path)
    }
}

impl core::error::Error for PathError {}
