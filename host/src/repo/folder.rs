//! The folder of a repository: where its files are, and which are the newest.

use super::error::RepoError;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tendon_bundle::{PublicKey, TrustedKeys};
use tendon_trust::author::Draft;
use tendon_trust::keys::{Key, Keyring, Quorum};
use tendon_trust::metadata::{Body, Role, Root, Signed, Targets};

/// The folder of a repository.
#[derive(Clone, Debug)]
pub struct Repo(PathBuf);

impl Repo {
    /// An existing repository.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RepoError> {
        let repo = Self(path.into());
        if repo.is_there() {
            Ok(repo)
        } else {
            Err(RepoError::NotARepository { path: repo.0 })
        }
    }

    /// A folder that is to become a repository.
    ///
    /// # Errors
    /// [`RepoError::Exists`].
    pub(super) fn fresh(path: impl Into<PathBuf>) -> Result<Self, RepoError> {
        let repo = Self(path.into());
        if repo.is_there() {
            Err(RepoError::Exists { path: repo.0 })
        } else {
            Ok(repo)
        }
    }

    fn is_there(&self) -> bool {
        self.staged(Role::Root).exists() || self.metadata("1.root.json").exists()
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A published metadata file.
    #[must_use]
    pub fn metadata(&self, name: &str) -> PathBuf {
        self.0.join("metadata").join(name)
    }

    /// A published target.
    #[must_use]
    pub fn target(&self, name: &str) -> PathBuf {
        self.0.join("targets").join(name)
    }

    /// Where a role's file waits for signatures.
    #[must_use]
    pub fn staged(&self, role: Role) -> PathBuf {
        self.0.join("staged").join(role.file())
    }

    /// The highest published version of a role's file; 0 when there is none.
    ///
    /// # Errors
    /// The disk's.
    pub fn newest(&self, role: Role) -> Result<u64, RepoError> {
        let folder = self.0.join("metadata");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(RepoError::io(&folder))?,
        };
        let mut newest = 0;
        for entry in entries {
            let name = entry.map_err(RepoError::io(&folder))?.file_name();
            let name = name.to_string_lossy();
            let version = name
                .split_once('.')
                .filter(|(_, rest)| *rest == role.file());
            let version = version.and_then(|(version, _)| version.parse().ok());
            newest = newest.max(version.unwrap_or(0));
        }
        Ok(newest)
    }

    /// The newest published file of a role that has its version in its name.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] and the disk's.
    pub fn published<T: Body>(&self) -> Result<Option<Signed<T>>, RepoError> {
        match self.newest(T::ROLE)? {
            0 => Ok(None),
            version => self
                .read(&format!("{version}.{}", T::ROLE.file()))
                .map(Some),
        }
    }

    /// A published metadata file.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] and the disk's.
    pub fn read<T: Body>(&self, name: &str) -> Result<Signed<T>, RepoError> {
        let path = self.metadata(name);
        let bytes = fs::read(&path).map_err(RepoError::io(&path))?;
        Signed::read(name, &bytes).map_err(RepoError::damaged(&path))
    }

    /// A staged file; none when nothing is staged for the role.
    ///
    /// # Errors
    /// [`RepoError::DamagedDraft`] and the disk's.
    pub fn draft(&self, role: Role) -> Result<Option<Draft>, RepoError> {
        read_draft(&self.staged(role))
    }

    /// A staged file as a device would read it.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] and as [`Repo::draft`].
    pub fn drafted<T: Body>(&self) -> Result<Option<Signed<T>>, RepoError> {
        let draft = self.draft(T::ROLE)?;
        let read = draft.map(|draft| Signed::read(T::ROLE.file(), &draft.bytes()));
        read.transpose()
            .map_err(RepoError::damaged(&self.staged(T::ROLE)))
    }

    /// Stages a file.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn stage(&self, role: Role, draft: &Draft) -> Result<(), RepoError> {
        let path = self.staged(role);
        tendon_files::write(&path, &draft.bytes()).map_err(RepoError::io(&path))
    }

    /// The root that staged lists are signed under: the staged one, or the newest.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`] and as [`Repo::published`].
    pub fn root_in_force(&self) -> Result<Signed<Root>, RepoError> {
        let staged = self.drafted::<Root>()?;
        let root = match staged {
            Some(root) => Some(root),
            None => self.published()?,
        };
        root.ok_or_else(|| RepoError::NotARepository {
            path: self.0.clone(),
        })
    }

    /// The list of targets that is staged, or else the newest.
    ///
    /// # Errors
    /// As [`Repo::published`].
    pub fn targets_in_force(&self) -> Result<Option<Signed<Targets>>, RepoError> {
        match self.drafted()? {
            Some(targets) => Ok(Some(targets)),
            None => self.published(),
        }
    }
}

/// Reads a draft; none when the file is not there.
pub(super) fn read_draft(path: &Path) -> Result<Option<Draft>, RepoError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(RepoError::io(path))?,
    };
    let draft = Draft::read(&bytes).map_err(|source| RepoError::DamagedDraft {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(draft))
}

/// The keys and quorums of a root that is being made or changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    pub(super) ring: Keyring,
    pub(super) quorums: BTreeMap<Role, Quorum>,
}

impl Keys {
    pub(super) fn of(root: &Root) -> Self {
        let quorums = Role::ALL.map(|role| (role, root.quorum(role).clone()));
        Self {
            ring: root.ring.clone(),
            quorums: quorums.into(),
        }
    }

    /// Names a key, and keeps it.
    pub(super) fn name(&mut self, key: &PublicKey) -> String {
        let key = Key::ed25519(key);
        let id = key.id();
        self.ring.insert(id.clone(), key);
        id
    }

    /// Refuses quorums that nobody can reach, and online keys that are offline keys too.
    pub(super) fn check(&self) -> Result<(), RepoError> {
        for (role, quorum) in &self.quorums {
            let refuse = |why: String| Err(RepoError::Keys { role: *role, why });
            if (quorum.keys.len() as u64) < quorum.threshold {
                return refuse(format!(
                    "{} of {} must sign; add a key or lower the threshold",
                    quorum.threshold,
                    quorum.keys.len()
                ));
            }
            if matches!(role, Role::Snapshot | Role::Timestamp) {
                for offline in [Role::Root, Role::Targets] {
                    let offline = &self.quorums[&offline].keys;
                    if let Some(both) = quorum.keys.iter().find(|key| offline.contains(key)) {
                        return refuse(format!(
                            "{both:.16} is an offline key too; make another one for the server"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The public keys in files.
///
/// # Errors
/// [`RepoError::Key`].
pub fn read_public(paths: &[PathBuf]) -> Result<Vec<PublicKey>, RepoError> {
    let mut keys = Vec::new();
    for path in paths {
        let read = TrustedKeys::read(path).map_err(|source| RepoError::Key {
            path: path.clone(),
            source,
        })?;
        for key in read.keys() {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
    }
    Ok(keys)
}
