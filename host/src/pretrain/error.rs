//! Why a pretraining run stops.

use std::path::PathBuf;
use tendon_model::encoder::ConfigError;
use tendon_model::weights::WeightsError;

use super::checkpoint::CheckpointError;
use super::start::StartError;
use super::teacher::TeacherError;
use crate::evaluate::EvaluateError;
use crate::method::MethodError;

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// The encoder's configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Fewer windows than a batch.
    #[error("there are {windows} windows, a batch has {batch}: lower `batch` or choose more data")]
    TooFew {
        /// Windows there are.
        windows: usize,
        /// Windows of a batch.
        batch: usize,
    },
    /// The folder has a run and `resume` was not asked for.
    #[error("{path} is there already: add --resume to go on, or choose another --out")]
    Occupied {
        /// The checkpoint.
        path: PathBuf,
    },
    /// There is no device to run on.
    #[error("no device was named")]
    NoDevice,
    /// Nothing could share its windows.
    #[error("{what} runs on one device only")]
    OneDevice {
        /// The method or the encoder.
        what: &'static str,
    },
    /// The method compares windows with themselves only.
    #[error("{method} takes no partners: remove [partners] from the configuration")]
    NoPartners {
        /// The method.
        method: &'static str,
    },
    /// There is nothing to resume.
    #[error("{path} is not there: nothing to resume, run without --resume")]
    NothingToResume {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The method cannot go on.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The run cannot start from the encoder that was named.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The embeddings do not fit the windows.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// A method without a teacher has one, or one that needs it has none.
    #[error("{method} {}", if *.needed { "learns from a teacher's embeddings: name their file with --teacher-embeddings" } else { "has no use for a teacher's embeddings: leave --teacher-embeddings out" })]
    NoTeacher {
        /// The method.
        method: &'static str,
        /// Whether it needs them.
        needed: bool,
    },
    /// An encoder file could not be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The monitor failed.
    #[error("monitor: {0}")]
    Monitor(#[from] EvaluateError),
    /// The windows contradict their own specification.
    #[error("windows: {0}")]
    Windows(#[from] tendon_shared::stream::StreamLengthError),
    /// A log could not be written.
    #[error("{path}: {source}")]
    Log {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
