//! A training run on disk: after each epoch, all that is needed to go on bit for bit.

use super::train::Epoch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tendon_model::container;
use tendon_model::parameters::Named;

/// Prefixes of the tensors' names.
const MODEL: &str = "model.";
const BEST: &str = "best.";
const MOMENTS: &str = "moments.";

/// A run after some epochs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint {
    /// Parameters and buffers.
    pub model: Named,
    /// The same at the best epoch on the held-out persons; empty without any.
    pub best: Named,
    /// History of the optimiser.
    pub moments: Named,
    /// Everything else.
    pub state: State,
}

/// The part of a checkpoint that is not tensors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Says which run this is: settings, data, seed and start. Another run does not go on from here.
    pub identity: String,
    /// Optimiser steps so far.
    pub steps: u64,
    /// What happened in each finished epoch.
    pub epochs: Vec<Epoch>,
    /// Index of the best epoch on the held-out persons.
    pub best_epoch: Option<usize>,
}

/// A checkpoint that is there but cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}; delete the file to start again")]
pub struct CheckpointError {
    path: PathBuf,
    problem: String,
}

impl Checkpoint {
    /// Writes the run; a kill leaves the previous checkpoint or this one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let groups = [
            (MODEL, &self.model),
            (BEST, &self.best),
            (MOMENTS, &self.moments),
        ];
        let tensors: Named = groups
            .into_iter()
            .flat_map(|(prefix, named)| {
                named
                    .iter()
                    .map(move |(name, values)| (format!("{prefix}{name}"), values.clone()))
            })
            .collect();
        // TOML, because serde_json does not read every number back to the same bits.
        let state = toml::to_string(&self.state).map_err(io::Error::other)?;
        let metadata = BTreeMap::from([("state".to_owned(), state)]);
        tendon_files::write(path, &container::encode(&tensors, &metadata))
    }

    /// Reads the run with this identity; nothing when there is no file, or when it belongs to another run.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn read(path: &Path, identity: &str) -> Result<Option<Self>, CheckpointError> {
        let problem = |problem: String| CheckpointError {
            path: path.to_path_buf(),
            problem,
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(error.to_string())),
        };
        let (tensors, metadata) =
            container::decode(&bytes).map_err(|error| problem(error.to_string()))?;
        let state = metadata
            .get("state")
            .map(String::as_str)
            .unwrap_or_default();
        let state: State =
            toml::from_str(state).map_err(|error| problem(format!("unreadable state: {error}")))?;
        if state.identity != identity {
            return Ok(None);
        }
        let mut checkpoint = Self {
            state,
            ..Self::default()
        };
        for (name, values) in tensors {
            let groups = [
                (MODEL, &mut checkpoint.model),
                (BEST, &mut checkpoint.best),
                (MOMENTS, &mut checkpoint.moments),
            ];
            for (prefix, named) in groups {
                if let Some(name) = name.strip_prefix(prefix) {
                    named.insert(name.to_owned(), values);
                    break;
                }
            }
        }
        Ok(Some(checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tendon_model::parameters::Values;

    fn example() -> Checkpoint {
        let named = |value: f32| {
            Named::from([(
                "a.b".to_owned(),
                Values {
                    shape: vec![2],
                    data: vec![value, 0.1],
                },
            )])
        };
        let epoch = Epoch {
            loss: 2.0 / 3.0,
            accuracy: 0.3,
            rate: 0.1,
            validation: Some(0.5),
            validation_nll: Some(1.0),
        };
        let state = State {
            identity: "run".into(),
            steps: 7,
            epochs: vec![epoch],
            best_epoch: Some(0),
        };
        Checkpoint {
            model: named(1.0),
            best: named(2.0),
            moments: named(3.0),
            state,
        }
    }

    #[test]
    fn gives_back_what_was_written_and_only_to_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        assert_eq!(Checkpoint::read(&path, "run").unwrap(), None);
        example().write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path, "run").unwrap(), Some(example()));
        assert_eq!(Checkpoint::read(&path, "another").unwrap(), None);
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        example().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let error = Checkpoint::read(&path, "run").unwrap_err().to_string();
        assert!(error.contains("run.checkpoint"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("run.checkpoint");
            std::fs::write(&path, bytes).unwrap();
            let _ = Checkpoint::read(&path, "run");
        }
    }
}
