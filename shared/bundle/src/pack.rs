//! Packing: from an encoder and what travels with it to the bytes of a signed bundle.

use crate::container;
use crate::error::{PackError, VerifyError};
use crate::keys::{SecretKey, TrustedKeys};
use crate::names;
use crate::verify::{Bundle, Floor};
use sha2::{Digest as _, Sha256};
use tendon_engine::Encoder;
use tendon_shared::manifest::{
    ElementType, MAX_MANIFEST_BYTES, Manifest, ManifestError, TensorEntry,
};
use tendon_shared::pose::Presence;

/// Everything a bundle is made of.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The manifest; its tensors are filled in by packing.
    pub manifest: Manifest,
    /// The engine's blob.
    pub encoder: Vec<u8>,
    /// Trunk features of training windows, `[window, joint, frame, channel]`.
    pub source_features: Vec<i8>,
    /// Their labels.
    pub source_labels: Vec<u16>,
    /// How the people of the training data stood before their cameras: direction of the trunk (3), jitter, length of each limb (one a
    /// joint); empty when nobody measured it.
    pub source_reference: Vec<f32>,
    /// Golden windows, `[window, body, channel, frame, joint]`; their logits are computed by packing.
    pub golden_windows: Vec<f32>,
    /// Which bodies are there.
    pub golden_presence: Vec<Presence>,
}

impl Contents {
    /// Returns the bytes of the signed bundle. Equal contents and keys give equal bytes.
    ///
    /// # Errors
    /// [`PackError`]; the finished bundle is verified before it is returned, so no bundle leaves that a device would refuse.
    pub fn pack(mut self, key: &SecretKey) -> Result<Vec<u8>, PackError> {
        let encoder = Encoder::parse(&self.encoder)?;
        let spec = *encoder.spec();
        let (trunk, window) = (spec.trunk_len(), spec.bodies * spec.input_len());
        let sources = whole(
            names::SOURCE_FEATURES,
            self.source_features.len(),
            trunk,
            self.source_labels.len(),
        )?;
        let golden = whole(
            names::GOLDEN_WINDOWS,
            self.golden_windows.len(),
            window,
            self.golden_presence.len(),
        )?;

        let mut logits = vec![0; golden * spec.classes];
        let mut arena = vec![0; encoder.arena_len()];
        let runs = self
            .golden_windows
            .chunks_exact(window)
            .zip(&self.golden_presence);
        for ((window, presence), logits) in runs.zip(logits.chunks_exact_mut(spec.classes)) {
            let run = encoder.run(window, *presence, &mut arena, logits);
            run.map_err(|error| VerifyError::Inconsistent(error.to_string()))?;
        }

        let windows = [golden, spec.bodies, spec.channels, spec.frames, spec.joints];
        let features = [sources, spec.joints, spec.trunk_frames, spec.trunk_channels];
        let le = |values: &[f32]| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let labels = self
            .source_labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect();
        let presence = self
            .golden_presence
            .iter()
            .map(|presence| presence.0)
            .collect();
        let logits = logits
            .iter()
            .flat_map(|logit| logit.to_le_bytes())
            .collect();
        // Wide elements first: then each tensor starts at a multiple of its element's size.
        let mut tensors: Vec<(&str, ElementType, Vec<usize>, Vec<u8>)> = vec![
            (
                names::GOLDEN_WINDOWS,
                ElementType::F32,
                windows.to_vec(),
                le(&self.golden_windows),
            ),
            (
                names::GOLDEN_LOGITS,
                ElementType::I32,
                vec![golden, spec.classes],
                logits,
            ),
            (
                names::SOURCE_LABELS,
                ElementType::U16,
                vec![sources],
                labels,
            ),
            (
                names::GOLDEN_PRESENCE,
                ElementType::U8,
                vec![golden],
                presence,
            ),
            (
                names::SOURCE_FEATURES,
                ElementType::I8,
                features.to_vec(),
                bytemuck::cast_slice(&self.source_features).to_vec(),
            ),
            (
                names::ENCODER,
                ElementType::U8,
                vec![self.encoder.len()],
                self.encoder.clone(),
            ),
        ];
        if !self.source_reference.is_empty() {
            tensors.insert(
                0,
                (
                    names::SOURCE_REFERENCE,
                    ElementType::F32,
                    vec![self.source_reference.len()],
                    le(&self.source_reference),
                ),
            );
        }
        self.manifest.tensors.clear();
        let mut data = Vec::new();
        for (name, element, shape, bytes) in tensors {
            let too_many = |_| ManifestError::Inconsistent { field: "tensors" };
            let shape = shape
                .iter()
                .map(|dim| u32::try_from(*dim).unwrap_or(u32::MAX))
                .collect();
            let sha256 = Sha256::digest(&bytes).into();
            let name =
                heapless::String::try_from(name).map_err(|_| ManifestError::Inconsistent {
                    field: "tensor name",
                })?;
            self.manifest
                .tensors
                .push(TensorEntry {
                    name,
                    element,
                    shape,
                    sha256,
                })
                .map_err(too_many)?;
            data.push(bytes);
        }

        let mut buffer = [0; MAX_MANIFEST_BYTES];
        let canonical = self.manifest.encode(&mut buffer)?;
        let file = container::write(
            &self.manifest,
            canonical,
            &key.sign(canonical),
            &key.public().to_bytes(),
            &data,
        );
        let trusted = TrustedKeys::new([key.public()]);
        Ok(Bundle::verify(file, &trusted, Floor::default())?
            .bytes()
            .to_vec())
    }
}

/// Returns how many windows a tensor holds.
fn whole(
    tensor: &'static str,
    found: usize,
    step: usize,
    count: usize,
) -> Result<usize, PackError> {
    if found == step * count {
        Ok(count)
    } else {
        Err(PackError::Length {
            tensor,
            found,
            step,
        })
    }
}
