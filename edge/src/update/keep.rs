//! Trusted metadata and floors: on the storage that the slots use, so that the same faults can be tried on both, and for one update
//! at a time.

use crate::slots::storage::{Disk, Storage};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tendon_trust::store::Store;

/// Where the trusted files of a data folder are.
#[must_use]
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("trust")
}

/// The trusted files of a device, which nobody else has open.
pub struct Vault {
    storage: Box<dyn Storage>,
    /// Locked while this lives.
    _alone: Option<File>,
}

impl Vault {
    /// The trusted files in a folder, which is made if it does not exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another update is at work, and the disk's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let storage = Box::new(Disk::open(folder)?);
        let alone = File::create(folder.join("lock"))?;
        alone.try_lock().map_err(|error| match error {
            std::fs::TryLockError::Error(error) => error,
            std::fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another update is at work: try again when it is done",
            ),
        })?;
        Ok(Self {
            storage,
            _alone: Some(alone),
        })
    }

    /// The trusted files on a storage that nobody else uses.
    pub fn of(storage: impl Storage) -> Self {
        Self {
            storage: Box::new(storage),
            _alone: None,
        }
    }

    /// The files.
    pub fn storage(&mut self) -> &mut dyn Storage {
        &mut *self.storage
    }
}

/// Metadata on a storage.
pub struct Kept<'a>(pub &'a mut dyn Storage);

impl Store for Kept<'_> {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        // An empty file is one that was discarded.
        Ok(self.0.read(name)?.filter(|content| !content.is_empty()))
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.replace(name, content)
    }

    fn discard(&mut self, name: &str) -> io::Result<()> {
        match self.read(name)? {
            Some(_) => self.0.replace(name, &[]),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_updates_never_write_at_the_same_time() {
        let data = tempfile::tempdir().unwrap();
        let folder = folder(data.path());
        let first = Vault::open(&folder).unwrap();
        let second = Vault::open(&folder).err().map(|error| error.kind());
        assert_eq!(second, Some(io::ErrorKind::WouldBlock));
        drop(first);
        Vault::open(&folder).unwrap();
    }
}
