//! What a bundle contains and needs: the part that is signed.
//!
//! The manifest names every tensor with its digest, so one signature over the manifest's canonical bytes covers the bundle.
//! Reading the file, the signature and the digests are `tendon-bundle`'s work; here are only types, bytes and consistency.

use crate::limits::{CLASS_NAME_BYTES, MAX_CLASSES, MAX_STREAMS};
use crate::normalize::NormalizeSpec;
use crate::stream::Stream;
use crate::topology::TopologyId;
use core::fmt;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Version of the manifest and of the bundle around it.
pub const FORMAT_VERSION: u16 = 1;
/// Signatures are over these bytes followed by the manifest's, so that no other signed message can pass for a manifest.
pub const SIGNATURE_DOMAIN: &[u8] = b"tendon bundle manifest v1\0";
/// Tensors of one bundle.
pub const MAX_TENSORS: usize = 8;
/// Bytes of a tensor's name.
pub const TENSOR_NAME_BYTES: usize = 32;
/// Dimensions of a tensor.
pub const MAX_DIMS: usize = 5;
/// Bytes of the licence note.
pub const LICENCE_BYTES: usize = 128;
/// Bytes of the provenance note.
pub const PROVENANCE_BYTES: usize = 512;
/// Bytes of the largest manifest: 128 classes with names of 72 bytes, thresholds and priors, eight tensors, two notes.
pub const MAX_MANIFEST_BYTES: usize = 12 * 1024;

const _: () = assert!(
    MAX_CLASSES * (CLASS_NAME_BYTES + 1 + 4 + 4)
        + MAX_TENSORS * (TENSOR_NAME_BYTES + 1 + 1 + 1 + MAX_DIMS * 5 + 10 + 32)
        + LICENCE_BYTES
        + PROVENANCE_BYTES
        + 100
        <= MAX_MANIFEST_BYTES,
    "every manifest fits"
);

/// Element type of a tensor. Grows only at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementType {
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Unsigned 16 bits.
    U16,
    /// Signed 32 bits.
    I32,
    /// Floating point, 32 bits.
    F32,
}

impl ElementType {
    /// Bytes of one element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 => 2,
            Self::I32 | Self::F32 => 4,
        }
    }

    /// The name that safetensors gives this type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::U16 => "U16",
            Self::I32 => "I32",
            Self::F32 => "F32",
        }
    }
}

/// One tensor of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorEntry {
    /// Its name in the file.
    pub name: String<TENSOR_NAME_BYTES>,
    /// Type of its elements.
    pub element: ElementType,
    /// Its shape.
    pub shape: Vec<u32, MAX_DIMS>,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

impl TensorEntry {
    /// Length in bytes; nothing when it does not fit 64 bits.
    #[must_use]
    pub fn byte_len(&self) -> Option<u64> {
        let element = self.element.bytes() as u64;
        let mut dims = self.shape.iter().map(|dim| u64::from(*dim));
        dims.try_fold(element, u64::checked_mul)
    }
}

/// What a bundle contains and needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this structure: [`FORMAT_VERSION`].
    pub format: u16,
    /// Version of the model; a device refuses one below the version it has confirmed.
    pub model_version: u64,
    /// When the bundle was made, seconds since 1970 (UTC).
    pub created_s: u64,
    /// Version of the integer arithmetic: the engine's format version.
    pub engine_version: u16,
    /// Version of the normalisation: [`crate::normalize::PREPROCESSING_VERSION`].
    pub preprocessing_version: u32,
    /// The skeleton standard.
    pub topology: TopologyId,
    /// Streams stacked on the input's channel axis.
    pub streams: Vec<Stream, MAX_STREAMS>,
    /// How poses become a window.
    pub normalize: NormalizeSpec,
    /// Names of the classes, by label.
    pub classes: Vec<String<CLASS_NAME_BYTES>, MAX_CLASSES>,
    /// Logits are divided by this before the softmax.
    pub temperature: f32,
    /// Calibrated confidence from which a prediction counts, 0..=1: one for all classes or one a class.
    pub thresholds: Vec<f32, MAX_CLASSES>,
    /// Share of each class in the training data, 0..=1; sums to one.
    pub prior: Vec<f32, MAX_CLASSES>,
    /// Every tensor of the file.
    pub tensors: Vec<TensorEntry, MAX_TENSORS>,
    /// Licence of the data that the model learned from.
    pub licence: String<LICENCE_BYTES>,
    /// Where the model comes from: data digest, split, method.
    pub provenance: String<PROVENANCE_BYTES>,
}

/// Why bytes are no manifest, or a manifest no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// The manifest was written for another format version; update this side.
    UnsupportedFormat {
        /// The version found.
        found: u16,
    },
    /// The bytes are no manifest.
    Malformed,
    /// The bytes decode, but are not the one canonical encoding.
    NotCanonical,
    /// A field contradicts another or its documented range.
    Inconsistent {
        /// Which field.
        field: &'static str,
    },
    /// The buffer is shorter than the manifest.
    BufferTooSmall,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedFormat { found } => {
                write!(f, "manifest format {found} is not {FORMAT_VERSION}")
            }
            Self::Malformed => f.write_str("the bytes are no manifest"),
            Self::NotCanonical => f.write_str("the manifest is not in its canonical encoding"),
            Self::Inconsistent { field } => write!(f, "the manifest's {field} is inconsistent"),
            Self::BufferTooSmall => f.write_str("the buffer is too small for the manifest"),
        }
    }
}

impl core::error::Error for ManifestError {}

impl Manifest {
    /// Writes the canonical bytes into `buffer`, at most [`MAX_MANIFEST_BYTES`], and returns them.
    ///
    /// # Errors
    /// [`ManifestError::Inconsistent`] when no device would accept it, [`ManifestError::BufferTooSmall`].
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], ManifestError> {
        self.check()?;
        match postcard::to_slice(self, buffer) {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(ManifestError::BufferTooSmall),
        }
    }

    /// Reads canonical bytes and checks the manifest's consistency.
    ///
    /// # Errors
    /// [`ManifestError`]; a manifest of another format is [`ManifestError::UnsupportedFormat`] whatever follows its version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let (format, _) =
            postcard::take_from_bytes::<u16>(bytes).map_err(|_| ManifestError::Malformed)?;
        if format != FORMAT_VERSION {
            return Err(ManifestError::UnsupportedFormat { found: format });
        }
        let (manifest, rest) =
            postcard::take_from_bytes::<Self>(bytes).map_err(|_| ManifestError::Malformed)?;
        if !rest.is_empty() {
            return Err(ManifestError::NotCanonical);
        }
        manifest.check()?;
        let mut again = [0; MAX_MANIFEST_BYTES];
        if manifest.encode(&mut again)? != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The tensor called `name`, or nothing.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Confidence from which class `class` counts.
    #[must_use]
    pub fn threshold(&self, class: usize) -> f32 {
        let own = self
            .thresholds
            .get(class)
            .or_else(|| self.thresholds.first());
        own.copied().unwrap_or(1.0)
    }

    /// Checks that the fields fit each other.
    ///
    /// # Errors
    /// [`ManifestError::Inconsistent`] names the field, [`ManifestError::UnsupportedFormat`].
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.format != FORMAT_VERSION {
            return Err(ManifestError::UnsupportedFormat { found: self.format });
        }
        let ensure = |holds: bool, field| match holds {
            true => Ok(()),
            false => Err(ManifestError::Inconsistent { field }),
        };
        let unit = |values: &[f32]| values.iter().all(|value| (0.0..=1.0).contains(value));
        let classes = self.classes.len();
        ensure(!self.streams.is_empty(), "streams")?;
        ensure(classes > 0, "classes")?;
        ensure(
            self.temperature.is_normal() && self.temperature > 0.0,
            "temperature",
        )?;
        let thresholds = self.thresholds.len();
        ensure(thresholds == 1 || thresholds == classes, "thresholds")?;
        ensure(unit(&self.thresholds), "thresholds")?;
        ensure(self.prior.len() == classes && unit(&self.prior), "prior")?;
        let total: f32 = self.prior.iter().sum();
        ensure((total - 1.0).abs() < 1e-3, "prior")?;
        for (index, tensor) in self.tensors.iter().enumerate() {
            ensure(tensor.byte_len().is_some(), "tensor shape")?;
            let name = tensor
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
            ensure(name, "tensor name")?;
            let before = self.tensors.iter().take(index);
            ensure(
                before.into_iter().all(|other| other.name != tensor.name),
                "tensor name",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::Mode;
    use proptest::prelude::*;
    use std::vec;

    fn text<const N: usize>(text: &str) -> String<N> {
        String::try_from(text).expect("fits")
    }

    fn manifest() -> Manifest {
        let entry = TensorEntry {
            name: text("encoder.int8"),
            element: ElementType::U8,
            shape: Vec::from_slice(&[1000]).expect("fits"),
            sha256: [7; 32],
        };
        Manifest {
            format: FORMAT_VERSION,
            model_version: 3,
            created_s: 1_700_000_000,
            engine_version: 1,
            preprocessing_version: 1,
            topology: TopologyId::Kinect20,
            streams: Vec::from_slice(&[Stream::Joint]).expect("fits"),
            normalize: NormalizeSpec {
                mode: Mode::Paper,
                frames: 32,
                bodies: 1,
            },
            classes: Vec::from_iter([text("wave"), text("sit")]),
            temperature: 1.5,
            thresholds: Vec::from_slice(&[0.8]).expect("fits"),
            prior: Vec::from_slice(&[0.25, 0.75]).expect("fits"),
            tensors: Vec::from_iter([entry]),
            licence: text("CC0"),
            provenance: text("unit test"),
        }
    }

    fn check(change: impl FnOnce(&mut Manifest), expect: ManifestError) {
        let mut changed = manifest();
        change(&mut changed);
        assert_eq!(changed.encode(&mut [0; 1024]), Err(expect));
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        let mut buffer = [0; MAX_MANIFEST_BYTES];
        let bytes = manifest().encode(&mut buffer).expect("consistent");
        assert_eq!(Manifest::decode(bytes), Ok(manifest()));
    }

    #[test]
    fn contradictions_are_named() {
        check(
            |m| m.temperature = f32::NAN,
            ManifestError::Inconsistent {
                field: "temperature",
            },
        );
        check(
            |m| m.thresholds.clear(),
            ManifestError::Inconsistent {
                field: "thresholds",
            },
        );
        check(
            |m| m.prior[0] = 0.5,
            ManifestError::Inconsistent { field: "prior" },
        );
        check(
            |m| m.classes.clear(),
            ManifestError::Inconsistent { field: "classes" },
        );
        check(
            |m| m.format = 9,
            ManifestError::UnsupportedFormat { found: 9 },
        );
        let twice = |m: &mut Manifest| m.tensors.push(m.tensors[0].clone()).expect("fits");
        check(
            twice,
            ManifestError::Inconsistent {
                field: "tensor name",
            },
        );
    }

    #[test]
    fn a_second_encoding_of_the_same_manifest_is_refused() {
        let mut buffer = [0; MAX_MANIFEST_BYTES];
        let bytes = manifest().encode(&mut buffer).expect("consistent");
        let mut longer = vec![0x81, 0x00];
        longer.extend_from_slice(&bytes[1..]);
        assert_eq!(Manifest::decode(&longer), Err(ManifestError::NotCanonical));
        let mut trailing = bytes.to_vec();
        trailing.push(0);
        assert_eq!(
            Manifest::decode(&trailing),
            Err(ManifestError::NotCanonical)
        );
    }

    #[test]
    fn a_newer_format_is_recognised_although_the_rest_is_unknown() {
        let found = Manifest::decode(&[2, 0xff, 0xff]);
        assert_eq!(found, Err(ManifestError::UnsupportedFormat { found: 2 }));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Manifest::decode(&bytes);
        }

        #[test]
        fn any_change_of_a_byte_never_panics(at in 0_usize..200, value: u8) {
            let mut buffer = [0; MAX_MANIFEST_BYTES];
            let mut bytes = manifest().encode(&mut buffer).expect("consistent").to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            if let Ok(read) = Manifest::decode(&bytes) {
                let mut again = [0; MAX_MANIFEST_BYTES];
                prop_assert_eq!(read.encode(&mut again).expect("consistent"), &bytes[..]);
            }
        }
    }
}
