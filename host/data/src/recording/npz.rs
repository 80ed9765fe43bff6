//! CTR-GCN's `.npz`: a ZIP file with `x_train`, `y_train`, `x_test`, `y_test`.
//!
//! # Source
//! `x` is `[N, frame, body * joint * axis]` with 2 bodies of 25 joints; `y` is one-hot `[N, classes]`, or `[N]` class
//! numbers. The setup of a recording says its part: 1 train, 2 test. Persons and cameras are not in the file. Arrays may
//! be stored or deflated and are read as a stream; files above 4 GB (ZIP64) are read too.

use super::npy::Npy;
use super::npy_pkl::trim;
use super::{Fault, Format, Item, Problem, ReadError, Scan, Sink, ntu_skeleton, raw, set_info};
use crate::split::Tags;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use tendon_shared::topology::TopologyId;

const BODIES: usize = 2;
const JOINTS: usize = 25;
/// Arrays, names and comments of a file are few and short; larger directories are damage.
const MAX_DIRECTORY_BYTES: u64 = 1 << 20;
/// The end record has 22 bytes and a comment of up to 65,535.
const MAX_END_BYTES: u64 = 22 + 65_535;
/// Samples of one array; the largest public one has 63,026.
const MAX_SAMPLES: usize = 1 << 22;

pub(super) fn scan(path: &Path) -> Result<Scan, ReadError> {
    let fail = |fault: Fault| fault.at(path);
    let mut items = Vec::new();
    let mut highest = 0;
    for (setup, part) in [(1, "train"), (2, "test")] {
        let (data, labels) = (format!("x_{part}"), format!("y_{part}"));
        let Some(array) = open(path, &data).map_err(fail)? else {
            continue;
        };
        let (samples, _) = layout(&array.shape).map_err(fail)?;
        highest = read_labels(path, &labels, samples)
            .map_err(fail)?
            .into_iter()
            .max()
            .unwrap_or_default()
            .max(highest);
        items.push(Item {
            path: path.to_path_buf(),
            companion: Some(PathBuf::from(labels)),
            name: data,
            tags: Tags {
                setup,
                ..Tags::default()
            },
            recordings: samples,
        });
    }
    let terms = "As the recordings that the arrays were made from.";
    let info = set_info(
        Format::Npz,
        TopologyId::Ntu25,
        ntu_skeleton::class_names(highest, true),
        terms,
    );
    Ok(Scan {
        info,
        items,
        left_out: Vec::new(),
    })
}

pub(super) fn read(item: &Item, sink: &mut Sink<'_>) {
    if let Err(fault) = try_read(item, sink) {
        // Nothing follows this error, so the answer does not matter.
        let _ = sink(Err(fault.at(&item.path)));
    }
}

fn try_read(item: &Item, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let labels = item
        .companion
        .as_deref()
        .and_then(Path::to_str)
        .unwrap_or_default();
    let mut array = open(&item.path, &item.name)?.ok_or_else(|| missing(&item.name))?;
    let (samples, frames) = layout(&array.shape)?;
    let labels = read_labels(&item.path, labels, samples)?;
    let pose = BODIES * JOINTS * 3;
    for (number, label) in labels.into_iter().enumerate() {
        // The file's order is that of a recording: frame, body, joint, axis.
        let mut poses = vec![0.0; frames * pose];
        array.read(&mut poses)?;
        let name = format!("{}#{}", item.name, number + 1);
        let clip = trim(poses, BODIES, pose, number);
        let recording = clip
            .map(|clip| clip.named(name, Tags { label, ..item.tags }))
            .map_err(|fault| fault.at(&item.path));
        if sink(recording).is_break() {
            break;
        }
    }
    Ok(())
}

/// Samples and frames.
fn layout(shape: &[usize]) -> Result<(usize, usize), Fault> {
    match *shape {
        [samples, _, _] if samples > MAX_SAMPLES => Err(Fault::file(raw::too_large(
            "the number of samples",
            samples,
            MAX_SAMPLES,
        ))),
        [_, frames, _] if frames > raw::MAX_FRAMES => Err(Fault::file(raw::too_large(
            "the number of frames",
            frames,
            raw::MAX_FRAMES,
        ))),
        [samples, frames, 150] => Ok((samples, frames)),
        [_, _, values] => Err(Fault::file(Problem::JointCount {
            expected: BODIES * JOINTS,
            found: values / 3,
        })),
        _ => Err(Fault::file(Problem::Malformed(format!(
            "an array has the shape {shape:?}, not [N, frames, 150]"
        )))),
    }
}

/// Class numbers, from a one-hot table or from numbers.
fn read_labels(path: &Path, name: &str, samples: usize) -> Result<Vec<u16>, Fault> {
    let mut array = open(path, name)?.ok_or_else(|| missing(name))?;
    let wrong = |text: String| Fault::file(Problem::Malformed(format!("{name} {text}")));
    let width = match *array.shape.as_slice() {
        [count] if count == samples => 1,
        [count, classes] if count == samples && (1..=4096).contains(&classes) => classes,
        ref other => {
            return Err(wrong(format!(
                "has the shape {other:?} for {samples} samples"
            )));
        }
    };
    let mut row = vec![0.0; width];
    let mut labels = Vec::new();
    for sample in 0..samples {
        array.read(&mut row)?;
        let label = match row.as_slice() {
            &[number] => number,
            one_hot => one_hot
                .iter()
                .position(|value| *value > 0.5)
                .map_or(-1.0, |class| class as f32),
        };
        if !(0.0..4096.0).contains(&label) || label.fract() != 0.0 {
            return Err(wrong(format!("has no class for sample {}", sample + 1)));
        }
        labels.push(label as u16);
    }
    Ok(labels)
}

fn missing(name: &str) -> Fault {
    Fault::file(Problem::Malformed(format!("it has no array {name}")))
}

/// One array of the file, or nothing when it is not there.
fn open(path: &Path, name: &str) -> Result<Option<Npy<Box<dyn Read>>>, Fault> {
    let mut file = File::open(path)?;
    let Some(entry) = find(&mut file, &format!("{name}.npy"))? else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(entry.start))?;
    let stored = BufReader::with_capacity(1 << 16, file.take(entry.length));
    let reader: Box<dyn Read> = match entry.method {
        0 => Box::new(stored),
        8 => Box::new(BufReader::with_capacity(
            1 << 16,
            DeflateDecoder::new(stored),
        )),
        other => {
            return Err(Fault::byte(
                entry.start,
                Problem::malformed(format!(
                    "{name} is packed with method {other}, only stored and deflated arrays are read"
                )),
            ));
        }
    };
    Npy::open(reader).map(Some)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where its bytes start.
    start: u64,
    /// Bytes in the file.
    length: u64,
    method: u16,
}

/// Looks a name up in the directory at the end of a ZIP file.
fn find(file: &mut (impl Read + Seek), name: &str) -> Result<Option<Entry>, Fault> {
    let size = file.seek(SeekFrom::End(0))?;
    let tail_start = size.saturating_sub(MAX_END_BYTES + 20);
    let tail = bytes_at(file, tail_start, size - tail_start)?;
    let end = tail.windows(4).rposition(|word| word == b"PK\x05\x06");
    let end = end.ok_or_else(|| {
        Fault::byte(
            size,
            Problem::malformed("not a ZIP file, or its end is missing: is this an .npz file?"),
        )
    })?;
    let mut count = u64::from(u16_at(&tail, end + 10));
    let mut length = u64::from(u32_at(&tail, end + 12));
    let mut start = u64::from(u32_at(&tail, end + 16));
    // ZIP64: a locator right before the end record says where the larger record is.
    if let Some(locator) = end
        .checked_sub(20)
        .filter(|&at| tail[at..].starts_with(b"PK\x06\x07"))
    {
        let at = u64_at(&tail, locator + 8);
        let record = bytes_at(file, at, 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(Fault::byte(
                at,
                Problem::malformed("the ZIP64 record is damaged"),
            ));
        }
        (count, length, start) = (
            u64_at(&record, 32),
            u64_at(&record, 40),
            u64_at(&record, 48),
        );
    }
    if length > MAX_DIRECTORY_BYTES {
        let what = "the size of the ZIP directory";
        return Err(Fault::byte(
            start,
            Problem::TooLarge {
                what,
                found: length,
                limit: MAX_DIRECTORY_BYTES,
            },
        ));
    }
    let directory = bytes_at(file, start, length)?;
    let mut at = 0;
    for _ in 0..count {
        let rest = directory.get(at..).unwrap_or_default();
        if !rest.starts_with(b"PK\x01\x02") || rest.len() < 46 {
            return Err(Fault::byte(
                start + at as u64,
                Problem::malformed("the ZIP directory is damaged"),
            ));
        }
        let (name_length, extra_length) =
            (usize::from(u16_at(rest, 28)), usize::from(u16_at(rest, 30)));
        if rest.get(46..46 + name_length) == Some(name.as_bytes()) {
            let extra = rest
                .get(46 + name_length..46 + name_length + extra_length)
                .unwrap_or_default();
            return entry(file, rest, extra, size).map(Some);
        }
        at += 46 + name_length + extra_length + usize::from(u16_at(rest, 32));
    }
    Ok(None)
}

/// Reads a directory entry and the local header it points to.
fn entry(
    file: &mut (impl Read + Seek),
    record: &[u8],
    extra: &[u8],
    size: u64,
) -> Result<Entry, Fault> {
    let (plain, mut length, mut header) = (
        u32_at(record, 24),
        u64::from(u32_at(record, 20)),
        u64::from(u32_at(record, 42)),
    );
    // The ZIP64 field holds, in this order, only those values that do not fit above.
    if let Some(mut field) = zip64_field(extra) {
        if plain == u32::MAX {
            field = field.get(8..).unwrap_or_default();
        }
        for value in [&mut length, &mut header] {
            if *value == u64::from(u32::MAX) {
                *value = u64_at(field, 0);
                field = field.get(8..).unwrap_or_default();
            }
        }
    }
    let local = bytes_at(file, header, 30)?;
    if !local.starts_with(b"PK\x03\x04") {
        return Err(Fault::byte(
            header,
            Problem::malformed("the ZIP directory points to the wrong place"),
        ));
    }
    let start = header + 30 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
    if start.checked_add(length).is_none_or(|end| end > size) {
        return Err(Fault::byte(
            start,
            Problem::Truncated {
                expected: "the rest of an array",
            },
        ));
    }
    Ok(Entry {
        start,
        length,
        method: u16_at(record, 10),
    })
}

fn zip64_field(mut extra: &[u8]) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        if id == 1 {
            return extra.get(4..4 + length);
        }
        extra = extra.get(4 + length..)?;
    }
    None
}

fn bytes_at(file: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Vec<u8>, Fault> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(Fault::byte(
            at,
            Problem::Truncated {
                expected: "a part of the ZIP directory",
            },
        ))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u16::from_le_bytes(*word))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::RawRecording;
    use std::io::Cursor;
    use std::ops::ControlFlow;

    const STORED: &[u8] = include_bytes!("fixtures/stored.npz");
    const DEFLATED: &[u8] = include_bytes!("fixtures/deflated.npz");
    const INDICES: &[u8] = include_bytes!("fixtures/indices.npz");

    fn run(bytes: &[u8]) -> Result<Vec<RawRecording>, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        for item in scan(&path).map_err(|error| error.fault)?.items {
            read(&item, &mut |recording| {
                found.push(recording.map_err(|error| error.fault));
                ControlFlow::Continue(())
            });
        }
        found.into_iter().collect()
    }

    #[test]
    fn both_parts_are_read_whether_stored_or_deflated() {
        let stored = run(STORED).unwrap();
        let shown: Vec<_> = stored
            .iter()
            .map(|r| (r.name.as_str(), r.frames, r.label, r.setup))
            .collect();
        assert_eq!(
            shown,
            [
                ("x_train#1", 4, 12, 1),
                ("x_train#2", 3, 59, 1),
                ("x_test#1", 3, 59, 2)
            ]
        );
        // Frame 2, body 1, joint 7, axis 1: 1 + 0.1 + 0.02 + 0.007 + 5.
        assert!((stored[0].poses[((2 * 2 + 1) * 25 + 7) * 3 + 1] - 6.127).abs() < 1e-5);
        assert_eq!(run(DEFLATED).as_ref(), Ok(&stored));
        assert_eq!(run(INDICES).as_ref(), Ok(&stored));
    }

    #[test]
    fn names_what_is_wrong() {
        let check = |bytes: &[u8], expect: &str| {
            let error = run(bytes).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(b"", "not a ZIP file");
        check(&STORED[..STORED.len() / 2], "not a ZIP file");
        let renamed = |bytes: &[u8], from: &str, to: &str| {
            let mut bytes = bytes.to_vec();
            for at in 0..bytes.len() - from.len() {
                if bytes[at..].starts_with(from.as_bytes()) {
                    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
                }
            }
            bytes
        };
        check(&renamed(STORED, "y_test", "z_test"), "no array y_test");
        check(
            &renamed(STORED, "(2, 4, 150)", "(2, 4, 120)"),
            "40 joints where 50 belong",
        );
        check(
            &renamed(STORED, "(2, 60)", "(3, 60)"),
            "shape [3, 60] for 2 samples",
        );
        check(
            &renamed(STORED, "PK\u{3}\u{4}", "PK\u{3}\u{5}"),
            "wrong place",
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, changes in proptest::collection::vec((0_usize..1 << 16, 0_u8..), 1..6)) {
            let _ = find(&mut Cursor::new(&bytes), "x_train.npy");
            let mut damaged = STORED.to_vec();
            for (at, byte) in changes {
                // Most of the file is numbers; its directory is at the end.
                let at = damaged.len() - 1 - at % 600;
                damaged[at] = byte;
            }
            let _ = find(&mut Cursor::new(&damaged), "y_test.npy");
            let _ = run(&damaged);
        }
    }
}
