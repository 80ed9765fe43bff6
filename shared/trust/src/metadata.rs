//! Signed metadata files: the four roles, read from bytes nobody has vouched for yet.
//!
//! Reading checks form only. [`Signed::check`] counts signatures; versions, expiry and who leads to whom are the
//! [client](crate::client)'s. What a file says beyond the fields here is kept in what the signatures are over.

use crate::error::TrustError;
pub use crate::files::{FileVersion, Hashes, Target};
use crate::json::{Json, Members};
use crate::keys::{Keyring, Quorum, Signature, Signatures, read_ring};
use crate::moment::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tendon_bundle::hex;

/// Signatures of one file that are looked at.
const MAX_SIGNATURES: usize = 32;

/// Who signs what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The keys of all roles. Offline.
    Root,
    /// Which snapshot is the newest. Online, expires soon.
    Timestamp,
    /// Which versions of lists of targets belong together. Online.
    Snapshot,
    /// Which files are offered. Offline.
    Targets,
}

impl Role {
    /// All of them, in the order in which a client reads them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets];

    /// The name in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Name of the trusted copy of the role's file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Root => "root.json",
            Self::Timestamp => "timestamp.json",
            Self::Snapshot => "snapshot.json",
            Self::Targets => "targets.json",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a role's file states beside version and expiry.
pub trait Body: Sized {
    /// Whose file this is.
    const ROLE: Role;

    /// Reads the fields.
    ///
    /// # Errors
    /// What is missing or wrong.
    fn read(signed: &Members) -> Result<Self, String>;
}

/// A file of a role, with its signatures still to be counted.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    /// Name of the file, for errors.
    pub file: String,
    /// Version, at least 1.
    pub version: u64,
    /// When it ends.
    pub expires: Moment,
    /// What it states.
    pub body: T,
    canonical: Vec<u8>,
    signatures: Vec<Signature>,
}

impl<T: Body> Signed<T> {
    /// Reads a file. Bound its size before.
    ///
    /// # Errors
    /// [`TrustError::Malformed`] and [`TrustError::Unsupported`].
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, TrustError> {
        let malformed = |why: String| TrustError::malformed(file, why);
        let envelope = Json::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        let signed = envelope
            .get("signed")
            .ok_or_else(|| malformed("it has no object `signed`".into()))?;
        let members = signed
            .members()
            .ok_or_else(|| malformed("`signed` is no object".into()))?;
        let text = |name: &str| {
            members
                .get(name)
                .and_then(Json::as_text)
                .ok_or_else(|| malformed(format!("`{name}` is missing or no text")))
        };
        let kind = text("_type")?;
        if kind != T::ROLE.name() {
            return Err(malformed(format!(
                "it is of type {kind:.20?}, not {}",
                T::ROLE
            )));
        }
        let specification = text("spec_version")?;
        if !specification.starts_with("1.") {
            return Err(TrustError::Unsupported {
                file: file.to_owned(),
                found: specification.chars().take(16).collect(),
            });
        }
        let version = members
            .get("version")
            .and_then(Json::as_count)
            .filter(|version| *version > 0)
            .ok_or_else(|| malformed("`version` is no number from 1".into()))?;
        let expires = Moment::parse(text("expires")?).ok_or_else(|| {
            malformed("`expires` is no moment such as 2026-11-22T20:15:00Z".into())
        })?;
        Ok(Self {
            file: file.to_owned(),
            version,
            expires,
            body: T::read(members).map_err(malformed)?,
            canonical: signed.canonical(),
            signatures: read_signatures(&envelope).map_err(malformed)?,
        })
    }

    /// Counts signatures.
    ///
    /// # Errors
    /// [`TrustError::Unsigned`] below the threshold.
    pub fn check(
        &self,
        ring: &Keyring,
        quorum: &Quorum,
        check: &dyn Signatures,
    ) -> Result<(), TrustError> {
        let valid = quorum.count(ring, &self.canonical, &self.signatures, check);
        if valid as u64 >= quorum.threshold {
            Ok(())
        } else {
            Err(TrustError::Unsigned {
                file: self.file.clone(),
                role: T::ROLE,
                valid,
                needed: quorum.threshold,
            })
        }
    }

    /// Refuses a file that has expired at `now`; none is refused without a clock.
    pub(crate) fn fresh(&self, now: Option<Moment>) -> Result<(), TrustError> {
        match now {
            Some(now) if now >= self.expires => Err(TrustError::Expired {
                file: self.file.clone(),
                expired: self.expires,
                now,
            }),
            _ => Ok(()),
        }
    }

    /// Refuses another version than `expected`.
    pub(crate) fn is_version(&self, expected: u64) -> Result<(), TrustError> {
        if self.version == expected {
            Ok(())
        } else {
            Err(TrustError::Version {
                file: self.file.clone(),
                expected,
                found: self.version,
            })
        }
    }
}

/// Reads the signatures of a file's envelope. A key that stands there twice makes the file malformed.
pub(crate) fn read_signatures(envelope: &Json) -> Result<Vec<Signature>, String> {
    let list = envelope
        .get("signatures")
        .and_then(Json::list)
        .ok_or("it has no list `signatures`")?;
    if list.len() > MAX_SIGNATURES {
        return Err(format!("it has more than {MAX_SIGNATURES} signatures"));
    }
    let mut seen = BTreeSet::new();
    let mut signatures = Vec::with_capacity(list.len());
    for entry in list {
        let text = |name: &str| entry.get(name).and_then(Json::as_text);
        let (Some(key), Some(sig)) = (text("keyid"), text("sig")) else {
            return Err("a signature lacks `keyid` or `sig`".into());
        };
        if !seen.insert(key) {
            return Err(format!("key {key:.16} has signed twice"));
        }
        signatures.push(Signature {
            key: key.to_owned(),
            bytes: hex::decode(sig).unwrap_or_default(),
        });
    }
    Ok(signatures)
}

/// The keys of all roles.
#[derive(Clone, Debug)]
pub struct Root {
    /// Whether files have their version or digest in their names.
    pub consistent: bool,
    /// All keys.
    pub ring: Keyring,
    roles: BTreeMap<Role, Quorum>,
}

impl Root {
    /// Who signs for a role.
    #[must_use]
    pub fn quorum(&self, role: Role) -> &Quorum {
        // Reading makes sure that all four are there.
        &self.roles[&role]
    }
}

impl Body for Root {
    const ROLE: Role = Role::Root;

    fn read(signed: &Members) -> Result<Self, String> {
        let object = |name: &str| {
            signed
                .get(name)
                .and_then(Json::members)
                .ok_or_else(|| format!("`{name}` is missing or no object"))
        };
        let (keys, stated) = (object("keys")?, object("roles")?);
        let mut roles = BTreeMap::new();
        for role in Role::ALL {
            let stated = stated
                .get(role.name())
                .ok_or_else(|| format!("it has no role {role}"))?;
            roles.insert(role, Quorum::read(stated)?);
        }
        Ok(Self {
            consistent: match signed.get("consistent_snapshot") {
                None => false,
                Some(value) => value
                    .as_bool()
                    .ok_or("`consistent_snapshot` is neither true nor false")?,
            },
            ring: read_ring(keys)?,
            roles,
        })
    }
}

/// Which snapshot is the newest.
#[derive(Clone, Debug)]
pub struct Timestamp {
    /// The snapshot.
    pub snapshot: FileVersion,
}

impl Body for Timestamp {
    const ROLE: Role = Role::Timestamp;

    fn read(signed: &Members) -> Result<Self, String> {
        let meta = read_files(signed)?;
        match (meta.get("snapshot.json"), meta.len()) {
            (Some(snapshot), 1) => Ok(Self {
                snapshot: snapshot.clone(),
            }),
            _ => Err("`meta` must list snapshot.json and nothing else".into()),
        }
    }
}

/// Which versions of lists of targets belong together.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Lists of targets by file name.
    pub files: BTreeMap<String, FileVersion>,
}

impl Body for Snapshot {
    const ROLE: Role = Role::Snapshot;

    fn read(signed: &Members) -> Result<Self, String> {
        let files = read_files(signed)?;
        if files.contains_key("targets.json") {
            Ok(Self { files })
        } else {
            Err("`meta` does not list targets.json".into())
        }
    }
}

fn read_files(signed: &Members) -> Result<BTreeMap<String, FileVersion>, String> {
    let meta = signed
        .get("meta")
        .and_then(Json::members)
        .ok_or("`meta` is missing or no object")?;
    meta.iter()
        .map(|(name, value)| Ok((name.clone(), FileVersion::read(value)?)))
        .collect()
}

/// A part of the offered names that another role may sign for.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// Name of the other role.
    pub name: String,
    /// Who signs for it.
    pub quorum: Quorum,
    /// Whether nobody after it is asked about its names.
    pub terminating: bool,
    pub(crate) paths: Vec<String>,
    pub(crate) prefixes: Vec<String>,
}

/// Files that are offered, and roles that offer more.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Files by name.
    pub targets: BTreeMap<String, Target>,
    /// Keys of the roles below.
    pub ring: Keyring,
    /// Other roles, in the order in which they are asked.
    pub delegations: Vec<Delegation>,
}

impl Body for Targets {
    const ROLE: Role = Role::Targets;

    fn read(signed: &Members) -> Result<Self, String> {
        let stated = signed
            .get("targets")
            .and_then(Json::members)
            .ok_or("`targets` is missing or no object")?;
        let mut targets = BTreeMap::new();
        for (name, target) in stated {
            targets.insert(name.clone(), Target::read(target)?);
        }
        let (mut ring, mut delegations) = (Keyring::new(), Vec::new());
        if let Some(stated) = signed.get("delegations") {
            let keys = stated.get("keys").and_then(Json::members);
            ring = read_ring(keys.ok_or("`delegations` has no keys")?)?;
            let roles = stated.get("roles").and_then(Json::list);
            let mut names = BTreeSet::new();
            for role in roles.ok_or("`delegations` has no list of roles")? {
                let delegation = read_delegation(role)?;
                if !names.insert(delegation.name.clone()) {
                    return Err("a delegated role is listed twice".into());
                }
                delegations.push(delegation);
            }
        }
        Ok(Self {
            targets,
            ring,
            delegations,
        })
    }
}

fn read_delegation(role: &Json) -> Result<Delegation, String> {
    let name = role
        .get("name")
        .and_then(Json::as_text)
        .filter(|name| !name.is_empty() && name.len() <= 128)
        .ok_or("a delegated role has no name of 1 to 128 bytes")?;
    if Role::from_name(name).is_some() {
        return Err(format!("a delegated role is called {name}"));
    }
    let texts = |field: &str| -> Result<Vec<String>, String> {
        let Some(list) = role.get(field) else {
            return Ok(Vec::new());
        };
        list.list()
            .and_then(|list| {
                list.iter()
                    .map(|text| text.as_text().map(str::to_owned))
                    .collect()
            })
            .ok_or_else(|| format!("`{field}` of role {name} is no list of texts"))
    };
    Ok(Delegation {
        name: name.to_owned(),
        quorum: Quorum::read(role)?,
        terminating: match role.get("terminating") {
            None => false,
            Some(value) => value.as_bool().ok_or("`terminating` is no truth value")?,
        },
        paths: texts("paths")?,
        prefixes: texts("path_hash_prefixes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::Draft;
    use crate::testing::Repository;
    use proptest::prelude::*;

    fn read_as_everything(bytes: &[u8]) {
        let _ = Signed::<Root>::read("a", bytes);
        let _ = Signed::<Timestamp>::read("a", bytes);
        let _ = Signed::<Snapshot>::read("a", bytes);
        let _ = Signed::<Targets>::read("a", bytes).map(|read| crate::offers::list(&read.body));
        let _ = Draft::read(bytes);
    }

    #[test]
    fn drafts_are_read_as_they_were_written() {
        for (name, bytes) in Repository::new().metadata {
            let draft = Draft::read(&bytes).unwrap();
            assert_eq!(draft.bytes(), bytes, "{name}");
        }
    }

    #[test]
    fn unknown_members_are_signed_too() {
        let repository = Repository::new();
        let bytes = repository.factory_root();
        let root = Signed::<Root>::read("root.json", bytes).unwrap();
        let quorum = root.body.quorum(Role::Root);
        root.check(&root.body.ring, quorum, &crate::keys::Ed25519)
            .unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let more = text.replacen("\"spec_version\"", "\"x\": 1, \"spec_version\"", 1);
        let more = Signed::<Root>::read("root.json", more.as_bytes()).unwrap();
        let error = more.check(&root.body.ring, quorum, &crate::keys::Ed25519);
        assert!(matches!(error, Err(TrustError::Unsigned { valid: 0, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_as_everything(&bytes);
        }

        #[test]
        fn any_change_of_a_piece_never_panics(
            which in 0usize..4,
            at in 0usize..2000,
            length in 0usize..40,
            piece in "[\\[\\]{}:,\"0-9a-z_ -]{0,12}",
        ) {
            let repository = Repository::new();
            let bytes = repository.metadata.values().nth(which).unwrap();
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            read_as_everything(&[&bytes[..at], piece.as_bytes(), &bytes[end..]].concat());
        }
    }
}
