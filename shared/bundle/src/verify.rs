//! Verification: the one way from bytes to a bundle that may be used.

use crate::bundle::VerifiedBundle;
use crate::container::Container;
use crate::error::VerifyError;
use crate::keys::{PublicKey, TrustedKeys};
use crate::{hex, names};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use tendon_engine::Spec;
use tendon_shared::limits::AXES;
use tendon_shared::manifest::{ElementType, Manifest, ManifestError, TensorEntry};
use tendon_shared::normalize::PREPROCESSING_VERSION;
use tendon_shared::topology::TopologyId;

/// Bytes of the largest bundle that is accepted.
pub const MAX_BUNDLE_BYTES: u64 = 32 * 1024 * 1024;

/// What a bundle must reach beside a valid signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The lowest model version accepted: on a device, the version it has confirmed.
    pub version: u64,
    /// The skeleton standard of the device's pose source; any, when there is none.
    pub topology: Option<TopologyId>,
}

/// Bytes that claim to be a bundle.
#[derive(Debug)]
pub struct Bundle;

impl Bundle {
    /// Reads and verifies a file, see [`Bundle::verify`].
    ///
    /// # Errors
    /// [`VerifyError`]; a file above [`MAX_BUNDLE_BYTES`] is not read at all.
    pub fn open(
        path: impl AsRef<Path>,
        trusted: &TrustedKeys,
        floor: Floor,
    ) -> Result<VerifiedBundle, VerifyError> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found > MAX_BUNDLE_BYTES {
            return Err(VerifyError::TooLarge {
                found,
                limit: MAX_BUNDLE_BYTES,
            });
        }
        // The file may grow meanwhile, or be a pipe.
        let mut bytes = Vec::new();
        file.take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut bytes)?;
        Self::verify(bytes, trusted, floor)
    }

    /// Verifies bytes: size, table of contents, signer, signature, then manifest, version, topology, tensors and encoder.
    ///
    /// # Errors
    /// [`VerifyError`] says what is wrong and what to do; nothing of the bundle may be used then.
    pub fn verify(
        bytes: Vec<u8>,
        trusted: &TrustedKeys,
        floor: Floor,
    ) -> Result<VerifiedBundle, VerifyError> {
        if bytes.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(VerifyError::TooLarge {
                found: bytes.len() as u64,
                limit: MAX_BUNDLE_BYTES,
            });
        }
        let container = Container::read(&bytes)?;
        let signer =
            PublicKey::from_bytes(&container.signer).filter(|signer| trusted.contains(signer));
        let Some(signer) = signer else {
            return Err(VerifyError::ForeignKey {
                signer: hex::encode(&container.signer),
            });
        };
        if !signer.verifies(&container.manifest, &container.signature) {
            return Err(VerifyError::Tampered {
                what: "the signature does not belong to the manifest".to_owned(),
            });
        }

        let manifest = Box::new(Manifest::decode(&container.manifest).map_err(refused_manifest)?);
        supported(
            "preprocessing",
            manifest.preprocessing_version,
            PREPROCESSING_VERSION,
        )?;
        supported(
            "engine",
            manifest.engine_version.into(),
            tendon_engine::format::VERSION.into(),
        )?;
        if manifest.model_version < floor.version {
            return Err(VerifyError::Older {
                found: manifest.model_version,
                floor: floor.version,
            });
        }
        if let Some(expected) = floor
            .topology
            .filter(|topology| *topology != manifest.topology)
        {
            return Err(VerifyError::WrongTopology {
                found: manifest.topology,
                expected,
            });
        }

        let mut places = Vec::new();
        for entry in &manifest.tensors {
            let tampered = |how: &str| VerifyError::Tampered {
                what: format!("tensor {} {how}", entry.name),
            };
            let place = container
                .tensor(entry)
                .ok_or_else(|| tampered("is missing or has another shape"))?;
            let digest = Sha256::digest(bytes.get(place.clone()).unwrap_or_default());
            if digest[..] != entry.sha256 {
                return Err(tampered("differs from the signed one"));
            }
            places.push((entry.name.to_string(), place));
        }
        if container.tensor_count() != places.len() {
            return Err(VerifyError::Tampered {
                what: "a tensor was added".to_owned(),
            });
        }

        let id = Sha256::digest(&container.manifest).into();
        let bundle = VerifiedBundle::new(bytes, manifest, places, id, signer);
        fits(bundle.manifest(), bundle.encoder()?.spec())?;
        let classes = bundle.manifest().classes.len();
        if bundle
            .source_labels()
            .iter()
            .any(|label| usize::from(*label) >= classes)
        {
            return Err(VerifyError::Inconsistent(
                "a source label is no class".to_owned(),
            ));
        }
        Ok(bundle)
    }
}

fn refused_manifest(error: ManifestError) -> VerifyError {
    match error {
        ManifestError::UnsupportedFormat { found } => VerifyError::UnsupportedVersion {
            what: "format",
            found: found.into(),
            supported: tendon_shared::manifest::FORMAT_VERSION.into(),
        },
        error => VerifyError::Inconsistent(error.to_string()),
    }
}

fn supported(what: &'static str, found: u32, supported: u32) -> Result<(), VerifyError> {
    if found == supported {
        Ok(())
    } else {
        Err(VerifyError::UnsupportedVersion {
            what,
            found,
            supported,
        })
    }
}

/// Checks that manifest, encoder and tensor shapes speak of the same windows.
fn fits(manifest: &Manifest, spec: &Spec) -> Result<(), VerifyError> {
    let ensure = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(VerifyError::Inconsistent(what.to_owned())),
    };
    let normalize = &manifest.normalize;
    ensure(
        spec.joints == manifest.topology.topology().joint_count(),
        "the encoder has another number of joints",
    )?;
    ensure(
        spec.channels == AXES * manifest.streams.len(),
        "the encoder has another number of streams",
    )?;
    ensure(
        spec.frames == usize::from(normalize.frames),
        "the encoder has another number of frames",
    )?;
    ensure(
        spec.bodies == usize::from(normalize.bodies),
        "the encoder has another number of bodies",
    )?;
    ensure(
        spec.classes == manifest.classes.len(),
        "the encoder has another number of classes",
    )?;

    let is = |entry: Option<&TensorEntry>, element: ElementType, rest: &[usize]| {
        let entry = entry.filter(|entry| entry.element == element)?;
        let (first, others) = entry.shape.split_first()?;
        let same = others
            .iter()
            .map(|dim| *dim as usize)
            .eq(rest.iter().copied());
        same.then_some(*first)
    };
    let tensor = |name: &str| manifest.tensor(name);
    let reference = tensor(names::SOURCE_REFERENCE);
    ensure(
        manifest.tensors.len() == 6 + usize::from(reference.is_some()),
        "a bundle has six tensors, or seven with a reference",
    )?;
    ensure(
        reference.is_none() || is(reference, ElementType::F32, &[]) == Some(4 + spec.joints as u32),
        "the reference's shape",
    )?;
    ensure(
        is(tensor(names::ENCODER), ElementType::U8, &[]).is_some(),
        "the encoder's tensor",
    )?;
    let trunk = [spec.joints, spec.trunk_frames, spec.trunk_channels];
    let features = is(tensor(names::SOURCE_FEATURES), ElementType::I8, &trunk);
    let labels = is(tensor(names::SOURCE_LABELS), ElementType::U16, &[]);
    ensure(
        features.is_some() && features == labels,
        "the source buffer's shapes",
    )?;
    let window = [spec.bodies, spec.channels, spec.frames, spec.joints];
    let golden = is(tensor(names::GOLDEN_WINDOWS), ElementType::F32, &window);
    ensure(
        golden.is_some_and(|count| count > 0),
        "the golden windows' shape",
    )?;
    ensure(
        golden == is(tensor(names::GOLDEN_PRESENCE), ElementType::U8, &[]),
        "the golden presence's shape",
    )?;
    ensure(
        golden
            == is(
                tensor(names::GOLDEN_LOGITS),
                ElementType::I32,
                &[spec.classes],
            ),
        "the golden logits' shape",
    )
}
