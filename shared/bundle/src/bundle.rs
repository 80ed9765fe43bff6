//! A bundle that has been verified.

use crate::golden::Golden;
use crate::keys::PublicKey;
use crate::names;
use std::ops::Range;
use tendon_engine::{Encoder, ParseError};
use tendon_shared::manifest::Manifest;
use tendon_shared::pose::Presence;

/// A bundle whose signature, digests and shapes are right. [`crate::Bundle::verify`] is its only constructor.
#[derive(Debug)]
pub struct VerifiedBundle {
    bytes: Vec<u8>,
    manifest: Box<Manifest>,
    places: Vec<(String, Range<usize>)>,
    id: [u8; 32],
    signer: PublicKey,
}

impl VerifiedBundle {
    /// Called by verification alone.
    pub(crate) const fn new(
        bytes: Vec<u8>,
        manifest: Box<Manifest>,
        places: Vec<(String, Range<usize>)>,
        id: [u8; 32],
        signer: PublicKey,
    ) -> Self {
        Self {
            bytes,
            manifest,
            places,
            id,
            signer,
        }
    }

    /// Returns what the bundle contains and needs.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the SHA-256 of the manifest: it names the bundle, and with it every byte of every tensor.
    #[must_use]
    pub const fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Returns who signed.
    #[must_use]
    pub const fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// Returns the whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the encoder. Parsing copies no weights, so callers may do it whenever they need one.
    ///
    /// # Errors
    /// None once the bundle exists: verification has parsed the same bytes.
    pub fn encoder(&self) -> Result<Encoder<'_>, ParseError> {
        Encoder::parse(self.tensor(names::ENCODER))
    }

    /// Returns trunk features of training windows, one run of [`tendon_engine::Spec::trunk_len`] a window.
    ///
    /// # Shapes
    /// `[window, joint, frame, channel]`
    #[must_use]
    pub fn source_features(&self) -> &[i8] {
        bytemuck::cast_slice(self.tensor(names::SOURCE_FEATURES))
    }

    /// Returns the labels of the source features; all are classes.
    #[must_use]
    pub fn source_labels(&self) -> Vec<u16> {
        self.tensor(names::SOURCE_LABELS)
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u16::from_le_bytes(*bytes))
            .collect()
    }

    /// Returns how the people of the training data stood before their cameras: direction of the trunk (3), jitter in metres, length of
    /// each limb in trunks (one a joint). Empty when the bundle does not say.
    #[must_use]
    pub fn source_reference(&self) -> Vec<f32> {
        self.tensor(names::SOURCE_REFERENCE)
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    /// Returns the golden windows with the logits that every device must compute.
    #[must_use]
    pub fn golden(&self) -> Vec<Golden> {
        let classes = self.manifest.classes.len();
        let presence = self.tensor(names::GOLDEN_PRESENCE);
        let count = presence.len().max(1);
        let windows = self.tensor(names::GOLDEN_WINDOWS).as_chunks::<4>().0;
        let windows = windows.chunks((windows.len() / count).max(1));
        let logits = self
            .tensor(names::GOLDEN_LOGITS)
            .as_chunks::<4>()
            .0
            .chunks(classes);
        let golden = windows
            .zip(logits)
            .zip(presence)
            .map(|((window, logits), presence)| Golden {
                window: window
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect(),
                presence: Presence(*presence),
                logits: logits
                    .iter()
                    .map(|bytes| i32::from_le_bytes(*bytes))
                    .collect(),
            });
        golden.collect()
    }

    fn tensor(&self, name: &str) -> &[u8] {
        let place = self
            .places
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, place)| place.clone());
        place
            .and_then(|place| self.bytes.get(place))
            .unwrap_or_default()
    }
}
