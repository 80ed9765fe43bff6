//! From two files to the delta between them.

use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use sha2::{Digest as _, Sha256};

use crate::format::{FormatError, Header, Piece};

/// How hard the compressor tries, 1..=22; more costs minutes for a percent.
const LEVEL: i32 = 19;

/// A delta cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A file is too long for the format.
    #[error("a file of 4 GB or more has no delta")]
    TooLong,
    /// The header cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The compressor failed.
    #[error("the compressor failed: {0}")]
    Compress(#[from] std::io::Error),
}

/// The delta that leads from `base` to `target`. Tensors of the same name and length are compared; files that are no safetensors files,
/// or have nothing in common, are only compressed.
///
/// # Errors
/// [`MakeError`].
pub fn make(base: &[u8], target: &[u8]) -> Result<Vec<u8>, MakeError> {
    let short = |length: usize| u32::try_from(length).map_err(|_| MakeError::TooLong);
    short(base.len())?;
    let mut pieces = Vec::new();
    let mut body = Vec::with_capacity(target.len());
    let mut place = 0;
    for [from, at, length] in matches(base, target) {
        let (old, new) = (&base[at..at + length], &target[from..from + length]);
        let difference: Vec<u8> = new
            .iter()
            .zip(old)
            .map(|(new, old)| new.wrapping_sub(*old))
            .collect();
        // Floats that all changed have irregular differences.
        if entropy(&difference) >= entropy(new) {
            continue;
        }
        if from > place {
            let length = short(from - place)?;
            pieces.push(Piece::Plain { length });
            body.extend_from_slice(&target[place..from]);
        }
        let (at, length) = (short(at)?, short(length)?);
        pieces.push(Piece::Difference { at, length });
        body.extend_from_slice(&difference);
        place = from + difference.len();
    }
    if target.len() > place {
        let length = short(target.len() - place)?;
        pieces.push(Piece::Plain { length });
        body.extend_from_slice(&target[place..]);
    }
    let header = Header {
        base: Sha256::digest(base).into(),
        target: Sha256::digest(target).into(),
        pieces,
    };
    let mut delta = header.write()?;
    delta.extend(zstd::bulk::compress(&body, LEVEL)?);
    Ok(delta)
}

/// Where tensors of both files have the same name and length: place in `target`, place in `base`, length; in the order of `target`.
fn matches(base: &[u8], target: &[u8]) -> Vec<[usize; 3]> {
    let (Some((old_at, old)), Some((new_at, new))) = (contents(base), contents(target)) else {
        return Vec::new();
    };
    let mut found: Vec<[usize; 3]> = new
        .tensors()
        .into_iter()
        .filter_map(|(name, info)| {
            let (start, end) = info.data_offsets;
            let (old_start, old_end) = old.info(&name)?.data_offsets;
            let same = end - start == old_end - old_start && end > start;
            same.then_some([new_at + start, old_at + old_start, end - start])
        })
        .collect();
    found.sort_unstable();
    found
}

/// Where the tensors begin, and the table of contents.
fn contents(file: &[u8]) -> Option<(usize, Metadata)> {
    // The whole file is checked first: offsets lie inside it.
    SafeTensors::deserialize(file).ok()?;
    let (length, metadata) = SafeTensors::read_metadata(file).ok()?;
    Some((8 + length, metadata))
}

/// Bits that a byte of `bytes` needs if they come in any order.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = bytes.len().max(1) as f64;
    let used = counts.into_iter().filter(|count| *count > 0);
    used.map(|count| f64::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}
