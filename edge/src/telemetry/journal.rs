//! A journal of recognised actions and changes on disk, bounded in size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes after which a new file begins; two files are kept, so the journal takes at most twice this.
pub const FILE_BYTES: u64 = 4 << 20;

/// Appends lines to `journal.jsonl` and keeps one older file, `journal.1.jsonl`.
///
/// Lines are not synced one by one: a power cut may cost the last seconds, which is cheaper than wearing out the flash.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    file: File,
    length: u64,
    limit: u64,
}

impl Journal {
    /// Opens the journal in `folder`.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("journal.jsonl"))?;
        let length = file.metadata()?.len();
        Ok(Self {
            folder: folder.to_owned(),
            file,
            length,
            limit,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The disk's; the line may be lost.
    pub fn append(&mut self, line: &str) -> io::Result<()> {
        if self.length > 0 && self.length + line.len() as u64 >= self.limit {
            let path = self.folder.join("journal.jsonl");
            fs::rename(&path, self.folder.join("journal.1.jsonl"))?;
            *self = Self::open(&self.folder, self.limit)?;
        }
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.length += line.len() as u64 + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_lines_within_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), 20).unwrap();
        for line in ["first", "second", "third", "fourth", "fifth"] {
            journal.append(line).unwrap();
        }
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("journal.1.jsonl"), "first\nsecond\nthird\n");
        assert_eq!(read("journal.jsonl"), "fourth\nfifth\n");
    }
}
