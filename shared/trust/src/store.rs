//! Where a device keeps the metadata that it trusts.

use std::fs;
use std::io;
use std::path::PathBuf;

/// A flat folder of small files. Names have no separators.
pub trait Store {
    /// The content of a file; none when it does not exist.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a file as a whole. Durable on return.
    ///
    /// # Errors
    /// The disk's.
    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Removes a file, or makes it worthless. Durable on return.
    ///
    /// # Errors
    /// The disk's.
    fn discard(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// Keeps files in this folder, which is made when something is stored.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Store for Shelf {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        tendon_files::write(&self.0.join(name), content)
    }

    fn discard(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Files in memory, for checking a repository without keeping anything of it.
#[derive(Clone, Debug, Default)]
pub struct Memory(std::collections::BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(name).cloned())
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.insert(name.to_owned(), content.to_owned());
        Ok(())
    }

    fn discard(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name);
        Ok(())
    }
}
