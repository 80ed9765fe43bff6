//! One real array out of a MATLAB 5 file, with every size checked before it is used.
//!
//! A file is a header of 128 bytes and elements: a tag (type, length) and as many bytes, padded to eight; data of up to
//! four bytes sit in the tag itself. An element may be deflated as a whole. Only what MATLAB writes for a numeric array
//! is read: no cells, structures, sparse or complex arrays, and no big-endian files.

use super::{Fault, Problem};
use flate2::read::ZlibDecoder;
use std::io::Read as _;

/// A real array; the first index runs fastest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// Largest element after inflating, in bytes.
const MAX_ELEMENT_BYTES: u64 = 64 << 20;

const HEADER: usize = 128;
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;

/// The variable with this name.
pub(super) fn array(bytes: &[u8], name: &str) -> Result<Array, Fault> {
    let header = bytes
        .get(..HEADER)
        .ok_or_else(|| truncated(0, "the 128 bytes of a MATLAB 5 header"))?;
    if header[126..] != *b"IM" {
        return Err(Fault::byte(
            126,
            Problem::malformed("not a little-endian MATLAB 5 file"),
        ));
    }
    let mut reader = Reader { bytes, at: HEADER };
    while reader.at < bytes.len() {
        let start = reader.at as u64;
        let (kind, data) = reader.element()?;
        let found = match kind {
            COMPRESSED => {
                let inflated = inflate(data, start)?;
                match (Reader {
                    bytes: &inflated,
                    at: 0,
                })
                .element()
                {
                    // Offsets inside inflated data mean nothing to a reader of the file.
                    Ok((MATRIX, matrix)) => {
                        variable(matrix, name).map_err(|fault| Fault::byte(start, fault.problem))?
                    }
                    Ok(_) => None,
                    Err(fault) => return Err(Fault::byte(start, fault.problem)),
                }
            }
            MATRIX => variable(data, name).map_err(|fault| Fault::byte(start, fault.problem))?,
            _ => None,
        };
        if let Some(array) = found {
            return Ok(array);
        }
    }
    Err(Fault::file(Problem::malformed(format!(
        "it has no variable {name:?}"
    ))))
}

fn inflate(data: &[u8], start: u64) -> Result<Vec<u8>, Fault> {
    let mut inflated = Vec::new();
    match ZlibDecoder::new(data)
        .take(MAX_ELEMENT_BYTES + 1)
        .read_to_end(&mut inflated)
    {
        Ok(_) if inflated.len() as u64 > MAX_ELEMENT_BYTES => {
            let what = "the inflated size in bytes";
            Err(Fault::byte(
                start,
                Problem::TooLarge {
                    what,
                    found: inflated.len() as u64,
                    limit: MAX_ELEMENT_BYTES,
                },
            ))
        }
        Ok(_) => Ok(inflated),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(truncated(start, "the rest of a compressed element"))
        }
        Err(error) => Err(Fault::byte(
            start,
            Problem::malformed(format!("a compressed element is damaged ({error})")),
        )),
    }
}

/// The array in a matrix element, when it has this name.
fn variable(matrix: &[u8], name: &str) -> Result<Option<Array>, Fault> {
    let mut reader = Reader {
        bytes: matrix,
        at: 0,
    };
    let (_, flags) = reader.element()?;
    let flags = flags
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word));
    let (_, dimensions) = reader.element()?;
    let (_, found) = reader.element()?;
    if found != name.as_bytes() {
        return Ok(None);
    }
    // Classes 6 to 15 are the numeric arrays; bit 11 says complex.
    if !(6..=15).contains(&(flags & 0xff)) || flags & 0x0800 != 0 {
        return Err(Fault::byte(
            0,
            Problem::malformed(format!("{name} is not an array of real numbers")),
        ));
    }
    let shape: Vec<usize> = dimensions
        .chunks_exact(4)
        .map(|word| int(word) as usize)
        .collect();
    let (kind, data) = reader.element()?;
    let values = numbers(kind, data).ok_or_else(|| {
        Fault::byte(
            0,
            Problem::malformed(format!("{name} has values of an unknown type")),
        )
    })?;
    let expected = shape
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size));
    if expected != Some(values.len()) {
        return Err(truncated(0, "as many values as the array's shape says"));
    }
    Ok(Some(Array { shape, values }))
}

/// MATLAB stores whole numbers in the smallest type that holds them.
fn numbers(kind: u32, data: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks().0.iter().map(|word| read(*word)).collect()
    }
    Some(match kind {
        1 => each(data, |[byte]| f64::from(byte as i8)),
        2 => each(data, |[byte]| f64::from(byte)),
        3 => each(data, |word| f64::from(i16::from_le_bytes(word))),
        4 => each(data, |word| f64::from(u16::from_le_bytes(word))),
        5 => each(data, |word| f64::from(i32::from_le_bytes(word))),
        6 => each(data, |word| f64::from(u32::from_le_bytes(word))),
        7 => each(data, |word| f64::from(f32::from_le_bytes(word))),
        9 => each(data, f64::from_le_bytes),
        12 => each(data, |word| i64::from_le_bytes(word) as f64),
        13 => each(data, |word| u64::from_le_bytes(word) as f64),
        _ => return None,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Type and data of the next element.
    fn element(&mut self) -> Result<(u32, &'a [u8]), Fault> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let tag = rest
            .get(..8)
            .ok_or_else(|| truncated(start as u64, "the tag of an element"))?;
        let (word, length) = (int(tag), int(&tag[4..]) as usize);
        // A small element keeps its length in the upper half of the first word and its data in the second.
        let (kind, data, end) = match (word >> 16) as usize {
            0 => (
                word,
                rest.get(8..8_usize.saturating_add(length)),
                8_usize.saturating_add(length),
            ),
            small => (
                word & 0xffff,
                rest.get(4..8).and_then(|data| data.get(..small)),
                8,
            ),
        };
        let data = data.ok_or_else(|| truncated(start as u64, "the data of an element"))?;
        // Compressed elements are not padded.
        let end = if kind == COMPRESSED {
            end
        } else {
            end.next_multiple_of(8)
        };
        self.at = start.saturating_add(end).min(self.bytes.len());
        Ok((kind, data))
    }
}

fn int(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn truncated(at: u64, expected: &'static str) -> Fault {
    Fault::byte(at, Problem::Truncated { expected })
}
