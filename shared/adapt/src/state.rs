//! What adaptation must not lose in a power cut: one file, replaced as a whole.
//!
//! Layout: magic, SHA-256 of the rest, a safetensors image (`teacher`, `student`, `memory.weak`, `memory.strong`, `keys`, `supports`, and `undo.teacher`,
//! `undo.student` with the tails before the last updates one after another) with the other facts as JSON in its metadata. The
//! file names the digest of the bundle it belongs to and is refused by any other. It says its own shapes, so that it can be checked
//! without the bundle.
//! Whatever the bytes are, reading gives a state or an error, never a panic.

use super::features::{FeatureShape, Features};
use super::guard::Guard;
use super::history::{Snapshot, SnapshotFacts};
use super::keys::{Key, MOST_KEYS};
use super::memory::Entry;
use super::supports::MOST_SUPPORTS;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::Path;

const MAGIC: &[u8; 8] = b"TENDONA2";
const HASH: usize = 32;
/// Largest file that is read, bytes: 66 tails of 200,000 weights and a full memory of two-body windows.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Largest side of a feature shape that is believed.
const MAX_SIDE: usize = 1024;
/// Most snapshots that are read.
const MAX_SNAPSHOTS: usize = 32;

/// Everything that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Digest of the bundle that the tail was adapted from.
    pub base: String,
    /// Numbers and lists.
    pub facts: Facts,
    /// Teacher weights; empty when nothing is adapted.
    pub teacher: Vec<f32>,
    /// Student weights; empty when nothing is adapted.
    pub student: Vec<f32>,
    /// The memory's windows.
    pub memory: Vec<Entry>,
    /// Windows that persons named, oldest first.
    pub keys: Vec<Key>,
    /// Windows that the encoder was sure of, oldest first.
    pub supports: Vec<Key>,
    /// The tails before the last updates, oldest first.
    pub history: Vec<Snapshot>,
    /// The classes' names, for people.
    pub classes: Vec<String>,
}

/// The small part of a state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether the operator lets the device learn.
    pub enabled: bool,
    /// Updates since the tail was made.
    pub updates: u64,
    /// Updates in all.
    pub total_updates: u64,
    /// Windows observed in all: numbers the next one.
    pub windows: u64,
    /// When the tail began from the shipped one, milliseconds of the stream.
    #[serde(default)]
    pub began_ms: Option<u64>,
    /// The guard's memory.
    pub guard: Guard,
}

/// Why a state was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read or written.
    #[error("adaptation state: {0}")]
    Io(#[from] std::io::Error),
    /// The file is not a whole state: it is set aside and adaptation begins anew.
    #[error("adaptation state is damaged ({0})")]
    Damaged(&'static str),
    /// The file belongs to another bundle.
    #[error("adaptation state belongs to bundle {found}, not to {expected}")]
    OtherBase {
        /// The bundle in the file.
        found: String,
        /// The bundle that serves.
        expected: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    base: String,
    facts: Facts,
    memory: Vec<Kept>,
    #[serde(default)]
    keys: Vec<KeptKey>,
    #[serde(default)]
    supports: Vec<KeptKey>,
    #[serde(default)]
    history: Vec<SnapshotFacts>,
    #[serde(default)]
    classes: Vec<String>,
    /// Joints, frames, channels of a body's features.
    #[serde(default)]
    shape: Option<[usize; 3]>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    window: u64,
    track: u64,
    end_ms: u64,
    label: u16,
    #[serde(default)]
    trusted: bool,
    confidence: f32,
    quality: f32,
    bodies: usize,
}

#[derive(Serialize, Deserialize)]
struct KeptKey {
    window: u64,
    label: u16,
}

impl State {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when a value cannot be written down (a number that is not finite).
    pub fn to_bytes(&self, shape: &FeatureShape) -> Result<Vec<u8>, StateError> {
        let kept = |entry: &Entry| Kept {
            window: entry.window,
            track: entry.track,
            end_ms: entry.end_ms,
            label: entry.label,
            trusted: entry.trusted,
            confidence: entry.confidence,
            quality: entry.quality,
            bodies: entry.weak.bodies(shape).len(),
        };
        let header = Header {
            base: self.base.clone(),
            facts: self.facts.clone(),
            memory: self.memory.iter().map(kept).collect(),
            keys: kept_keys(&self.keys),
            supports: kept_keys(&self.supports),
            history: self.history.iter().map(|kept| kept.facts).collect(),
            classes: self.classes.clone(),
            shape: Some([shape.joints, shape.frames, shape.channels]),
        };
        let header = serde_json::to_string(&header).map_err(|_| StateError::Damaged("facts"))?;
        let (teacher, student) = (f32_bytes(&self.teacher), f32_bytes(&self.student));
        let joined = |pick: fn(&Snapshot) -> &[f32]| -> Vec<u8> {
            let tails = self.history.iter();
            tails.flat_map(|kept| f32_bytes(pick(kept))).collect()
        };
        let undo_teacher = joined(|kept| &kept.teacher);
        let undo_student = joined(|kept| &kept.student);
        let weak = i8_bytes(self.memory.iter().map(|entry| &entry.weak));
        let strong = i8_bytes(self.memory.iter().map(|entry| &entry.strong));
        let directions = |keys: &[Key]| -> Vec<u8> {
            let keys = keys.iter();
            keys.flat_map(|key| f32_bytes(&key.direction)).collect()
        };
        let (keys, supports) = (directions(&self.keys), directions(&self.supports));
        let view = |kind, bytes, unit| {
            let bytes: &Vec<u8> = bytes;
            TensorView::new(kind, vec![bytes.len() / unit], bytes)
                .map_err(|_| StateError::Damaged("tensors"))
        };
        let tensors = [
            ("teacher", view(Dtype::F32, &teacher, 4)?),
            ("student", view(Dtype::F32, &student, 4)?),
            ("memory.weak", view(Dtype::I8, &weak, 1)?),
            ("memory.strong", view(Dtype::I8, &strong, 1)?),
            ("keys", view(Dtype::F32, &keys, 4)?),
            ("supports", view(Dtype::F32, &supports, 4)?),
            ("undo.teacher", view(Dtype::F32, &undo_teacher, 4)?),
            ("undo.student", view(Dtype::F32, &undo_student, 4)?),
        ];
        let metadata = HashMap::from([("state".to_owned(), header)]);
        let image =
            serialize(tensors, Some(metadata)).map_err(|_| StateError::Damaged("tensors"))?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + HASH + image.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&Sha256::digest(&image));
        bytes.extend_from_slice(&image);
        Ok(bytes)
    }

    /// Reads a file's bytes for features of `shape` and a tail of `weights` weights.
    ///
    /// # Errors
    /// [`StateError::Damaged`] naming the part that is wrong.
    pub fn from_bytes(
        bytes: &[u8],
        shape: &FeatureShape,
        weights: usize,
    ) -> Result<Self, StateError> {
        Ok(Self::from_image(whole(bytes)?, Some((*shape, weights)))?.0)
    }

    /// Reads a file's bytes without the bundle, with the shapes that the file itself says; the second value is that of the features.
    ///
    /// # Errors
    /// [`StateError::Damaged`] naming the part that is wrong.
    pub fn open(bytes: &[u8]) -> Result<(Self, FeatureShape), StateError> {
        Self::from_image(whole(bytes)?, None)
    }

    /// Reads the file at `path` as [`Self::open`] does; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_file(path: &Path) -> Result<Option<(Self, FeatureShape)>, StateError> {
        read(path)?.map(|bytes| Self::open(&bytes)).transpose()
    }

    /// Goes back to the tail before the last update, or after update `to`, and forgets the windows that came later, but for those
    /// that a person named. The next update has a new number all the same. Returns the update that is in the tail now.
    ///
    /// # Errors
    /// [`super::history::UndoError`]; nothing is changed.
    pub fn undo(&mut self, to: Option<u64>) -> Result<u64, super::history::UndoError> {
        let mut history = super::history::History::new(usize::MAX);
        self.history
            .iter()
            .for_each(|kept| history.push(kept.clone()));
        let snapshot = history.take(to)?;
        self.history = history.iter().cloned().collect();
        let facts = snapshot.facts;
        self.facts.updates = facts.updates;
        self.facts.guard.go_back(facts.serves && facts.updates > 0);
        self.teacher = snapshot.teacher;
        self.student = snapshot.student;
        self.memory
            .retain(|entry| entry.trusted || entry.window < facts.windows);
        self.supports.retain(|key| key.window < facts.windows);
        Ok(facts.update)
    }

    /// Forgets everything learnt. Windows and updates keep their count, so that no number comes twice.
    pub fn reset(&mut self) {
        self.facts.updates = 0;
        self.facts.guard.reset();
        self.teacher.clear();
        self.student.clear();
        self.memory.clear();
        self.keys.clear();
        self.supports.clear();
        self.history.clear();
    }

    /// Reads an image, of `expected` feature shape and number of weights if these are known.
    fn from_image(
        image: &[u8],
        expected: Option<(FeatureShape, usize)>,
    ) -> Result<(Self, FeatureShape), StateError> {
        let damaged = StateError::Damaged;
        let (_, metadata) = SafeTensors::read_metadata(image).map_err(|_| damaged("metadata"))?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|map| map.get("state"))
            .ok_or(damaged("facts"))?;
        let header: Header = serde_json::from_str(text).map_err(|_| damaged("facts"))?;
        let tensors = SafeTensors::deserialize(image).map_err(|_| damaged("tensors"))?;
        let stated = header
            .shape
            .filter(|sides| sides.iter().all(|side| *side <= MAX_SIDE));
        let stated = stated.map(|[joints, frames, channels]| FeatureShape {
            joints,
            frames,
            channels,
        });
        let shape = &expected
            .map(|(shape, _)| shape)
            .or(stated)
            .ok_or(damaged("shape"))?;
        // Snapshots have as many weights as the tail, or the first of them says how many there are.
        let adapted = header
            .history
            .iter()
            .filter(|kept| kept.updates > 0)
            .count();
        let undo = optional(&tensors, "undo.teacher")?;
        let weights = match expected {
            Some((_, weights)) => weights,
            None => match tensors
                .tensor("teacher")
                .map_or(0, |list| list.data().len() / 4)
            {
                0 => undo.len() / adapted.max(1),
                count => count,
            },
        };
        let list = |name: &'static str| {
            let tensor = tensors.tensor(name).map_err(|_| damaged(name))?;
            let values = f32_values(tensor.data());
            let fits =
                tensor.dtype() == Dtype::F32 && (values.is_empty() || values.len() == weights);
            if fits && values.iter().all(|value| value.is_finite()) {
                Ok(values)
            } else {
                Err(damaged(name))
            }
        };
        let (teacher, student) = (list("teacher")?, list("student")?);
        if teacher.len() != student.len() {
            return Err(damaged("student"));
        }
        let undone = optional(&tensors, "undo.student")?;
        let fits = adapted.checked_mul(weights) == Some(undo.len()) && undone.len() == undo.len();
        if !fits || header.history.len() > MAX_SNAPSHOTS {
            return Err(damaged("undo"));
        }
        let mut tails = undo
            .chunks_exact(weights.max(1))
            .zip(undone.chunks_exact(weights.max(1)));
        let history: Vec<Snapshot> = header
            .history
            .iter()
            .map(|facts| {
                let (teacher, student) = match facts.updates {
                    0 => Default::default(),
                    _ => tails.next().unwrap_or_default(),
                };
                Snapshot {
                    facts: *facts,
                    teacher: teacher.to_vec(),
                    student: student.to_vec(),
                }
            })
            .collect();
        let named = |name: &'static str, kept: &[KeptKey], most| {
            keys(kept, &optional(&tensors, name)?, most).ok_or(damaged(name))
        };
        let keys = named("keys", &header.keys, MOST_KEYS)?;
        let supports = named("supports", &header.supports, MOST_SUPPORTS)?;
        let views = |name: &'static str| {
            let tensor = tensors.tensor(name).map_err(|_| damaged(name))?;
            split(tensor.data(), &header.memory, shape).ok_or(damaged(name))
        };
        let (weak, strong) = (views("memory.weak")?, views("memory.strong")?);
        let memory =
            header
                .memory
                .iter()
                .zip(weak.into_iter().zip(strong))
                .map(|(kept, (weak, strong))| Entry {
                    window: kept.window,
                    track: kept.track,
                    end_ms: kept.end_ms,
                    label: kept.label,
                    trusted: kept.trusted,
                    confidence: kept.confidence,
                    quality: kept.quality,
                    signature: weak.signature(shape),
                    weak,
                    strong,
                });
        let memory = memory.collect();
        let state = Self {
            base: header.base,
            facts: header.facts,
            teacher,
            student,
            memory,
            keys,
            supports,
            history,
            classes: header.classes,
        };
        Ok((state, *shape))
    }

    /// Stores the state at `path`: written beside it, flushed to the disk, then renamed over it.
    ///
    /// # Errors
    /// [`StateError::Io`]; the file is then the one from before.
    pub fn save(&self, path: &Path, shape: &FeatureShape) -> Result<(), StateError> {
        let bytes = self.to_bytes(shape)?;
        // What a home's windows look like is nobody else's business.
        Ok(tendon_files::write_private(path, &bytes)?)
    }

    /// Reads the state of bundle `base` at `path`; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError`]: the caller begins anew.
    pub fn load(
        path: &Path,
        base: &str,
        shape: &FeatureShape,
        weights: usize,
    ) -> Result<Option<Self>, StateError> {
        let Some(bytes) = read(path)? else {
            return Ok(None);
        };
        let state = Self::from_bytes(&bytes, shape, weights)?;
        if state.base != base {
            return Err(StateError::OtherBase {
                found: state.base,
                expected: base.to_owned(),
            });
        }
        Ok(Some(state))
    }
}

/// The bytes of the file at `path`; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if length > MAX_BYTES {
        return Err(StateError::Damaged("length"));
    }
    Ok(Some(std::fs::read(path)?))
}

/// The image in a file's bytes, once its checksum is right.
fn whole(bytes: &[u8]) -> Result<&[u8], StateError> {
    let damaged = StateError::Damaged;
    let rest = bytes.strip_prefix(MAGIC).ok_or(damaged("magic"))?;
    let (hash, image) = rest.split_at_checked(HASH).ok_or(damaged("length"))?;
    if Sha256::digest(image)[..] == *hash {
        Ok(image)
    } else {
        Err(damaged("checksum"))
    }
}

/// The finite numbers of a tensor that older files do not have.
fn optional(tensors: &SafeTensors<'_>, name: &'static str) -> Result<Vec<f32>, StateError> {
    let Ok(tensor) = tensors.tensor(name) else {
        return Ok(Vec::new());
    };
    let values = f32_values(tensor.data());
    if tensor.dtype() == Dtype::F32 && values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(StateError::Damaged(name))
    }
}

fn kept_keys(keys: &[Key]) -> Vec<KeptKey> {
    let kept = keys.iter().map(|key| KeptKey {
        window: key.window,
        label: key.label,
    });
    kept.collect()
}

/// The stored keys, `most` of them, with their directions, which are all equally long; nothing when lengths do not add up.
fn keys(kept: &[KeptKey], values: &[f32], most: usize) -> Option<Vec<Key>> {
    let dim = values.len() / kept.len().max(1);
    if kept.len() > most || dim * kept.len() != values.len() {
        return None;
    }
    let directions = values.chunks_exact(dim.max(1));
    let keys = kept.iter().zip(directions).map(|(key, direction)| Key {
        window: key.window,
        label: key.label,
        direction: direction.to_vec(),
    });
    Some(keys.collect())
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn f32_values(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

fn i8_bytes<'f>(windows: impl Iterator<Item = &'f Features>) -> Vec<u8> {
    windows
        .flat_map(|features| features.values().iter().map(|value| value.cast_unsigned()))
        .collect()
}

/// Cuts stored features into windows; nothing when lengths do not add up.
fn split(mut bytes: &[u8], memory: &[Kept], shape: &FeatureShape) -> Option<Vec<Features>> {
    let mut windows = Vec::new();
    for kept in memory {
        let (head, rest) = bytes.split_at_checked(kept.bodies.checked_mul(shape.body_len())?)?;
        windows.push(Features::new(
            &head
                .iter()
                .map(|byte| byte.cast_signed())
                .collect::<Vec<i8>>(),
        ));
        bytes = rest;
    }
    bytes.is_empty().then_some(windows)
}

#[cfg(test)]
mod tests;
