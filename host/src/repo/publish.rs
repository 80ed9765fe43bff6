//! From signed drafts to what devices read.
//!
//! New files get new names, and the timestamp, which leads to them, is replaced last: whoever reads meanwhile, or after a crash,
//! sees the repository before or after. Before anything is written, the device's own client must accept the result.

use super::error::RepoError;
use super::folder::Repo;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tendon_bundle::SecretKey;
use tendon_trust::author::Draft;
use tendon_trust::client::{Client, Clock, Limits};
use tendon_trust::floors::Keeper;
use tendon_trust::keys::{Ed25519, Key, Quorum};
use tendon_trust::metadata::{Body, FileVersion, Role, Root, Signed, Targets, Timestamp};
use tendon_trust::moment::Moment;
use tendon_trust::source::{Folder, Source, SourceError};
use tendon_trust::store::Memory;

/// Days that what is signed online is good for.
#[derive(Clone, Copy, Debug)]
pub struct Days {
    /// The snapshot.
    pub snapshot: u32,
    /// The timestamp.
    pub timestamp: u32,
}

/// What was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Version of the root.
    pub root: u64,
    /// Version of the list of targets.
    pub targets: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// When devices want a new timestamp.
    pub expires: Moment,
}

/// Publishes what is staged and signed, with a new snapshot and a new timestamp.
///
/// # Errors
/// [`RepoError`]; what devices read is untouched.
pub fn publish(
    repo: &Repo,
    online: &[SecretKey],
    days: Days,
    now: Moment,
) -> Result<Published, RepoError> {
    let mut new = BTreeMap::new();
    let root = staged_root(repo, &mut new)?;
    let targets = staged_targets(repo, &root, &mut new)?;
    let snapshot_version = repo.newest(Role::Snapshot)? + 1;
    let timestamp_version = match repo.metadata(Role::Timestamp.file()) {
        path if path.exists() => repo.read::<Timestamp>(Role::Timestamp.file())?.version + 1,
        _ => 1,
    };
    let expires = now.plus_days(days.timestamp);
    let mut snapshot = Draft::snapshot(snapshot_version, now.plus_days(days.snapshot), &targets);
    sign_online(&mut snapshot, &root.body, Role::Snapshot, online)?;
    let snapshot = snapshot.bytes();
    let described = FileVersion::of(snapshot_version, &snapshot);
    new.insert(format!("{snapshot_version}.snapshot.json"), snapshot);
    let mut timestamp = Draft::timestamp(timestamp_version, expires, &described);
    sign_online(&mut timestamp, &root.body, Role::Timestamp, online)?;
    new.insert(Role::Timestamp.file().to_owned(), timestamp.bytes());

    rehearse(repo, &new, now)?;
    let timestamp = new.remove(Role::Timestamp.file()).unwrap_or_default();
    let last = (Role::Timestamp.file().to_owned(), timestamp);
    for (name, bytes) in new.into_iter().chain([last]) {
        let path = repo.metadata(&name);
        tendon_files::write(&path, &bytes).map_err(RepoError::io(&path))?;
    }
    for role in [Role::Root, Role::Targets] {
        let path = repo.staged(role);
        if path.exists() {
            fs::remove_file(&path).map_err(RepoError::io(&path))?;
        }
    }
    Ok(Published {
        root: root.version,
        targets: targets.version,
        snapshot: snapshot_version,
        timestamp: timestamp_version,
        expires,
    })
}

/// Copies what devices read to another folder: a web server's or a stick's. The timestamp goes last.
///
/// # Errors
/// The disk's.
pub fn copy(repo: &Repo, to: &Path) -> Result<usize, RepoError> {
    let mut copied = 0;
    for folder in ["targets", "metadata"] {
        let from = repo.path().join(folder);
        let mut names = Vec::new();
        if from.exists() {
            for entry in fs::read_dir(&from).map_err(RepoError::io(&from))? {
                let entry = entry.map_err(RepoError::io(&from))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    names.push(name);
                }
            }
        }
        names.sort_by_key(|name| (name == Role::Timestamp.file(), name.clone()));
        for name in names {
            let (from, to): (PathBuf, _) = (from.join(&name), to.join(folder).join(&name));
            let bytes = fs::read(&from).map_err(RepoError::io(&from))?;
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            tendon_files::write(&to, &bytes).map_err(RepoError::io(&to))?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// The root that will be in force; a staged one must be signed by its own keys and by those of the root before.
fn staged_root(
    repo: &Repo,
    new: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Signed<Root>, RepoError> {
    let before = repo.published::<Root>()?;
    let Some(draft) = repo.draft(Role::Root)? else {
        return before.ok_or_else(|| RepoError::NotARepository {
            path: repo.path().to_owned(),
        });
    };
    let root = repo.root_in_force()?;
    if let Some(before) = before {
        // A crash after the root was written and before the draft was removed.
        if root.version == before.version {
            return Ok(before);
        }
        let whose = " by the keys before";
        signed(repo, &draft, &root, &before.body, whose)?;
        signed(repo, &draft, &root, &root.body, " by the keys from now on")?;
    } else {
        signed(repo, &draft, &root, &root.body, "")?;
    }
    new.insert(format!("{}.root.json", root.version), draft.bytes());
    Ok(root)
}

/// What the snapshot says of the list of targets that will be in force.
fn staged_targets(
    repo: &Repo,
    root: &Signed<Root>,
    new: &mut BTreeMap<String, Vec<u8>>,
) -> Result<FileVersion, RepoError> {
    let newest = repo.newest(Role::Targets)?;
    if let (Some(draft), Some(list)) = (repo.draft(Role::Targets)?, repo.drafted::<Targets>()?)
        && list.version > newest
    {
        signed(repo, &draft, &list, &root.body, "")?;
        let bytes = draft.bytes();
        let described = FileVersion::of(list.version, &bytes);
        new.insert(format!("{}.targets.json", list.version), bytes);
        return Ok(described);
    }
    let path = repo.metadata(&format!("{newest}.targets.json"));
    let bytes = fs::read(&path).map_err(RepoError::io(&path))?;
    Ok(FileVersion::of(newest, &bytes))
}

/// Refuses a staged file without enough signatures, and says whose are missing.
fn signed<T: Body>(
    repo: &Repo,
    draft: &Draft,
    file: &Signed<T>,
    root: &Root,
    whose: &'static str,
) -> Result<(), RepoError> {
    let quorum = root.quorum(T::ROLE);
    if file.check(&root.ring, quorum, &Ed25519).is_ok() {
        return Ok(());
    }
    let there: Vec<_> = draft.signers().collect();
    let (signed, missing): (Vec<_>, Vec<_>) = quorum
        .keys
        .iter()
        .partition(|key| there.contains(&key.as_str()));
    Err(RepoError::Unsigned {
        path: repo.staged(T::ROLE),
        valid: signed.len(),
        needed: quorum.threshold,
        whose,
        missing: short(&missing),
    })
}

fn short(keys: &[&String]) -> String {
    let keys = keys.iter().map(|key| key.chars().take(16).collect());
    keys.collect::<Vec<String>>().join(", ")
}

fn sign_online(
    draft: &mut Draft,
    root: &Root,
    role: Role,
    online: &[SecretKey],
) -> Result<(), RepoError> {
    let quorum: &Quorum = root.quorum(role);
    let mut signed = 0;
    for key in online {
        if quorum.keys.contains(&Key::ed25519(&key.public()).id()) {
            draft.sign(key);
            signed += 1;
        }
    }
    if signed >= quorum.threshold {
        return Ok(());
    }
    Err(RepoError::Keys {
        role,
        why: format!(
            "{signed} of {} were given; name them with --online-key: {}",
            quorum.threshold,
            short(&quorum.keys.iter().collect::<Vec<_>>())
        ),
    })
}

/// What is published, with new files over it.
struct Overlay<'a> {
    below: Folder,
    above: &'a BTreeMap<String, Vec<u8>>,
}

impl Source for Overlay<'_> {
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        match self.above.get(name) {
            Some(bytes) if bytes.len() as u64 > limit => Err(SourceError::TooLarge { limit }),
            Some(bytes) => Ok(bytes.clone()),
            None => self.below.metadata(name, limit),
        }
    }

    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.below.target(path, limit)
    }
}

/// Lets the device's client read the result: on a device from the factory, and on one that has seen what is published now.
fn rehearse(repo: &Repo, new: &BTreeMap<String, Vec<u8>>, now: Moment) -> Result<(), RepoError> {
    const FIRST: &str = "1.root.json";
    let root = match new.get(FIRST) {
        Some(root) => root.clone(),
        None => fs::read(repo.metadata(FIRST)).map_err(RepoError::io(repo.metadata(FIRST)))?,
    };
    let refused = |source| RepoError::Refused { source };
    let nothing = BTreeMap::new();
    let refresh = |store: &mut Memory, above, clock| {
        let mut source = Overlay {
            below: Folder::new(repo.path()),
            above,
        };
        let keeper = Keeper::open(store)?;
        let mut client = Client::new(keeper, &mut source, &Ed25519, Limits::default(), clock);
        let trusted = client.refresh(&root)?;
        for (name, target) in &trusted.targets.body.targets {
            client.download(&trusted, name, target, tendon_bundle::MAX_BUNDLE_BYTES)?;
        }
        Ok(())
    };
    refresh(&mut Memory::default(), new, Clock::Set(now)).map_err(refused)?;
    let mut device = Memory::default();
    // What is published now may have expired, or be nothing yet.
    if refresh(&mut device, &nothing, Clock::Unset).is_ok() {
        refresh(&mut device, new, Clock::Set(now)).map_err(refused)?;
    }
    Ok(())
}
