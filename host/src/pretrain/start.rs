//! Starting a run from an encoder that another run has trained.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use sha2::{Digest as _, Sha256};
use tendon_model::encoder::EncoderConfig;
use tendon_model::parameters::{Named, collect};
use tendon_model::weights::{Provenance, WeightsError, load};
use tendon_shared::normalize::NormalizeSpec;

use super::config::PretrainConfig;
use crate::method::{Method, MethodError};

/// The encoder to start from.
#[derive(Debug, Clone)]
pub struct Start {
    path: PathBuf,
    encoder: Named,
    config: EncoderConfig,
    normalize: NormalizeSpec,
    /// Digest of the file.
    pub(super) digest: String,
    /// Where its weights come from.
    pub(super) provenance: Provenance,
    /// Recordings that it has learnt from.
    pub(super) seen: Vec<u64>,
}

/// An encoder that a run cannot start from.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is another network, or has seen otherwise normalised windows.
    #[error(
        "{path}: its {what} is {found}, the configuration's is {expected}; pretrain both stages with the same [window] and [encoder]"
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// The file's.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// The method has not exactly one encoder.
    #[error("{method} has no single encoder that could start from a file")]
    Several {
        /// The method.
        method: &'static str,
    },
    /// The weights do not fit.
    #[error(transparent)]
    Method(#[from] MethodError),
}

impl Start {
    /// Reads an encoder's file by way of a device without autodiff.
    ///
    /// # Errors
    /// It cannot be read or is no encoder.
    pub fn read(path: &Path, device: &Device) -> Result<Self, StartError> {
        let loaded = load(path, device)?;
        let bytes = std::fs::read(path).map_err(|source| StartError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let digest = Sha256::digest(bytes);
        Ok(Self {
            path: path.to_path_buf(),
            encoder: collect(&loaded.encoder),
            config: loaded.description.config,
            normalize: loaded.description.normalize,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            provenance: loaded.description.provenance,
            seen: loaded.description.seen,
        })
    }

    /// Puts the encoder into a method's trained network and its average, if it has one.
    pub(super) fn put(
        &self,
        method: &mut dyn Method,
        config: &PretrainConfig,
    ) -> Result<(), StartError> {
        let own = config.encoder(self.config.topology);
        // Dropout belongs to a run and not to the weights.
        let found = EncoderConfig {
            dropout: own.dropout,
            ..self.config.clone()
        };
        let differs = |what, found: String, expected: String| StartError::Differs {
            path: self.path.clone(),
            what,
            found,
            expected,
        };
        if found != own {
            let (found, own) = (format!("{found:?}"), format!("{own:?}"));
            return Err(differs("encoder", found, own));
        }
        if self.normalize != config.normalize() {
            let found = format!("{:?}", self.normalize);
            return Err(differs(
                "window",
                found,
                format!("{:?}", config.normalize()),
            ));
        }
        let mut state = method.state();
        for (name, values) in &self.encoder {
            let found = ["online", "target"].map(|network| {
                let old = state.tensors.get_mut(&format!("{network}.encoder.{name}"));
                old.map(|old| *old = values.clone()).is_some()
            });
            // Some methods have no average.
            if !found[0] {
                return Err(StartError::Several {
                    method: config.method.name(),
                });
            }
        }
        Ok(method.restore(&state)?)
    }
}
