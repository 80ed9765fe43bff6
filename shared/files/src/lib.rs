//! Files that are whole or absent: written beside their place, flushed to the disk, then renamed.
//!
//! A kill or a power cut at any moment leaves the old file or the new one. What a killed writer leaves behind is removed by the
//! next one in the same folder; a draft that is being written is locked and stays.
//!
//! [`twofold`] is for small records that must not even go back to an older state.

pub mod twofold;

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How the names of unfinished files begin.
const PREFIX: &str = ".tendon-draft-";
/// Bytes that are collected before they go to the system.
const BUFFER_BYTES: usize = 1 << 18;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whom the process's umask allows.
    Shared,
    /// Its owner only.
    Private,
}

/// A file that is not yet in its place. Dropping it removes it.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Draft {
    /// Begins a file that will stand at `path`. Creates missing folders.
    ///
    /// # Errors
    /// The folder cannot be created or written.
    pub fn create(path: impl Into<PathBuf>, access: Access) -> io::Result<Self> {
        let path = path.into();
        let folder = folder(&path);
        std::fs::create_dir_all(folder)?;
        remove_abandoned(folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        // The system takes the umask off these bits.
        let mode = permissions(access);
        if let Some(mode) = &mode {
            builder.permissions(mode.clone());
        }
        let file = builder.tempfile_in(folder)?;
        file.as_file().lock()?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
        })
    }

    /// Puts the file in its place, over what stood there.
    ///
    /// # Errors
    /// The disk is full or gone; what stood there is untouched.
    pub fn commit(self) -> io::Result<()> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        // The new name is durable only when its folder is.
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Writes `bytes` to `path`, an ordinary file.
///
/// # Errors
/// As [`Draft::create`] and [`Draft::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_as(path, bytes, Access::Shared)
}

/// Writes `bytes` to `path`, for the owner's eyes only.
///
/// # Errors
/// As [`Draft::create`] and [`Draft::commit`].
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_as(path, bytes, Access::Private)
}

fn write_as(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut draft = Draft::create(path, access)?;
    draft.write_all(bytes)?;
    draft.commit()
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Who may do what with a file: the permission bits of owner, group and others.
#[cfg(unix)]
#[must_use]
pub fn mode(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

/// Who may do what with a file: there are no permission bits here, and it counts as its owner's.
#[cfg(not(unix))]
#[must_use]
pub fn mode(_metadata: &std::fs::Metadata) -> u32 {
    0o600
}

#[cfg(unix)]
fn permissions(access: Access) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(Permissions::from_mode(match access {
        Access::Shared => 0o666,
        Access::Private => 0o600,
    }))
}

#[cfg(not(unix))]
fn permissions(_: Access) -> Option<Permissions> {
    None
}

fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Another's draft, or one that was put in its place meanwhile, is none of ours to remove.
        if File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn replaces_a_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["a.txt"]);
    }

    #[test]
    fn an_unfinished_file_never_appears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        let mut draft = Draft::create(&path, Access::Shared).unwrap();
        draft.write_all(b"new").unwrap();
        draft.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(draft);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{PREFIX}dead")), b"half").unwrap();
        let mut slow = Draft::create(folder.path().join("slow"), Access::Shared).unwrap();
        slow.write_all(b"slow").unwrap();
        write(&folder.path().join("quick"), b"quick").unwrap();
        slow.commit().unwrap();
        let mut found = names(folder.path());
        found.sort();
        assert_eq!(found, ["quick", "slow"]);
        assert_eq!(fs::read(folder.path().join("slow")).unwrap(), b"slow");
    }

    #[test]
    fn a_written_place_can_be_corrected_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut draft = Draft::create(&path, Access::Shared).unwrap();
        draft.write_all(b"__cd").unwrap();
        draft.seek(SeekFrom::Start(0)).unwrap();
        draft.write_all(b"ab").unwrap();
        draft.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abcd");
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_their_owners_and_others_follow_the_umask() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(folder.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        write_private(&folder.path().join("secret"), b"x").unwrap();
        write(&folder.path().join("ours"), b"x").unwrap();
        fs::write(folder.path().join("plain"), b"x").unwrap();
        assert_eq!(mode("secret"), 0o600);
        assert_eq!(mode("ours"), mode("plain"));
    }
}
