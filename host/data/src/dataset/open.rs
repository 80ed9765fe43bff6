//! Opening a set.

use super::index::{Entry, Index};
use super::writer::ContentDigest;
use super::{SetInfo, StoreError, StoreProblem};
use memmap2::Mmap;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};
use tendon_shared::topology::TopologyId;

/// Linux maps so many bytes around a page that is touched, if the file's cache has them: a recording's neighbours too.
#[cfg(unix)]
const FAULT_AROUND: usize = 64 << 10;

/// A set of recordings, memory-mapped.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    map: Mmap,
    index: Index,
}

/// One performance, borrowed from its set.
#[derive(Debug, Clone, Copy)]
pub struct Recording<'a> {
    /// Unique in its set; the part before `#` names the file it comes from.
    pub name: &'a str,
    /// Metres, camera frame, `[frame, body, joint, 3]`; an absent body is all zeros.
    pub poses: &'a [f32],
    /// Frames, at least 1.
    pub frames: usize,
    /// Bodies in every frame, 1 or 2.
    pub bodies: usize,
    /// Index into [`Dataset::classes`].
    pub label: u16,
    /// The person, or for SBU the pair of persons.
    pub subject: u16,
    /// The camera or view.
    pub camera: u16,
    /// The setup (NTU), or the part (1 train, 2 test) of sets that come already split.
    pub setup: u16,
    /// The take.
    pub repetition: u16,
    /// Frames per second.
    pub fps: f32,
}

impl Recording<'_> {
    /// The first eight bytes of a SHA-256 of the poses: equal recordings have equal ones whatever their names, tags and sets are.
    pub fn fingerprint(&self) -> u64 {
        let mut sha = Sha256::new();
        for count in [self.frames, self.bodies] {
            sha.update((count as u64).to_le_bytes());
        }
        sha.update(bytemuck::cast_slice::<f32, u8>(self.poses));
        let digest: [u8; 32] = sha.finalize().into();
        digest
            .first_chunk()
            .map_or(0, |head| u64::from_le_bytes(*head))
    }
}

impl Dataset {
    /// Maps a file and checks it in full, apart from the poses' values.
    ///
    /// The file must not be changed in place while it is open; [`super::DatasetWriter`] replaces files instead.
    ///
    /// # Errors
    /// The file and what is wrong with it. Import the recordings again.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let fail = |problem| StoreError {
            path: path.to_path_buf(),
            problem,
        };
        let file = File::open(path).map_err(|error| fail(error.into()))?;
        // SAFETY: the map is read-only and private to this value. Undefined behaviour needs another process that writes
        // into the file or truncates it meanwhile; tendon itself only ever replaces such files by renaming.
        #[allow(unsafe_code, reason = "a memory map has no safe constructor")]
        let map = unsafe { Mmap::map(&file) }.map_err(|error| fail(error.into()))?;
        let index = Index::parse(&map).map_err(fail)?;
        if bytemuck::try_cast_slice::<u8, f32>(&map[index.poses.clone()]).is_err() {
            return Err(fail(StoreProblem::Contents(
                "the poses do not start at a multiple of four bytes".into(),
            )));
        }
        Ok(Self {
            path: path.to_path_buf(),
            map,
            index,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The skeleton standard of every pose.
    pub fn topology(&self) -> TopologyId {
        self.index.info.topology
    }

    /// What the set says about itself.
    pub fn info(&self) -> &SetInfo {
        &self.index.info
    }

    /// Names of the classes; a label is an index into them.
    pub fn classes(&self) -> &[String] {
        &self.index.info.classes
    }

    /// SHA-256 (hex) of everything that was imported: names, tags and poses.
    pub fn digest(&self) -> &str {
        &self.index.digest
    }

    /// Recordings in the set.
    pub fn len(&self) -> usize {
        self.index.entries.len()
    }

    /// Whether the set has no recording; such a set cannot be written.
    pub fn is_empty(&self) -> bool {
        self.index.entries.is_empty()
    }

    /// The recording with this number.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`].
    pub fn recording(&self, number: usize) -> Recording<'_> {
        self.view(&self.index.entries[number])
    }

    /// All recordings in order.
    pub fn recordings(&self) -> impl ExactSizeIterator<Item = Recording<'_>> {
        self.index.entries.iter().map(|entry| self.view(entry))
    }

    /// Gives the memory of a recording's poses back to the system; they are read from the file again when they are needed.
    ///
    /// Whoever walks through a set larger than memory calls it behind itself, so that the pages it has seen do not
    /// count as this process's memory until the system takes them away.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`].
    pub fn forget(&self, number: usize) {
        #[cfg(unix)]
        {
            let poses = &self.index.entries[number].poses;
            let base = self.map.as_ptr().addr();
            let first = base + self.index.poses.start + poses.start * 4;
            let start = (first & !(FAULT_AROUND - 1)).max(base) - base;
            let end = (first + poses.len() * 4).next_multiple_of(FAULT_AROUND) - base;
            let end = end.min(self.map.len());
            // SAFETY: the map is read-only, private and backed by the file, so a dropped page comes back with the same
            // bytes; borrowed slices stay valid. The caveat about other writers is that of `open`.
            #[allow(unsafe_code, reason = "the advice has no safe form")]
            let advised = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    start,
                    end - start,
                )
            };
            // It is advice: where it is not taken, only memory is lost.
            drop(advised);
        }
        #[cfg(not(unix))]
        let _ = number;
    }

    /// Reads everything once and compares it with the stated digest.
    ///
    /// # Errors
    /// When the content was damaged after it was written.
    pub fn verify_digest(&self) -> Result<(), StoreError> {
        let mut digest = ContentDigest::new(self.info());
        for (number, recording) in self.recordings().enumerate() {
            digest.add(&recording);
            self.forget(number);
        }
        if digest.finish() == self.digest() {
            Ok(())
        } else {
            Err(StoreError {
                path: self.path.clone(),
                problem: StoreProblem::Digest,
            })
        }
    }

    fn view(&self, entry: &Entry) -> Recording<'_> {
        let poses: &[f32] = bytemuck::cast_slice(&self.map[self.index.poses.clone()]);
        Recording {
            name: &self.index.names[entry.name.clone()],
            poses: &poses[entry.poses.clone()],
            frames: entry.frames,
            bodies: entry.bodies,
            label: entry.label,
            subject: entry.subject,
            camera: entry.camera,
            setup: entry.setup,
            repetition: entry.repetition,
            fps: entry.fps,
        }
    }
}
