//! Secret keys in files that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tendon_bundle::{KeyError, SecretKey};

/// Why a key file cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key is there already. Keys are never overwritten: devices may trust them.
    #[error("{path} exists; keys are never overwritten, choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the secret key.
    #[error(
        "{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, or make a new key if someone may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds no secret key.
    #[error("{path} holds no secret key")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
}

/// Writes a secret key to `path`, readable by its owner only, and the public key to `path` with `.pub` added. Returns the
/// second path.
///
/// # Errors
/// [`SignError`]; an existing file is left alone.
pub fn write_key(path: &Path, key: &SecretKey) -> Result<PathBuf, SignError> {
    let public = public_path(path);
    for path in [path, &public] {
        if path.exists() {
            return Err(SignError::Exists {
                path: path.to_owned(),
            });
        }
    }
    create(path, 0o600, &key.to_text())?;
    create(&public, 0o644, &key.public().to_text())?;
    Ok(public)
}

/// Reads a secret key.
///
/// # Errors
/// [`SignError`]; a file that others can read is refused unread.
pub fn read_key(path: &Path) -> Result<SecretKey, SignError> {
    let io = |source| SignError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = tendon_files::mode(&fs::metadata(path).map_err(io)?);
    if mode & 0o077 != 0 {
        return Err(SignError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    SecretKey::from_text(&text).map_err(|source| SignError::Key {
        path: path.to_owned(),
        source,
    })
}

/// Returns where the public half of a key file is.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Creates a file that must be new: no rename, so that nothing can be replaced.
fn create(path: &Path, mode: u32, text: &str) -> Result<(), SignError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => SignError::Exists {
            path: path.to_owned(),
        },
        _ => SignError::Io {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = with_mode(OpenOptions::new().write(true).create_new(true), mode)
        .open(path)
        .map_err(io)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|source| {
        // Half a key is of no use and would block the name.
        let _ = fs::remove_file(path);
        io(source)
    })
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _mode: u32) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_its_owners_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = SecretKey::from_bytes(&[9; 32]);
        let public = write_key(&path, &key).unwrap();
        assert_eq!(tendon_files::mode(&fs::metadata(&path).unwrap()), 0o600);
        assert_eq!(read_key(&path).unwrap().public(), key.public());
        assert_eq!(fs::read_to_string(public).unwrap(), key.public().to_text());
        let again = write_key(&path, &SecretKey::from_bytes(&[1; 32])).unwrap_err();
        assert!(matches!(again, SignError::Exists { .. }), "{again}");
        assert_eq!(read_key(&path).unwrap().public(), key.public());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_key(&path, &SecretKey::from_bytes(&[9; 32])).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_key(&path).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn other_text_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, 0o600, "hello").unwrap();
        assert!(matches!(
            read_key(&path).unwrap_err(),
            SignError::Key { .. }
        ));
    }
}
