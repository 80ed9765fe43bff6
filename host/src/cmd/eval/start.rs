//! What finetuning starts from: a pretrained encoder, or one with random weights.

use super::common::{Common, Material};
use burn::tensor::Device;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use tendon_host::evaluate::finetune::{FinetuneConfig, redropped};
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::weights::{Provenance, load};
use tendon_shared::normalize::{Mode, NormalizeSpec};

/// A start.
pub(super) struct Start {
    /// Shape and input of the encoder, with the dropout of finetuning.
    pub(super) config: EncoderConfig,
    /// Normalisation of its windows.
    pub(super) normalize: NormalizeSpec,
    /// Where its weights come from.
    pub(super) provenance: Option<Provenance>,
    /// Recordings that it has learnt from.
    pub(super) seen: Vec<u64>,
    path: Option<PathBuf>,
    /// Digest of the encoder's file.
    digest: String,
}

impl Start {
    /// Looks at an encoder that may not have seen the test side, or plans a new one.
    pub(super) fn new(
        common: &Common,
        encoder: Option<&Path>,
        config: &FinetuneConfig,
        material: &Material,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Self> {
        let Some(path) = encoder else {
            return Ok(Self::scratch(config, material));
        };
        let description = common.load(path, material, notes)?.description;
        let own = description.normalize;
        Ok(Self {
            config: EncoderConfig {
                dropout: config.dropout,
                ..description.config
            },
            normalize: NormalizeSpec {
                mode: config.mode.unwrap_or(own.mode),
                ..own
            },
            provenance: Some(description.provenance),
            seen: description.seen,
            path: Some(path.to_path_buf()),
            digest: hex(&Sha256::digest(std::fs::read(path)?)),
        })
    }

    fn scratch(config: &FinetuneConfig, material: &Material) -> Self {
        let scratch = &config.scratch;
        let mode = config.mode.unwrap_or(scratch.mode);
        let (frames, bodies) = (usize::from(scratch.frames), usize::from(scratch.bodies));
        Self {
            config: EncoderConfig {
                streams: scratch.streams.clone(),
                width: scratch.width,
                dim: scratch.dim,
                dropout: config.dropout,
                body_mask: mode == Mode::Product,
                ..EncoderConfig::small(material.dataset.topology(), frames, bodies)
            },
            normalize: NormalizeSpec {
                mode,
                frames: scratch.frames,
                bodies: scratch.bodies,
            },
            provenance: None,
            seen: Vec::new(),
            path: None,
            digest: String::new(),
        }
    }

    /// The encoder, on an autodiff device.
    pub(super) fn encoder(
        &self,
        config: &FinetuneConfig,
        seed: u64,
        device: &Device,
    ) -> anyhow::Result<Encoder> {
        let device = device.clone().autodiff();
        Ok(match &self.path {
            Some(path) => redropped(load(path, &device)?.encoder, config.dropout),
            None => self.config.init(seed, &device)?,
        })
    }

    /// Tells runs apart, so that a checkpoint is not continued by another run. `run`: material, seed, name, epochs.
    pub(super) fn identity(
        &self,
        config: &FinetuneConfig,
        run: (&Material, u64, &str, usize),
    ) -> anyhow::Result<String> {
        let (material, seed, name, epochs) = run;
        let parts = serde_json::json!([
            name,
            epochs,
            config,
            self.config,
            self.normalize,
            self.digest,
            material.dataset.digest(),
            material.split.train.to_string(),
            material.held_out,
            seed,
        ]);
        Ok(hex(&Sha256::digest(serde_json::to_vec(&parts)?)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
