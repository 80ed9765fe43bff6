//! The little that slots need of a file system, and the real one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A flat folder of files. Names are fixed by the caller and contain no separators.
pub trait Storage: Send + 'static {
    /// The content of a file; none when it does not exist.
    ///
    /// # Errors
    /// The disk's.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Reads from byte `offset` of a file into `buffer`, and returns how many bytes; 0 at its end.
    ///
    /// # Errors
    /// The disk's, also when the file does not exist.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Replaces a file: after a power cut it has the old or the new content. Durable on return.
    ///
    /// # Errors
    /// The disk's; the old content is still there.
    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Makes an empty file, or empties it.
    ///
    /// # Errors
    /// The disk's.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes into a file at byte `offset`. Durable only after [`Storage::sync`].
    ///
    /// # Errors
    /// The disk's; part of `content` may be written.
    fn write_at(&mut self, name: &str, offset: u64, content: &[u8]) -> io::Result<()>;

    /// Makes what was written to a file durable.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Bytes that are free.
    ///
    /// # Errors
    /// The disk's.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// The file that chunks go to; kept open between them.
    open: Option<(String, File)>,
}

impl Disk {
    /// The folder, made if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            open: None,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A rename or a new file is durable only when its folder is.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        let open = match self.open.take() {
            Some((open, file)) if open == name => file,
            _ => OpenOptions::new().write(true).open(self.path(name))?,
        };
        Ok(&self.open.insert((name.to_owned(), open)).1)
    }
}

impl Storage for Disk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        File::open(self.path(name))?.read_at(buffer, offset)
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path(name))?;
        self.sync_folder()
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = File::create(self.path(name))?;
        file.sync_all()?;
        self.open = Some((name.to_owned(), file));
        self.sync_folder()
    }

    fn write_at(&mut self, name: &str, offset: u64, content: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(content, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(&folder.path().join("slots")).unwrap();
        assert_eq!(disk.read("a").unwrap(), None);
        disk.replace("a", b"one").unwrap();
        disk.replace("a", b"two").unwrap();
        assert_eq!(disk.read("a").unwrap(), Some(b"two".to_vec()));
        disk.create("b").unwrap();
        disk.write_at("b", 2, b"cd").unwrap();
        disk.write_at("b", 0, b"ab").unwrap();
        disk.sync("b").unwrap();
        assert_eq!(disk.read("b").unwrap(), Some(b"abcd".to_vec()));
        let mut buffer = [0; 8];
        assert_eq!(disk.read_at("b", 1, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"bcd");
        assert_eq!(disk.read_at("b", 9, &mut buffer).unwrap(), 0);
        assert!(disk.read_at("c", 0, &mut buffer).is_err());
        assert!(disk.free_bytes().unwrap() > 0);
    }
}
