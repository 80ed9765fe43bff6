//! Signatures of offline keys, one signer at a time or each on a copy.

use super::error::RepoError;
use super::folder::{Repo, read_draft};
use std::collections::BTreeSet;
use std::path::Path;
use tendon_bundle::SecretKey;
use tendon_trust::keys::Key;
use tendon_trust::metadata::{Role, Root};

/// Roles whose files wait for signatures.
const OFFLINE: [Role; 2] = [Role::Root, Role::Targets];

/// Signs every staged file that the key signs for. Returns their roles.
///
/// # Errors
/// [`RepoError::NothingStaged`], [`RepoError::ForeignKey`] and the disk's.
pub fn sign(repo: &Repo, key: &SecretKey) -> Result<Vec<Role>, RepoError> {
    let id = Key::ed25519(&key.public()).id();
    let (mut signed, mut expected) = (Vec::new(), BTreeSet::new());
    for role in OFFLINE {
        let Some(mut draft) = repo.draft(role)? else {
            continue;
        };
        let signers = signers(repo, role)?;
        if signers.contains(&id) {
            draft.sign(key);
            repo.stage(role, &draft)?;
            signed.push(role);
        }
        expected.extend(signers);
    }
    if expected.is_empty() {
        return Err(RepoError::NothingStaged);
    }
    if signed.is_empty() {
        let expected = expected.iter().map(|id| id.chars().take(16).collect());
        let expected: Vec<String> = expected.collect();
        return Err(RepoError::ForeignKey {
            key: id,
            expected: expected.join(", "),
        });
    }
    Ok(signed)
}

/// Takes over the signatures that were made on a copy of the repository. Returns the roles that got some.
///
/// # Errors
/// [`RepoError::DamagedDraft`] also when the copy stages something else; the disk's.
pub fn merge(repo: &Repo, copy: &Path) -> Result<Vec<Role>, RepoError> {
    let copy = Repo::open(copy)?;
    let mut merged = Vec::new();
    for role in OFFLINE {
        let path = copy.staged(role);
        let (Some(mut draft), Some(other)) = (repo.draft(role)?, read_draft(&path)?) else {
            continue;
        };
        let before = draft.signers().count();
        draft
            .merge(&other)
            .map_err(|source| RepoError::DamagedDraft { path, source })?;
        if draft.signers().count() > before {
            repo.stage(role, &draft)?;
            merged.push(role);
        }
    }
    Ok(merged)
}

/// Names of the keys whose signature counts for a staged file. A root is signed by its own keys and those of the root before.
///
/// # Errors
/// As [`Repo::root_in_force`].
pub fn signers(repo: &Repo, role: Role) -> Result<BTreeSet<String>, RepoError> {
    let root = repo.root_in_force()?;
    let mut signers: BTreeSet<_> = root.body.quorum(role).keys.iter().cloned().collect();
    if role == Role::Root
        && let Some(before) = repo.published::<Root>()?
    {
        signers.extend(before.body.quorum(Role::Root).keys.iter().cloned());
    }
    Ok(signers)
}
