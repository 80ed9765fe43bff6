//! Trusted metadata on the storage that the slots use, so that the same faults can be tried on both.

use crate::slots::storage::Storage;
use std::io;
use tendon_trust::store::Store;

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
