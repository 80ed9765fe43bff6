//! Bundles on and off the list of targets, staged for signing.

use super::error::RepoError;
use super::folder::Repo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tendon_bundle::{Bundle, Floor, TrustedKeys, VerifiedBundle};
use tendon_trust::author::Draft;
use tendon_trust::metadata::{Hashes, Role, Target, Targets};
use tendon_trust::moment::Moment;
use tendon_trust::offers;

/// A change of the list of targets. An empty one renews the list.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Bundle files to offer.
    pub bundles: Vec<PathBuf>,
    /// Names to offer no more.
    pub remove: Vec<String>,
}

/// Stages a list of targets with the change, good for `days`. Returns the names that the bundles have in it.
///
/// # Errors
/// [`RepoError`]; bundles must be signed by a key of `trusted`.
pub fn add(
    repo: &Repo,
    change: &Change,
    trusted: &TrustedKeys,
    days: u32,
    now: Moment,
) -> Result<Vec<String>, RepoError> {
    let list = repo.targets_in_force()?;
    let mut targets = list.map(|list| list.body.targets).unwrap_or_default();
    for name in &change.remove {
        if targets.remove(name).is_none() {
            return Err(RepoError::NotOffered {
                name: name.clone(),
                offered: targets.keys().cloned().collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut names = Vec::new();
    for path in &change.bundles {
        let bundle =
            Bundle::open(path, trusted, Floor::default()).map_err(|source| RepoError::Bundle {
                path: path.clone(),
                source,
            })?;
        names.push(offer(repo, &mut targets, path, &bundle)?);
    }
    restage(repo, &targets, days, now)?;
    Ok(names)
}

/// Stages the next version of the list of targets.
pub(super) fn restage(
    repo: &Repo,
    targets: &BTreeMap<String, Target>,
    days: u32,
    now: Moment,
) -> Result<(), RepoError> {
    let version = repo.newest(Role::Targets)? + 1;
    let draft = Draft::targets(version, now.plus_days(days), targets);
    repo.stage(Role::Targets, &draft)
}

/// Puts a bundle on the list and its file beside the others.
fn offer(
    repo: &Repo,
    targets: &mut BTreeMap<String, Target>,
    path: &Path,
    bundle: &VerifiedBundle,
) -> Result<String, RepoError> {
    let manifest = bundle.manifest();
    let name = format!(
        "{}-{}.tendon",
        manifest.topology.name(),
        manifest.model_version
    );
    let target = Target {
        length: bundle.bytes().len() as u64,
        hashes: Hashes::of(bundle.bytes()),
        custom: offers::custom(manifest),
    };
    let refuse = |why: String| RepoError::Offer {
        path: path.to_owned(),
        why,
    };
    if targets
        .get(&name)
        .is_some_and(|there| there.hashes != target.hashes)
    {
        return Err(refuse(format!(
            "another bundle with model version {} is; raise --model-version, or remove {name} first",
            manifest.model_version
        )));
    }
    let newer = offers::list(&Targets {
        targets: targets.clone(),
        ring: BTreeMap::new(),
        delegations: Vec::new(),
    });
    let newer = newer
        .into_iter()
        .find(|other| other.topology == manifest.topology && other.model > manifest.model_version);
    if let Some(newer) = newer {
        return Err(refuse(format!(
            "{} is newer, so no device would take it; remove that first, or raise --model-version",
            newer.name
        )));
    }
    let digest = target.hashes.name().unwrap_or_default();
    let place = repo.target(&format!("{digest}.{name}"));
    tendon_files::write(&place, bundle.bytes()).map_err(RepoError::io(&place))?;
    targets.insert(name.clone(), target);
    Ok(name)
}
