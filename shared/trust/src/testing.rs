//! A repository in memory, for tests here and in other crates.

use crate::author::Draft;
use crate::keys::{Key, Keyring, Quorum};
use crate::metadata::{FileVersion, Hashes, Role, Target};
use crate::moment::Moment;
use crate::source::{Source, SourceError};
use std::collections::BTreeMap;
use tendon_bundle::SecretKey;
use tendon_bundle::testing::secret_key;

/// A moment at which everything is current.
pub const NOW: Moment = Moment::from_seconds(1_795_000_000);
/// Days that root and targets are good for.
const LONG: u32 = 365;
/// Days that snapshot and timestamp are good for.
const SHORT: u32 = 14;

/// The current version of each role.
#[derive(Clone, Debug, Default)]
struct Versions(BTreeMap<Role, u64>);

/// A repository with its keys. Every `publish_` puts a new version of one role's file beside the old ones.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Who signs for each role: two of three for root and targets.
    pub keys: BTreeMap<Role, Vec<SecretKey>>,
    /// Who signs the next root beside its own keys.
    pub outgoing: Vec<SecretKey>,
    /// What is offered.
    pub targets: BTreeMap<String, Target>,
    /// Metadata files.
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// Target files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// When the files that are published next are made.
    pub now: Moment,
    versions: Versions,
}

impl Repository {
    /// Root, targets, snapshot and timestamp in their first versions, nothing offered.
    #[must_use]
    pub fn new() -> Self {
        let mut repository = Self {
            keys: [
                (Role::Root, (1..4).map(secret_key).collect()),
                (Role::Targets, (4..7).map(secret_key).collect()),
                (Role::Snapshot, vec![secret_key(7)]),
                (Role::Timestamp, vec![secret_key(8)]),
            ]
            .into(),
            outgoing: Vec::new(),
            targets: BTreeMap::new(),
            metadata: BTreeMap::new(),
            files: BTreeMap::new(),
            now: NOW,
            versions: Versions::default(),
        };
        repository.publish_root();
        repository.publish();
        repository
    }

    /// The first root file: what devices are given.
    #[must_use]
    pub fn factory_root(&self) -> &[u8] {
        &self.metadata["1.root.json"]
    }

    /// The current version of a role.
    #[must_use]
    pub fn version(&self, role: Role) -> u64 {
        self.versions.0.get(&role).copied().unwrap_or(0)
    }

    /// Makes the next version of a role this one, plus one.
    pub fn set_version(&mut self, role: Role, version: u64) {
        self.versions.0.insert(role, version);
    }

    /// Offers a file.
    pub fn offer(&mut self, name: &str, bytes: &[u8], custom: crate::json::Json) {
        let hashes = Hashes::of(bytes);
        let digest = hashes.name().unwrap_or_default().to_owned();
        self.files.insert(format!("{digest}.{name}"), bytes.into());
        let target = Target {
            length: bytes.len() as u64,
            hashes,
            custom,
        };
        self.targets.insert(name.to_owned(), target);
    }

    /// Publishes a new list of targets, a snapshot and a timestamp.
    pub fn publish(&mut self) {
        self.publish_targets();
        self.publish_snapshot();
        self.publish_timestamp();
    }

    /// Publishes a new root, signed by two of its keys and by those of [`Repository::outgoing`].
    pub fn publish_root(&mut self) {
        let (mut ring, mut quorums) = (Keyring::new(), BTreeMap::new());
        for (role, keys) in &self.keys {
            let ids = keys.iter().map(|key| {
                let key = Key::ed25519(&key.public());
                let id = key.id();
                ring.insert(id.clone(), key);
                id
            });
            let quorum = Quorum {
                keys: ids.collect(),
                threshold: match role {
                    Role::Root | Role::Targets => 2,
                    Role::Snapshot | Role::Timestamp => 1,
                },
            };
            quorums.insert(*role, quorum);
        }
        let version = self.next(Role::Root);
        let mut draft = Draft::root(version, self.now.plus_days(LONG), &ring, &quorums);
        for key in self.keys[&Role::Root].iter().take(2).chain(&self.outgoing) {
            draft.sign(key);
        }
        self.put(&format!("{version}.root.json"), &draft);
    }

    /// Publishes a new list of targets.
    pub fn publish_targets(&mut self) {
        let version = self.next(Role::Targets);
        let mut draft = Draft::targets(version, self.now.plus_days(LONG), &self.targets);
        for key in self.keys[&Role::Targets].iter().take(2) {
            draft.sign(key);
        }
        self.put(&format!("{version}.targets.json"), &draft);
    }

    /// Publishes a new snapshot of the current list of targets.
    pub fn publish_snapshot(&mut self) {
        let targets = self.described(Role::Targets);
        let version = self.next(Role::Snapshot);
        let mut draft = Draft::snapshot(version, self.now.plus_days(SHORT), &targets);
        draft.sign(&self.keys[&Role::Snapshot][0]);
        self.put(&format!("{version}.snapshot.json"), &draft);
    }

    /// Publishes a new timestamp of the current snapshot.
    pub fn publish_timestamp(&mut self) {
        let snapshot = self.described(Role::Snapshot);
        let version = self.next(Role::Timestamp);
        let mut draft = Draft::timestamp(version, self.now.plus_days(SHORT), &snapshot);
        draft.sign(&self.keys[&Role::Timestamp][0]);
        self.put("timestamp.json", &draft);
    }

    /// The repository in one file, as `tendon repo pack` makes it.
    ///
    /// # Panics
    /// Never: memory takes everything.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (folder, files) in [("metadata", &self.metadata), ("targets", &self.files)] {
            for (name, bytes) in files {
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                let path = format!("{folder}/{name}");
                let appended = builder.append_data(&mut header, path, bytes.as_slice());
                appended.expect("memory takes everything");
            }
        }
        builder.into_inner().expect("memory takes everything")
    }

    fn described(&self, role: Role) -> FileVersion {
        let version = self.version(role);
        FileVersion::of(version, &self.metadata[&format!("{version}.{role}.json")])
    }

    fn next(&mut self, role: Role) -> u64 {
        let version = self.version(role) + 1;
        self.set_version(role, version);
        version
    }

    fn put(&mut self, name: &str, draft: &Draft) {
        self.metadata.insert(name.to_owned(), draft.bytes());
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Repository {
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        give(&self.metadata, name, limit)
    }

    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        give(&self.files, path, limit)
    }
}

fn give(files: &BTreeMap<String, Vec<u8>>, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
    let bytes = files.get(name).ok_or(SourceError::Absent)?;
    if bytes.len() as u64 > limit {
        return Err(SourceError::TooLarge { limit });
    }
    Ok(bytes.clone())
}
