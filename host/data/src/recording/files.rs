//! Finding and reading files, with limits.

use super::{Clip, Fault, Item, Problem, ReadError, Sink};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest file that is read as a whole, in bytes. A `.skeleton` file of 300 frames has 1 MB, PKU-MMD's largest 16 MB.
pub(super) const MAX_FILE_BYTES: u64 = 256 << 20;

/// Files of one folder tree; a larger one is a mistake in the path.
const MAX_FILES: usize = 1 << 20;

/// Folders below the given one that are searched.
const MAX_DEPTH: usize = 4;

/// Reads a whole file of at most [`MAX_FILE_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    read(path).map_err(|fault| fault.at(path))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE_BYTES {
        let what = "the size of the file in bytes";
        return Err(Fault::file(Problem::TooLarge {
            what,
            found: length,
            limit: MAX_FILE_BYTES,
        }));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads an item that is one recording.
pub(super) fn read_one(item: &Item, sink: &mut Sink<'_>, parse: fn(&[u8]) -> Result<Clip, Fault>) {
    let clip =
        read_file(&item.path).and_then(|bytes| parse(&bytes).map_err(|fault| fault.at(&item.path)));
    // The sink's answer matters only to items with more recordings.
    let _ = sink(clip.map(|clip| clip.named(item.name.clone(), item.tags)));
}

/// Every file below `folder` whose name ends with `ending`, sorted.
pub(super) fn find(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, ReadError> {
    let mut found = Vec::new();
    search(folder, ending, MAX_DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(
    folder: &Path,
    ending: &str,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), ReadError> {
    let fail = |error: std::io::Error| Fault::from(error).at(folder);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            if depth > 0 {
                search(&path, ending, depth - 1, found)?;
            }
        } else if entry.file_name().to_string_lossy().ends_with(ending) {
            if found.len() == MAX_FILES {
                return Err(Fault::file(super::raw::too_large(
                    "the number of files",
                    MAX_FILES + 1,
                    MAX_FILES,
                ))
                .at(folder));
            }
            found.push(path);
        }
    }
    Ok(())
}

/// The name of a file without its folder and without `ending`; nothing when it is not UTF-8.
pub(super) fn stem<'a>(path: &'a Path, ending: &str) -> Option<&'a str> {
    path.file_name()?.to_str()?.strip_suffix(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Published scripts number recordings in the order in which the system lists a folder.
    #[test]
    fn files_come_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.txt", "b/z.txt", "a.txt", "b/a.txt", "d.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = find(folder.path(), ".txt").unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a.txt", "b/a.txt", "b/z.txt", "c.txt"]);
    }
}
