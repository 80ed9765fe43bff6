//! From the old file and the delta to the new file.

use std::io::Read as _;

use ruzstd::decoding::StreamingDecoder;
use sha2::{Digest as _, Sha256};

use crate::format::{FormatError, Header, Piece};

/// A delta did not lead to the file that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It is no delta.
    #[error("this is no delta: {0}")]
    Format(#[from] FormatError),
    /// It begins from another file.
    #[error("the delta begins from another file than this one")]
    OtherBase,
    /// The new file would be too large.
    #[error("the new file would have {length} bytes, at most {most} are allowed")]
    TooLarge {
        /// Its length.
        length: u64,
        /// What is allowed.
        most: u64,
    },
    /// The compressed part is damaged.
    #[error("its compressed part is damaged: {0}")]
    Frame(String),
    /// What came out is not the file that it names.
    #[error("what it leads to is not the file that it names")]
    OtherTarget,
}

/// Makes the new file of the old one, of `most` bytes at most.
///
/// # Errors
/// [`ApplyError`]; nothing that was not checked by its digest is returned.
pub fn apply(base: &[u8], delta: &[u8], most: u64) -> Result<Vec<u8>, ApplyError> {
    let (header, mut frame) = Header::read(delta)?;
    let length = header.target_length();
    if length > most {
        return Err(ApplyError::TooLarge { length, most });
    }
    if Sha256::digest(base)[..] != header.base {
        return Err(ApplyError::OtherBase);
    }
    let damaged = |error: &dyn std::fmt::Display| ApplyError::Frame(error.to_string());
    let mut decoder = StreamingDecoder::new(&mut frame).map_err(|error| damaged(&error))?;
    let mut target = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    for piece in &header.pieces {
        let start = target.len();
        let wanted = u64::from(piece.length());
        let got = (&mut decoder)
            .take(wanted)
            .read_to_end(&mut target)
            .map_err(|error| damaged(&error))?;
        if got as u64 != wanted {
            return Err(damaged(&"it ends too early"));
        }
        if let Piece::Difference { at, length } = *piece {
            let (at, length) = (at as usize, length as usize);
            let old = at.checked_add(length).and_then(|end| base.get(at..end));
            let old = old.ok_or_else(|| damaged(&"a piece lies outside the old file"))?;
            let new = target.get_mut(start..).unwrap_or_default();
            for (new, old) in new.iter_mut().zip(old) {
                *new = new.wrapping_add(*old);
            }
        }
    }
    if Sha256::digest(&target)[..] != header.target {
        return Err(ApplyError::OtherTarget);
    }
    Ok(target)
}
