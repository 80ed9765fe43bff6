//! Where repositories are: a folder, such as a USB stick's, or a server.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file was not had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there.
    #[error("it is not there")]
    Absent,
    /// It is larger than was asked for.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Gives the files of a repository. Nothing that it gives is believed.
pub trait Source {
    /// A file under `metadata/`, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError>;

    /// A file under `targets/`, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`SourceError`].
    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError>;
}

/// A repository in a folder with `metadata/` and `targets/`.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The repository in this folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn read(&self, folder: &str, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let inside = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.split('/').all(inside) || name.contains(['\\', '\0']) {
            return Err(SourceError::Absent);
        }
        let path: &Path = &self.0.join(folder).join(name);
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::Absent,
            _ => failed(path, &error),
        })?;
        bounded(file, limit).map_err(|error| match error {
            Bounded::TooLarge => SourceError::TooLarge { limit },
            Bounded::Io(error) => failed(path, &error),
        })
    }
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    SourceError::Failed(format!("{}: {error}", path.display()))
}

impl Source for Folder {
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.read("metadata", name, limit)
    }

    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.read("targets", path, limit)
    }
}

pub(crate) enum Bounded {
    TooLarge,
    Io(io::Error),
}

/// All bytes of a reader, if they are no more than `limit`.
pub(crate) fn bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>, Bounded> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Bounded::Io)?;
    if bytes.len() as u64 > limit {
        Err(Bounded::TooLarge)
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_inside_the_folder_only_and_no_more_than_asked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("repo/metadata")).unwrap();
        std::fs::write(folder.path().join("repo/metadata/a.json"), b"12345").unwrap();
        std::fs::write(folder.path().join("secret"), b"x").unwrap();
        let mut source = Folder::new(folder.path().join("repo"));
        assert_eq!(source.metadata("a.json", 5).unwrap(), b"12345");
        let error = source.metadata("a.json", 4).unwrap_err();
        assert!(matches!(error, SourceError::TooLarge { limit: 4 }));
        for outside in ["../../secret", "b.json", "", "/etc/passwd", "..", "a//b"] {
            let error = source.metadata(outside, 100).unwrap_err();
            assert!(matches!(error, SourceError::Absent), "{outside}: {error}");
        }
    }
}
