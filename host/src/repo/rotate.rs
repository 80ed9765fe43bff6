//! The next root: other keys, other thresholds, or the same for longer.

use super::add::restage;
use super::error::RepoError;
use super::folder::{Keys, Repo};
use tendon_bundle::PublicKey;
use tendon_trust::author::Draft;
use tendon_trust::keys::{Ed25519, Key};
use tendon_trust::metadata::{Role, Root, Signed};
use tendon_trust::moment::Moment;

/// A change of the keys of some roles. An empty one renews the root.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// The roles.
    pub roles: Vec<Role>,
    /// Keys that sign from now on.
    pub add: Vec<PublicKey>,
    /// Keys that sign no more.
    pub remove: Vec<PublicKey>,
    /// How many must sign; as before when none.
    pub threshold: Option<u64>,
}

/// Days that new files are good for.
pub use super::init::Days;

/// Stages the next root. Returns whether the list of targets was staged too, because its signatures count no more under it.
///
/// # Errors
/// [`RepoError`].
pub fn rotate(
    repo: &Repo,
    rotation: &Rotation,
    days: Days,
    now: Moment,
) -> Result<bool, RepoError> {
    let before = repo.root_in_force()?;
    let mut keys = Keys::of(&before.body);
    for role in &rotation.roles {
        let added: Vec<_> = rotation.add.iter().map(|key| keys.name(key)).collect();
        let Some(quorum) = keys.quorums.get_mut(role) else {
            continue;
        };
        for key in &rotation.remove {
            let id = Key::ed25519(key).id();
            let before = quorum.keys.len();
            quorum.keys.retain(|other| *other != id);
            if quorum.keys.len() == before {
                return Err(RepoError::Keys {
                    role: *role,
                    why: format!("{id:.16} is none of them"),
                });
            }
        }
        for id in added {
            if !quorum.keys.contains(&id) {
                quorum.keys.push(id);
            }
        }
        quorum.threshold = rotation.threshold.unwrap_or(quorum.threshold);
    }
    keys.check()?;
    let version = repo.newest(Role::Root)? + 1;
    let draft = Draft::root(version, now.plus_days(days.root), &keys.ring, &keys.quorums);
    let root = Signed::<Root>::read(Role::Root.file(), &draft.bytes())
        .map_err(RepoError::damaged(&repo.staged(Role::Root)))?;
    let list = repo.targets_in_force()?;
    repo.stage(Role::Root, &draft)?;
    let quorum = root.body.quorum(Role::Targets);
    let unsigned = list.filter(|list| list.check(&root.body.ring, quorum, &Ed25519).is_err());
    let Some(list) = unsigned else {
        return Ok(false);
    };
    restage(repo, &list.body.targets, days.targets, now)?;
    Ok(true)
}
