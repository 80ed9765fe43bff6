//! The first root and an empty list, staged for signing.

use super::error::RepoError;
use super::folder::{Keys, Repo};
use std::collections::BTreeMap;
use std::path::Path;
use tendon_bundle::PublicKey;
use tendon_trust::author::Draft;
use tendon_trust::keys::Quorum;
use tendon_trust::metadata::Role;
use tendon_trust::moment::Moment;

/// Who signs in a new repository.
#[derive(Clone, Debug)]
pub struct Founders {
    /// Offline keys of the root.
    pub root: Vec<PublicKey>,
    /// Offline keys of the list of targets.
    pub targets: Vec<PublicKey>,
    /// Online keys of snapshot and timestamp.
    pub online: Vec<PublicKey>,
    /// How many of the offline keys must sign.
    pub threshold: u64,
}

/// Days that the first files are good for.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    /// The root.
    pub root: u32,
    /// The list of targets.
    pub targets: u32,
}

/// Makes a repository whose first files wait for signatures.
///
/// # Errors
/// [`RepoError::Exists`], [`RepoError::Keys`] and the disk's.
pub fn init(path: &Path, founders: &Founders, days: Days, now: Moment) -> Result<Repo, RepoError> {
    let repo = Repo::fresh(path)?;
    let mut keys = Keys::default();
    for (role, members, threshold) in [
        (Role::Root, &founders.root, founders.threshold),
        (Role::Targets, &founders.targets, founders.threshold),
        (Role::Snapshot, &founders.online, 1),
        (Role::Timestamp, &founders.online, 1),
    ] {
        let quorum = Quorum {
            keys: members.iter().map(|key| keys.name(key)).collect(),
            threshold,
        };
        keys.quorums.insert(role, quorum);
    }
    keys.check()?;
    let root = Draft::root(1, now.plus_days(days.root), &keys.ring, &keys.quorums);
    let targets = Draft::targets(1, now.plus_days(days.targets), &BTreeMap::new());
    // The root last: with it the folder is a repository.
    repo.stage(Role::Targets, &targets)?;
    repo.stage(Role::Root, &root)?;
    Ok(repo)
}
