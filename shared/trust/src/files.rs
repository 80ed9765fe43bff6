//! Files that metadata describes: their sizes, digests and versions.

use crate::error::TrustError;
use crate::json::{Json, Members};
use sha2::{Digest as _, Sha256, Sha512};
use std::collections::BTreeMap;
use tendon_bundle::hex;

/// Digests of a file, as metadata states them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// The digest that devices check.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self([("sha256".to_owned(), hex::encode(&Sha256::digest(bytes)))].into())
    }

    /// As they stand in metadata.
    #[must_use]
    pub fn json(&self) -> Json {
        Json::Object(
            self.0
                .iter()
                .map(|(name, digest)| (name.clone(), digest.as_str().into()))
                .collect(),
        )
    }

    /// The digest that names the file in a repository: SHA-256 where there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let known = ["sha256", "sha512"].into_iter();
        known
            .filter_map(|name| self.0.get(name))
            .map(String::as_str)
            .next()
    }

    /// Whether `bytes` have every digest that is known here, and at least one is.
    #[must_use]
    pub fn fit(&self, bytes: &[u8]) -> bool {
        let mut known = 0;
        for (name, digest) in &self.0 {
            let found = match name.as_str() {
                "sha256" => hex::encode(&Sha256::digest(bytes)),
                "sha512" => hex::encode(&Sha512::digest(bytes)),
                _ => continue,
            };
            known += 1;
            if !digest.eq_ignore_ascii_case(&found) {
                return false;
            }
        }
        known > 0
    }

    pub(crate) fn read(value: &Json) -> Result<Self, String> {
        let members = value.members().ok_or("`hashes` is no object")?;
        let read = members.iter().map(|(name, digest)| {
            let digest = digest.as_text().ok_or("a digest is no text")?;
            let plain = digest.len() <= 128 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if plain {
                Ok((name.clone(), digest.to_owned()))
            } else {
                Err("a digest is no hexadecimal text".to_owned())
            }
        });
        let read: BTreeMap<_, _> = read.collect::<Result<_, String>>()?;
        if read.is_empty() {
            return Err("`hashes` is empty".into());
        }
        Ok(Self(read))
    }
}

/// Which version of a metadata file belongs to this snapshot or timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// Its version.
    pub version: u64,
    /// Its size in bytes, if stated.
    pub length: Option<u64>,
    /// Its digests, if stated.
    pub hashes: Option<Hashes>,
}

impl FileVersion {
    /// What metadata says of a file with these bytes.
    #[must_use]
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self {
            version,
            length: Some(bytes.len() as u64),
            hashes: Some(Hashes::of(bytes)),
        }
    }

    /// As it stands in metadata.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut members = Members::new();
        members.insert("version".into(), self.version.into());
        if let Some(length) = self.length {
            members.insert("length".into(), length.into());
        }
        if let Some(hashes) = &self.hashes {
            members.insert("hashes".into(), hashes.json());
        }
        Json::Object(members)
    }

    pub(crate) fn read(value: &Json) -> Result<Self, String> {
        let version = value
            .get("version")
            .and_then(Json::as_count)
            .filter(|version| *version > 0);
        Ok(Self {
            version: version.ok_or("a listed file has no version from 1")?,
            length: match value.get("length") {
                None => None,
                Some(length) => Some(length.as_count().ok_or("a length is no number")?),
            },
            hashes: value.get("hashes").map(Hashes::read).transpose()?,
        })
    }

    /// Whether `bytes` are the file, as far as size and digests are stated.
    pub(crate) fn fits(&self, file: &str, bytes: &[u8]) -> Result<(), TrustError> {
        let differs = |what| TrustError::Differs {
            file: file.to_owned(),
            what,
        };
        if self
            .length
            .is_some_and(|length| length != bytes.len() as u64)
        {
            return Err(differs("the size"));
        }
        match &self.hashes {
            Some(hashes) if !hashes.fit(bytes) => Err(differs("the digest")),
            _ => Ok(()),
        }
    }
}

/// A file that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its size in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What the signers say of it; for bundles see [`crate::offers`].
    pub custom: Json,
}

impl Target {
    /// As it stands in metadata.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut members = Members::new();
        members.insert("length".into(), self.length.into());
        members.insert("hashes".into(), self.hashes.json());
        if self.custom != Json::Null {
            members.insert("custom".into(), self.custom.clone());
        }
        Json::Object(members)
    }

    /// Whether `bytes` are the file.
    ///
    /// # Errors
    /// [`TrustError::Differs`].
    pub fn fits(&self, name: &str, bytes: &[u8]) -> Result<(), TrustError> {
        FileVersion {
            version: 1,
            length: Some(self.length),
            hashes: Some(self.hashes.clone()),
        }
        .fits(name, bytes)
    }

    pub(crate) fn read(value: &Json) -> Result<Self, String> {
        Ok(Self {
            length: value
                .get("length")
                .and_then(Json::as_count)
                .ok_or("a target has no length")?,
            hashes: Hashes::read(value.get("hashes").ok_or("a target has no hashes")?)?,
            custom: value.get("custom").cloned().unwrap_or(Json::Null),
        })
    }
}
