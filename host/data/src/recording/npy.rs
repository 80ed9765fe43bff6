//! NumPy's `.npy`: a header that is a Python dictionary, then numbers, read as a stream.
//!
//! # Source
//! numpy.lib.format, versions 1 to 3. Only C order and the types `<f4`, `<f8`, `<i4`, `<i8`, `|i1`, `|u1` and `|b1`, which is what the
//! reference repositories write.

use super::{Fault, Problem};
use std::io::Read;

/// Largest header; real ones have 128 bytes.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// An array of which the header has been read and the numbers have not.
pub(super) struct Npy<R> {
    pub(super) shape: Vec<usize>,
    kind: Kind,
    reader: R,
    /// Bytes read so far.
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F64,
    I32,
    I64,
    I8,
    U8,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::I8 | Self::U8 => 1,
        }
    }
}

impl<R: Read> Npy<R> {
    /// Reads the header.
    pub(super) fn open(mut reader: R) -> Result<Self, Fault> {
        let mut start = [0; 8];
        fill(&mut reader, &mut start, 0)?;
        if start[..6] != *b"\x93NUMPY" {
            return Err(Fault::byte(
                0,
                Problem::malformed("not a .npy array: is this the right format?"),
            ));
        }
        let mut length = [0; 4];
        let word = match start[6] {
            1 => 2,
            2 | 3 => 4,
            other => {
                return Err(Fault::byte(
                    6,
                    Problem::malformed(format!("an unknown .npy version {other}")),
                ));
            }
        };
        fill(&mut reader, &mut length[..word], 8)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            return Err(Fault::byte(
                8,
                super::raw::too_large("the size of the header", length, MAX_HEADER_BYTES),
            ));
        }
        let mut header = vec![0; length];
        let at = (8 + word) as u64;
        fill(&mut reader, &mut header, at)?;
        let header = String::from_utf8_lossy(&header);
        let wrong = |what: &str| {
            Fault::byte(
                at,
                Problem::malformed(format!("{what} in the header {:?}", header.trim())),
            )
        };
        let kind = match value(&header, "descr")
            .and_then(quoted)
            .ok_or_else(|| wrong("no type"))?
        {
            "<f4" => Kind::F32,
            "<f8" => Kind::F64,
            "<i4" => Kind::I32,
            "<i8" => Kind::I64,
            "|i1" => Kind::I8,
            "|u1" | "|b1" => Kind::U8,
            _ => {
                return Err(wrong(
                    "a type other than <f4, <f8, <i4, <i8, |i1, |u1 and |b1",
                ));
            }
        };
        if !value(&header, "fortran_order").is_some_and(|text| text.starts_with("False")) {
            return Err(wrong("another order than C order"));
        }
        let shape = value(&header, "shape")
            .and_then(tuple)
            .ok_or_else(|| wrong("no shape"))?;
        Ok(Self {
            shape,
            kind,
            reader,
            at: at + length as u64,
        })
    }

    /// The next numbers, as many as `values` has room for. 64-bit numbers are rounded.
    pub(super) fn read(&mut self, values: &mut [f32]) -> Result<(), Fault> {
        let mut buffer = [0; 8 * 1024];
        for part in values.chunks_mut(1024) {
            let bytes = &mut buffer[..part.len() * self.kind.size()];
            fill(&mut self.reader, bytes, self.at)?;
            self.at += bytes.len() as u64;
            match self.kind {
                Kind::F32 => each(bytes, part, f32::from_le_bytes),
                Kind::F64 => each(bytes, part, |word| f64::from_le_bytes(word) as f32),
                Kind::I32 => each(bytes, part, |word| i32::from_le_bytes(word) as f32),
                Kind::I64 => each(bytes, part, |word| i64::from_le_bytes(word) as f32),
                Kind::I8 => each(bytes, part, |[byte]| f32::from(byte as i8)),
                Kind::U8 => each(bytes, part, |[byte]| f32::from(byte)),
            }
        }
        Ok(())
    }
}

fn each<const N: usize>(bytes: &[u8], values: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    for (word, value) in bytes.as_chunks().0.iter().zip(values) {
        *value = read(*word);
    }
}

fn fill(reader: &mut impl Read, bytes: &mut [u8], at: u64) -> Result<(), Fault> {
    reader
        .read_exact(bytes)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Fault::byte(
                at,
                Problem::Truncated {
                    expected: "the rest of the array",
                },
            ),
            _ => Fault::byte(at, Problem::Io(error.to_string())),
        })
}

/// What stands behind a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    Some(rest.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split('\'').next()
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    let words = inner
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &[u8] = include_bytes!("fixtures/tiny_data.npy");

    fn header(text: &str) -> Vec<u8> {
        [
            b"\x93NUMPY\x01\x00",
            &(text.len() as u16).to_le_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    }

    #[test]
    fn reads_shape_and_numbers() {
        let mut npy = Npy::open(TINY).unwrap();
        assert_eq!(npy.shape, [2, 3, 4, 25, 2]);
        let mut values = vec![0.0; 1200];
        npy.read(&mut values).unwrap();
        // Sample 0, axis 2, frame 3, joint 24, body 1: 1 + 0.2 + 0.03 + 0.024 + 5.
        assert!((values[599] - 6.254).abs() < 1e-5, "{}", values[599]);
        assert!(matches!(
            npy.read(&mut [0.0]),
            Err(Fault {
                problem: Problem::Truncated { .. },
                ..
            })
        ));
    }

    #[test]
    fn whole_numbers_are_read_too() {
        let mut bytes = header("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }");
        bytes.extend([7_i64.to_le_bytes(), (-2_i64).to_le_bytes()].concat());
        let mut npy = Npy::open(bytes.as_slice()).unwrap();
        let mut values = [0.0; 2];
        npy.read(&mut values).unwrap();
        assert_eq!((npy.shape.as_slice(), values), (&[2][..], [7.0, -2.0]));
    }

    #[test]
    fn other_arrays_are_refused() {
        for text in [
            "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, x), }",
            "{'descr': '<f4', 'fortran_order': False, }",
            "",
        ] {
            assert!(Npy::open(header(text).as_slice()).is_err(), "{text}");
        }
        assert!(Npy::open(&b"PK\x03\x04"[..]).is_err());
        assert!(Npy::open(&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[{}'(),: a-z0-9<]{0,60}") {
            let _ = Npy::open(bytes.as_slice());
            if let Ok(mut npy) = Npy::open([header(&format!("{{'descr': '<f4', {text}")), bytes].concat().as_slice()) {
                let _ = npy.read(&mut [0.0; 8]);
            }
        }
    }
}
