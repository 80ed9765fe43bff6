//! Checkpoints: a run's whole state in one file, replaced atomically.
//!
//! Random numbers come from counters, so epoch and step are the generator's position.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tendon_model::container::{self, ContainerError};

use crate::method::State;

/// Version of the file's layout.
const FORMAT: u32 = 1;

/// What a run must share with its checkpoint, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Version of the file's layout.
    pub format: u32,
    /// Digest of the configuration.
    pub config: String,
    /// Digest of the data set.
    pub data: String,
    /// The split.
    pub split: String,
    /// Steps done.
    pub step: u64,
}

impl Position {
    /// The position before the first step.
    pub fn start(config: String, data: String, split: String) -> Self {
        Self {
            format: FORMAT,
            config,
            data,
            split,
            step: 0,
        }
    }

    /// Compares everything but the step.
    fn check(&self, path: &Path, run: &Self) -> Result<(), CheckpointError> {
        let differs = |what, found: &str, expected: &str| CheckpointError::Differs {
            path: path.to_path_buf(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        };
        if self.format != run.format {
            return Err(differs(
                "file format",
                &self.format.to_string(),
                &run.format.to_string(),
            ));
        }
        for (what, found, expected) in [
            ("configuration", &self.config, &run.config),
            ("data set", &self.data, &run.data),
            ("split", &self.split, &run.split),
        ] {
            if found != expected {
                return Err(differs(what, found, expected));
            }
        }
        Ok(())
    }
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Damaged.
    #[error("{path}: {source}; start again in another folder")]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ContainerError,
    },
    /// Not a checkpoint.
    #[error("{path}: the entry `{entry}` is missing or unreadable; this is no checkpoint")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Name of the entry.
        entry: &'static str,
    },
    /// It belongs to another run.
    #[error(
        "{path} belongs to another run: its {what} is {found}, this run's is {expected}; use the same one or another folder"
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// The checkpoint's.
        found: String,
        /// The run's.
        expected: String,
    },
}

/// The bytes of a checkpoint.
pub fn encode(position: &Position, state: &State) -> Vec<u8> {
    let metadata = BTreeMap::from([
        (
            "position".to_string(),
            serde_json::to_string(position).unwrap_or_default(),
        ),
        (
            "numbers".to_string(),
            serde_json::to_string(&state.numbers).unwrap_or_default(),
        ),
    ]);
    container::encode(&state.tensors, &metadata)
}

/// Writes a checkpoint; a kill leaves the old one or the new one.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path, position: &Position, state: &State) -> Result<(), CheckpointError> {
    tendon_files::write(path, &encode(position, state)).map_err(|source| CheckpointError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads the checkpoint of `run`; nothing if there is no file.
///
/// # Errors
/// The file cannot be read, is damaged or belongs to another run.
pub fn load(path: &Path, run: &Position) -> Result<Option<(Position, State)>, CheckpointError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    decode(path, &bytes, run).map(Some)
}

fn decode(path: &Path, bytes: &[u8], run: &Position) -> Result<(Position, State), CheckpointError> {
    let (tensors, metadata) =
        container::decode(bytes).map_err(|source| CheckpointError::Container {
            path: path.to_path_buf(),
            source,
        })?;
    let missing = |entry| CheckpointError::Entry {
        path: path.to_path_buf(),
        entry,
    };
    let text = |entry: &'static str| metadata.get(entry).ok_or_else(|| missing(entry));
    let position: Position =
        serde_json::from_str(text("position")?).map_err(|_| missing("position"))?;
    position.check(path, run)?;
    let numbers = serde_json::from_str(text("numbers")?).map_err(|_| missing("numbers"))?;
    Ok((position, State { tensors, numbers }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tendon_model::parameters::Values;

    fn position() -> Position {
        Position {
            step: 7,
            ..Position::start("c".into(), "d".into(), "s".into())
        }
    }

    fn state() -> State {
        let mut state = State::default();
        state.tensors.insert(
            "a.b".to_string(),
            Values {
                shape: vec![2],
                data: vec![1.0, -2.5],
            },
        );
        state.numbers.insert("queue.next".to_string(), u64::MAX);
        state
    }

    #[test]
    fn a_checkpoint_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        assert!(load(&path, &position()).unwrap().is_none());
        save(&path, &position(), &state()).unwrap();
        assert_eq!(
            load(&path, &position()).unwrap(),
            Some((position(), state()))
        );
    }

    #[test]
    fn another_runs_checkpoint_is_refused_with_the_difference() {
        let bytes = encode(&position(), &state());
        let check = |run: Position, expect: &str| {
            let error = decode(Path::new("x"), &bytes, &run)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(
            Position {
                config: "z".into(),
                ..position()
            },
            "its configuration is c, this run's is z",
        );
        check(
            Position {
                data: "z".into(),
                ..position()
            },
            "its data set is d",
        );
        check(
            Position {
                split: "z".into(),
                ..position()
            },
            "its split is s",
        );
    }

    #[test]
    fn a_truncated_checkpoint_is_refused() {
        let bytes = encode(&position(), &state());
        for end in 0..bytes.len() {
            assert!(decode(Path::new("x"), &bytes[..end], &position()).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(Path::new("x"), &bytes, &position());
        }
    }
}
