//! Making and signing metadata: the other side of [`crate::metadata`].

use crate::json::{Json, JsonError, Members};
use crate::keys::{Key, Keyring, Quorum};
use crate::metadata::{FileVersion, Role, Target};
use crate::moment::Moment;
use std::collections::{BTreeMap, BTreeSet};
use tendon_bundle::{SecretKey, hex};

/// The version of the specification that files name.
const SPECIFICATION: &str = "1.0.33";

/// A file that is being signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    signed: Json,
    /// Signatures in hexadecimal, by the name of the key.
    signatures: BTreeMap<String, String>,
}

/// Why bytes are no draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// They are no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// They are no metadata.
    #[error("it is no metadata: {0}")]
    Form(String),
    /// Two drafts differ in what is signed.
    #[error("it is another draft: what is signed differs")]
    Another,
}

impl Draft {
    /// A root file.
    #[must_use]
    pub fn root(
        version: u64,
        expires: Moment,
        ring: &Keyring,
        quorums: &BTreeMap<Role, Quorum>,
    ) -> Self {
        let used: BTreeSet<_> = quorums.values().flat_map(|quorum| &quorum.keys).collect();
        let keys = ring.iter().filter(|(id, _)| used.contains(id));
        let keys = keys.map(|(id, key)| (id.clone(), key.json())).collect();
        let roles = quorums.iter();
        let roles = roles.map(|(role, quorum)| (role.name().to_owned(), quorum.json()));
        Self::new(
            Role::Root,
            version,
            expires,
            [
                ("consistent_snapshot", Json::Bool(true)),
                ("keys", Json::Object(keys)),
                ("roles", Json::Object(roles.collect())),
            ],
        )
    }

    /// A timestamp file.
    #[must_use]
    pub fn timestamp(version: u64, expires: Moment, snapshot: &FileVersion) -> Self {
        let meta = Json::object([("snapshot.json", snapshot.json())]);
        Self::new(Role::Timestamp, version, expires, [("meta", meta)])
    }

    /// A snapshot file.
    #[must_use]
    pub fn snapshot(version: u64, expires: Moment, targets: &FileVersion) -> Self {
        let meta = Json::object([("targets.json", targets.json())]);
        Self::new(Role::Snapshot, version, expires, [("meta", meta)])
    }

    /// A list of targets.
    #[must_use]
    pub fn targets(version: u64, expires: Moment, targets: &BTreeMap<String, Target>) -> Self {
        let targets = targets.iter();
        let targets = targets.map(|(name, target)| (name.clone(), target.json()));
        let targets = Json::Object(targets.collect());
        Self::new(Role::Targets, version, expires, [("targets", targets)])
    }

    fn new<const N: usize>(
        role: Role,
        version: u64,
        expires: Moment,
        fields: [(&str, Json); N],
    ) -> Self {
        let mut signed = Members::new();
        signed.insert("_type".into(), role.name().into());
        signed.insert("spec_version".into(), SPECIFICATION.into());
        signed.insert("version".into(), version.into());
        signed.insert("expires".into(), expires.to_string().into());
        for (name, value) in fields {
            signed.insert(name.to_owned(), value);
        }
        Self {
            signed: Json::Object(signed),
            signatures: BTreeMap::new(),
        }
    }

    /// Reads a file that was written by [`Draft::bytes`].
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn read(bytes: &[u8]) -> Result<Self, DraftError> {
        let envelope = Json::parse(bytes)?;
        let signatures = crate::metadata::read_signatures(&envelope).map_err(DraftError::Form)?;
        let signed = envelope
            .get("signed")
            .filter(|signed| signed.members().is_some());
        Ok(Self {
            signed: signed
                .ok_or_else(|| DraftError::Form("it has no object `signed`".into()))?
                .clone(),
            signatures: signatures
                .into_iter()
                .map(|signature| (signature.key, hex::encode(&signature.bytes)))
                .collect(),
        })
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|(key, signature)| {
            Json::object([
                ("keyid", key.as_str().into()),
                ("sig", signature.as_str().into()),
            ])
        });
        Json::object([
            ("signatures", Json::List(signatures.collect())),
            ("signed", self.signed.clone()),
        ])
        .text()
    }

    /// Signs with a key, under the name that metadata gives it.
    pub fn sign(&mut self, key: &SecretKey) {
        let signature = key.sign_metadata(&self.signed.canonical());
        let id = Key::ed25519(&key.public()).id();
        self.signatures.insert(id, hex::encode(&signature));
    }

    /// Takes over the signatures of another copy of the same draft.
    ///
    /// # Errors
    /// [`DraftError::Another`].
    pub fn merge(&mut self, other: &Self) -> Result<(), DraftError> {
        if self.signed != other.signed {
            return Err(DraftError::Another);
        }
        let signatures = other.signatures.iter();
        self.signatures
            .extend(signatures.map(|(key, signature)| (key.clone(), signature.clone())));
        Ok(())
    }

    /// The names of the keys that have signed.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.keys().map(String::as_str)
    }

    /// What is signed.
    #[must_use]
    pub const fn signed(&self) -> &Json {
        &self.signed
    }
}
