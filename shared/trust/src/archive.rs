//! A repository in one file, for sticks and mail: a tar archive with `metadata/` and `targets/`.
//!
//! Nothing of it is unpacked: a file is read from where it lies, and no more of it than was asked for. Whoever makes such a file cannot do
//! more harm than a server could.

use crate::source::{Bounded, Source, SourceError, bounded};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Most files of an archive.
const MOST_FILES: usize = 4_096;

/// Bytes of the largest archive that a device receives over a link: two of the largest bundles.
pub const MAX_PACK_BYTES: u64 = 64 << 20;

/// Where a tar archive says that it is one.
const MAGIC: std::ops::Range<usize> = 257..262;

/// Whether a file looks like an archive, and not like a bundle; whether it is a repository is for [`Archive::new`] to say.
#[must_use]
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.get(MAGIC) == Some(b"ustar")
}

/// The archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading failed, or the file is no tar archive.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has more files than a repository may have.
    #[error("it has more than {MOST_FILES} files")]
    TooMany,
    /// It has nothing that a repository has.
    #[error("it holds no metadata of a repository; make one with `tendon repo pack`")]
    NoRepository,
}

/// A repository in a tar archive.
#[derive(Debug)]
pub struct Archive<R = File> {
    file: R,
    /// Where the bytes of each file begin, and how many there are.
    places: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Looks where everything is in the archive at `path`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Looks where everything is in an archive.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn new(mut file: R) -> Result<Self, ArchiveError> {
        let mut places = BTreeMap::new();
        let mut archive = tar::Archive::new(&mut file);
        // As they are: names and attributes in entries of their own would be read into memory, whatever their size.
        for entry in archive.entries_with_seek()?.raw(true) {
            let entry = entry?;
            // Links, folders and anything else that is no plain file mean nothing here.
            if entry.header().entry_type() != tar::EntryType::Regular {
                continue;
            }
            if places.len() >= MOST_FILES {
                return Err(ArchiveError::TooMany);
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let place = (entry.raw_file_position(), entry.size());
            // Of two files of one name the first counts.
            places.entry(name).or_insert(place);
        }
        if places.keys().any(|name| name.starts_with("metadata/")) {
            Ok(Self { file, places })
        } else {
            Err(ArchiveError::NoRepository)
        }
    }

    fn read(&mut self, folder: &str, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let (start, length) = *self
            .places
            .get(&format!("{folder}/{name}"))
            .ok_or(SourceError::Absent)?;
        let failed = |error: io::Error| SourceError::Failed(format!("{folder}/{name}: {error}"));
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let bytes = bounded((&mut self.file).take(length), limit).map_err(|error| match error {
            Bounded::TooLarge => SourceError::TooLarge { limit },
            Bounded::Io(error) => failed(error),
        })?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(SourceError::Failed(format!("{folder}/{name} is cut short")))
        }
    }
}

impl<R: Read + Seek> Source for Archive<R> {
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.read("metadata", name, limit)
    }

    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.read("targets", path, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Archive<io::Cursor<&[u8]>>, ArchiveError> {
        Archive::new(io::Cursor::new(bytes))
    }

    #[test]
    fn an_archive_is_told_from_a_bundle() {
        assert!(is_archive(&pack(&[("metadata/a.json", b"1")])));
        assert!(!is_archive(&tendon_bundle::testing::random_bundle(
            &tendon_bundle::testing::secret_key(1),
            1,
            1
        )));
        assert!(!is_archive(b""));
    }

    #[test]
    fn gives_its_files_and_no_more_of_them_than_asked() {
        let bytes = pack(&[("metadata/a.json", b"12345"), ("targets/x/b", b"6")]);
        let mut archive = open(&bytes).unwrap();
        assert_eq!(archive.metadata("a.json", 5).unwrap(), b"12345");
        assert_eq!(archive.target("x/b", 5).unwrap(), b"6");
        let error = archive.metadata("a.json", 4).unwrap_err();
        assert!(matches!(error, SourceError::TooLarge { limit: 4 }));
        for other in ["b", "../targets/x/b", ""] {
            let error = archive.metadata(other, 9).unwrap_err();
            assert!(matches!(error, SourceError::Absent), "{other}");
        }
    }

    #[test]
    fn a_file_that_claims_more_bytes_than_there_are_is_refused() {
        let bytes = pack(&[("metadata/a.json", &[7; 5_000])]);
        let refused = match open(&bytes[..2_000]) {
            Ok(mut archive) => archive.metadata("a.json", 9_000).is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }

    #[test]
    fn what_is_no_repository_is_said_to_be_none() {
        assert!(matches!(
            open(&pack(&[("readme", b"1")])),
            Err(ArchiveError::NoRepository)
        ));
        assert!(open(b"neither tar nor anything").is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_archive_never_panics(at in 0usize..3_000, with in any::<u8>(), cut in 0usize..4_000) {
            let mut bytes = pack(&[("metadata/a.json", &[7; 900]), ("targets/b", &[8; 600])]);
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            if let Ok(mut archive) = open(&bytes) {
                let _ = archive.metadata("a.json", 2_000);
                let _ = archive.target("b", 2_000);
            }
        }
    }
}
