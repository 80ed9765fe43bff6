//! Writing a set, one recording after the other, without holding it in memory.

use super::header::{Extent, MAX_HEADER_BYTES, SetInfo};
use super::{Recording, StoreError, StoreProblem};
use crate::recording::{Fault, Problem, RawRecording};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tendon_files::{Access, Draft};

/// Writes to a temporary file beside the target; [`Self::finish`] puts it in place, dropping the writer removes it.
#[derive(Debug)]
pub struct DatasetWriter {
    path: PathBuf,
    info: SetInfo,
    file: Draft,
    digest: ContentDigest,
    rows: u64,
    /// The columns up to and including `fps`, as bytes.
    columns: [Vec<u8>; 8],
    names: String,
    seen: HashSet<String>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Recordings in the file.
    pub recordings: usize,
    /// SHA-256 of their content, hex.
    pub digest: String,
    /// Size of the file.
    pub bytes: u64,
}

impl DatasetWriter {
    /// Starts a set that will stand at `path`.
    ///
    /// # Errors
    /// When the folder of `path` cannot be written to.
    pub fn create(path: impl AsRef<Path>, info: SetInfo) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        if info.reserved() > MAX_HEADER_BYTES {
            let problem =
                StoreProblem::Contents("the names of its classes are too long".to_owned());
            return Err(StoreError { path, problem });
        }
        let start = || -> std::io::Result<_> {
            let mut file = Draft::create(&path, Access::Shared)?;
            file.write_all(&vec![b' '; info.reserved() as usize])?;
            Ok(file)
        };
        match start() {
            Ok(file) => Ok(Self {
                digest: ContentDigest::new(&info),
                path,
                info,
                file,
                rows: 0,
                columns: Default::default(),
                names: String::new(),
                seen: HashSet::new(),
            }),
            Err(error) => Err(StoreError {
                path,
                problem: error.into(),
            }),
        }
    }

    /// Adds a recording.
    ///
    /// # Errors
    /// When the recording breaks a rule of the set (the writer can go on with the next one), or the disk is full.
    pub fn push(&mut self, recording: &RawRecording) -> Result<(), StoreError> {
        self.try_push(recording).map_err(|problem| StoreError {
            path: self.path.clone(),
            problem,
        })
    }

    /// Writes the header, brings everything to the disk and puts the file in its place.
    ///
    /// # Errors
    /// When there was no recording or the disk refuses; the target is then as it was.
    pub fn finish(self) -> Result<Summary, StoreError> {
        let path = self.path.clone();
        self.try_finish()
            .map_err(|problem| StoreError { path, problem })
    }

    fn try_push(&mut self, recording: &RawRecording) -> Result<(), StoreProblem> {
        let refuse = |fault| StoreProblem::Recording {
            name: recording.name.clone(),
            fault,
        };
        recording.check(self.info.topology).map_err(refuse)?;
        let classes = self.info.classes.len();
        if usize::from(recording.label) >= classes {
            return Err(refuse(Fault::file(Problem::malformed(format!(
                "label {} where the set has {classes} classes",
                recording.label
            )))));
        }
        if recording.name.contains('\n')
            || recording.name.is_empty()
            || !self.seen.insert(recording.name.clone())
        {
            return Err(refuse(Fault::file(Problem::malformed(
                "its name is empty, has two lines, or was there before",
            ))));
        }
        self.file
            .write_all(bytemuck::cast_slice(&recording.poses))?;
        self.rows += (recording.frames * recording.bodies) as u64;
        let tags = [
            recording.frames as i32,
            recording.bodies as i32,
            i32::from(recording.label),
            i32::from(recording.subject),
            i32::from(recording.camera),
            i32::from(recording.setup),
            i32::from(recording.repetition),
        ];
        for (column, tag) in self.columns.iter_mut().zip(tags) {
            column.extend_from_slice(&tag.to_le_bytes());
        }
        self.columns[7].extend_from_slice(&recording.fps.to_le_bytes());
        self.names.push_str(&recording.name);
        self.names.push('\n');
        self.digest.add(&recording.view());
        Ok(())
    }

    fn try_finish(mut self) -> Result<Summary, StoreProblem> {
        let recordings = self.columns[0].len() / 4;
        if recordings == 0 {
            return Err(StoreProblem::NoRecording);
        }
        for column in &self.columns {
            self.file.write_all(column)?;
        }
        self.file.write_all(self.names.as_bytes())?;
        let digest = self.digest.finish();
        let extent = Extent {
            rows: self.rows,
            recordings: recordings as u64,
            name_bytes: self.names.len() as u64,
        };
        let bytes = self.file.stream_position()?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.info.header(extent, &digest))?;
        self.file.commit()?;
        Ok(Summary {
            recordings,
            digest,
            bytes,
        })
    }
}

impl RawRecording {
    /// The recording as a set shows it.
    pub fn view(&self) -> Recording<'_> {
        Recording {
            name: &self.name,
            poses: &self.poses,
            frames: self.frames,
            bodies: self.bodies,
            label: self.label,
            subject: self.subject,
            camera: self.camera,
            setup: self.setup,
            repetition: self.repetition,
            fps: self.fps,
        }
    }
}

/// SHA-256 over classes, names, tags and poses, independent of how the file is laid out.
#[derive(Debug, Clone)]
pub(super) struct ContentDigest(Sha256);

impl ContentDigest {
    pub(super) fn new(info: &SetInfo) -> Self {
        let mut sha = Sha256::new();
        sha.update(b"tendon-set-1\n");
        for text in
            std::iter::once(info.topology.name()).chain(info.classes.iter().map(String::as_str))
        {
            sha.update((text.len() as u64).to_le_bytes());
            sha.update(text);
        }
        Self(sha)
    }

    pub(super) fn add(&mut self, recording: &Recording<'_>) {
        self.0.update((recording.name.len() as u64).to_le_bytes());
        self.0.update(recording.name);
        for count in [recording.frames, recording.bodies] {
            self.0.update((count as u64).to_le_bytes());
        }
        for tag in [
            recording.label,
            recording.subject,
            recording.camera,
            recording.setup,
            recording.repetition,
        ] {
            self.0.update(tag.to_le_bytes());
        }
        self.0.update(recording.fps.to_le_bytes());
        self.0
            .update(bytemuck::cast_slice::<f32, u8>(recording.poses));
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
