//! What a file is offered as: a bundle, or a pack of `tendon repo pack`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use sha2::{Digest as _, Sha256};
use tendon_delta::MakeError;
use tendon_shared::manifest::Manifest;
use tendon_shared::protocol::deploy::{DeltaOffer, Digest, Offer, PackOffer};
use tendon_trust::archive::{Archive, ArchiveError, MAX_PACK_BYTES, is_archive};

use super::deploy::Goods;

/// Why a file cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no bundle.
    #[error("{path} is no bundle ({why}): make one with `tendon bundle`")]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The file is an archive and no pack.
    #[error("{path} is no pack: {source}")]
    NotAPack {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ArchiveError,
    },
    /// The pack is larger than devices take.
    #[error(
        "{path} has {bytes} bytes and devices take packs of at most {MAX_PACK_BYTES}: take bundles off the list with `tendon repo add --remove`"
    )]
    PackTooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

/// A file that can be deployed.
#[derive(Debug, Clone)]
pub enum Cargo {
    /// A bundle.
    Bundle(Parcel),
    /// A repository in one file.
    Pack(Pack),
}

impl Cargo {
    /// Reads a file and sees what it is. No signature is checked here: the device trusts its own keys, not this host.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn open(path: &Path) -> Result<Self, OfferError> {
        let bytes = read(path)?;
        if is_archive(&bytes) {
            Pack::new(bytes, path).map(Self::Pack)
        } else {
            parcel(bytes, path).map(Self::Bundle)
        }
    }
}

/// A pack in memory and its offer.
#[derive(Debug, Clone)]
pub struct Pack {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What the device is told first.
    pub offer: PackOffer,
}

impl Pack {
    /// Makes an offer of a pack's bytes. `path` is only for errors.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn new(bytes: Vec<u8>, path: &Path) -> Result<Self, OfferError> {
        Archive::new(Cursor::new(&bytes)).map_err(|source| OfferError::NotAPack {
            path: path.to_owned(),
            source,
        })?;
        let size = u32::try_from(bytes.len()).ok();
        let size = size.filter(|size| u64::from(*size) <= MAX_PACK_BYTES);
        let size = size.ok_or_else(|| OfferError::PackTooLarge {
            path: path.to_owned(),
            bytes: bytes.len(),
        })?;
        let offer = PackOffer {
            digest: Digest(Sha256::digest(&bytes).into()),
            size,
        };
        Ok(Self { bytes, offer })
    }

    /// The pack as it is shipped.
    #[must_use]
    pub fn goods(&self) -> Goods<'_> {
        Goods::Pack {
            offer: self.offer,
            bytes: &self.bytes,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OfferError> {
    std::fs::read(path).map_err(|source| OfferError::Read {
        path: path.to_owned(),
        source,
    })
}

fn parcel(bytes: Vec<u8>, path: &Path) -> Result<Parcel, OfferError> {
    Parcel::new(bytes).map_err(|why| OfferError::NotABundle {
        path: path.to_owned(),
        why,
    })
}

/// A bundle file in memory and its offer.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What the device is told first.
    pub offer: Offer,
    /// What the bundle says about itself; the device verifies it, this side only shows it.
    pub manifest: Box<Manifest>,
}

impl Parcel {
    /// Reads a bundle file. The signature is not checked here: the device trusts its own keys, not this host.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn open(path: &Path) -> Result<Self, OfferError> {
        parcel(read(path)?, path)
    }

    /// Makes a parcel of a bundle's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|_| "it is no safetensors file")?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get("manifest"))
            .ok_or("it has no manifest")?;
        let manifest = tendon_bundle::hex::decode(text).ok_or("its manifest is not hexadecimal")?;
        let manifest =
            Box::new(Manifest::decode(&manifest).map_err(|_| "its manifest cannot be read")?);
        let offer = Offer {
            digest: Digest(Sha256::digest(&bytes).into()),
            size: u32::try_from(bytes.len()).map_err(|_| "it is larger than 4 GB")?,
            model: manifest.model_version,
            topology: manifest.topology,
        };
        Ok(Self {
            bytes,
            offer,
            manifest,
        })
    }

    /// The bundle as it is shipped whole.
    #[must_use]
    pub fn goods(&self) -> Goods<'_> {
        Goods::Whole {
            offer: self.offer,
            bytes: &self.bytes,
        }
    }

    /// The difference from `base`, if sending it is worth the while: it has four fifths of the bundle's bytes at most.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn since(&self, base: &Self) -> Result<Option<Difference>, MakeError> {
        let bytes = tendon_delta::make(&base.bytes, &self.bytes)?;
        let worth = bytes.len() <= self.bytes.len() / 5 * 4;
        let size = u32::try_from(bytes.len()).ok().filter(|_| worth);
        Ok(size.map(|size| Difference {
            offer: DeltaOffer {
                target: self.offer,
                base: base.offer.digest,
                digest: Digest(Sha256::digest(&bytes).into()),
                size,
            },
            bytes,
        }))
    }
}

/// A difference between two bundles and its offer.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What the device is told first.
    pub offer: DeltaOffer,
    /// The delta.
    pub bytes: Vec<u8>,
}

impl Difference {
    /// The difference as it is shipped.
    #[must_use]
    pub fn goods(&self) -> Goods<'_> {
        Goods::Delta {
            offer: self.offer,
            bytes: &self.bytes,
        }
    }
}
