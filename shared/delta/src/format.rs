//! The header of a delta.

use serde::{Deserialize, Serialize};

/// The first bytes of every delta, with the format's version.
pub const MAGIC: &[u8; 8] = b"TENDOND1";
/// Most pieces of a delta: a bundle's table of contents and its tensors, with what lies between them.
pub const MAX_PIECES: usize = 64;
/// Longest header that is read, bytes.
const MAX_HEADER: usize = 2_048;

/// A run of the new file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// The frame has the bytes themselves.
    Plain {
        /// How many.
        length: u32,
    },
    /// The frame has what must be added, modulo 256, to the bytes of the old file.
    Difference {
        /// Where these begin in the old file.
        at: u32,
        /// How many.
        length: u32,
    },
}

impl Piece {
    /// Bytes of the new file.
    #[must_use]
    pub const fn length(self) -> u32 {
        match self {
            Self::Plain { length } | Self::Difference { length, .. } => length,
        }
    }
}

/// What a delta leads from and to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// SHA-256 of the old file.
    pub base: [u8; 32],
    /// SHA-256 of the new file.
    pub target: [u8; 32],
    /// The new file, piece by piece.
    pub pieces: Vec<Piece>,
}

/// A file is no delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It begins otherwise.
    #[error("it does not begin as a delta does")]
    Magic,
    /// Its header is cut short or cannot be read.
    #[error("its header cannot be read")]
    Header,
    /// It has more pieces than a delta may have.
    #[error("it has more than {MAX_PIECES} pieces")]
    Pieces,
}

impl Header {
    /// Length of the new file, bytes.
    #[must_use]
    pub fn target_length(&self) -> u64 {
        self.pieces
            .iter()
            .map(|piece| u64::from(piece.length()))
            .sum()
    }

    /// Reads a delta's header; the second value is the frame behind it.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn read(delta: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let rest = delta.strip_prefix(MAGIC).ok_or(FormatError::Magic)?;
        let (length, rest) = rest.split_first_chunk().ok_or(FormatError::Header)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (header, frame) = rest
            .split_at_checked(length)
            .filter(|_| length <= MAX_HEADER)
            .ok_or(FormatError::Header)?;
        match postcard::take_from_bytes::<Self>(header) {
            Ok((header, [])) if header.pieces.len() <= MAX_PIECES => Ok((header, frame)),
            Ok((_, [])) => Err(FormatError::Pieces),
            _ => Err(FormatError::Header),
        }
    }

    /// The bytes before the frame.
    ///
    /// # Errors
    /// [`FormatError::Pieces`].
    pub fn write(&self) -> Result<Vec<u8>, FormatError> {
        if self.pieces.len() > MAX_PIECES {
            return Err(FormatError::Pieces);
        }
        let header = postcard::to_allocvec(self).map_err(|_| FormatError::Header)?;
        let length = u16::try_from(header.len()).map_err(|_| FormatError::Header)?;
        Ok([MAGIC, &length.to_le_bytes()[..], &header].concat())
    }
}
