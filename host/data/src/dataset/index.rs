//! Where each recording lies in the file, checked in full before anything is used.

use super::header::{COLUMNS, MAX_HEADER_BYTES};
use super::{SetInfo, StoreProblem};
use crate::recording::MAX_FRAMES;
use safetensors::{Dtype, SafeTensors};
use std::ops::Range;
use tendon_shared::limits::MAX_BODIES;

/// One recording's place and tags.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Floats of the pose tensor.
    pub(super) poses: Range<usize>,
    /// Bytes of the names.
    pub(super) name: Range<usize>,
    pub(super) frames: usize,
    pub(super) bodies: usize,
    pub(super) label: u16,
    pub(super) subject: u16,
    pub(super) camera: u16,
    pub(super) setup: u16,
    pub(super) repetition: u16,
    pub(super) fps: f32,
}

/// Everything of the file but the poses themselves.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) info: SetInfo,
    pub(super) digest: String,
    pub(super) entries: Vec<Entry>,
    pub(super) names: String,
    /// Bytes of the file that hold the poses.
    pub(super) poses: Range<usize>,
}

impl Index {
    /// Checks a whole file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StoreProblem> {
        let contents = |text: &str| StoreProblem::Contents(text.to_owned());
        let length = bytes.first_chunk().map(|word| u64::from_le_bytes(*word));
        if length.is_none_or(|length| length > MAX_HEADER_BYTES) {
            return Err(StoreProblem::Container(
                "its header is missing or too long".into(),
            ));
        }
        let container =
            |error: safetensors::SafeTensorError| StoreProblem::Container(error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let pairs = metadata
            .metadata()
            .as_ref()
            .ok_or_else(|| contents("it has no metadata"))?;
        let (info, digest) = SetInfo::from_metadata(pairs)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(container)?;
        let tensor = |name: &str| {
            tensors
                .tensor(name)
                .map_err(|_| StoreProblem::Contents(format!("it has no tensor {name:?}")))
        };

        let joints = info.topology.topology().joint_count();
        let poses = tensor("poses")?;
        let &[rows, stored, 3] = poses.shape() else {
            return Err(contents("the poses do not have the shape [row, joint, 3]"));
        };
        if poses.dtype() != Dtype::F32 || stored != joints {
            return Err(contents("the poses do not fit the topology"));
        }
        let start = poses.data().as_ptr().addr() - bytes.as_ptr().addr();
        let poses = start..start + poses.data().len();

        let count = tensor("frames")?.data().len() / 4;
        let mut columns = [&[][..]; 8];
        for ((name, dtype, size), column) in COLUMNS.into_iter().zip(&mut columns) {
            let view = tensor(name)?;
            let kind = if dtype == "F32" {
                Dtype::F32
            } else {
                Dtype::I32
            };
            if view.dtype() != kind || view.shape() != [count] {
                return Err(StoreProblem::Contents(format!(
                    "the tensor {name:?} does not have the type {dtype} and {count} elements"
                )));
            }
            debug_assert_eq!(size, 4, "every column but the names");
            *column = view.data();
        }
        let names = std::str::from_utf8(tensor("names")?.data())
            .map_err(|_| contents("the names are not UTF-8"))?
            .to_owned();

        let mut entries = Vec::with_capacity(count);
        let (mut row, mut name_start) = (0_usize, 0_usize);
        for recording in 0..count {
            let word = |column: usize| -> [u8; 4] {
                let word = columns[column]
                    .get(recording * 4..)
                    .and_then(<[u8]>::first_chunk);
                word.copied().unwrap_or_default()
            };
            let number = |column: usize, limit: usize| -> Result<usize, StoreProblem> {
                let value = i32::from_le_bytes(word(column));
                usize::try_from(value)
                    .ok()
                    .filter(|&value| value <= limit)
                    .ok_or_else(|| {
                        StoreProblem::Contents(format!(
                            "{} of recording {recording} is {value}",
                            COLUMNS[column].0
                        ))
                    })
            };
            let tag =
                |column: usize| number(column, usize::from(u16::MAX)).map(|value| value as u16);
            let (frames, bodies) = (number(0, MAX_FRAMES)?, number(1, MAX_BODIES)?);
            let end = row + frames * bodies;
            if frames == 0 || bodies == 0 || end > rows {
                return Err(StoreProblem::Contents(format!(
                    "recording {recording} does not lie inside the poses"
                )));
            }
            let name_end = names
                .get(name_start..)
                .and_then(|rest| rest.find('\n'))
                .map(|length| name_start + length);
            let name_end =
                name_end.ok_or_else(|| contents("there are fewer names than recordings"))?;
            let label = tag(2)?;
            if usize::from(label) >= info.classes.len() {
                return Err(StoreProblem::Contents(format!(
                    "recording {recording} has label {label}, there are {} classes",
                    info.classes.len()
                )));
            }
            let fps = f32::from_le_bytes(word(7));
            if !(fps.is_finite() && fps > 0.0) {
                return Err(StoreProblem::Contents(format!(
                    "recording {recording} has the frame rate {fps}"
                )));
            }
            entries.push(Entry {
                poses: row * joints * 3..end * joints * 3,
                name: name_start..name_end,
                frames,
                bodies,
                label,
                subject: tag(3)?,
                camera: tag(4)?,
                setup: tag(5)?,
                repetition: tag(6)?,
                fps,
            });
            (row, name_start) = (end, name_end + 1);
        }
        if row != rows || name_start != names.len() {
            return Err(contents("there are more poses or names than recordings"));
        }
        Ok(Self {
            info,
            digest,
            entries,
            names,
            poses,
        })
    }
}
