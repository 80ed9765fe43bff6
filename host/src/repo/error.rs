//! Why a repository cannot be changed.

use std::io;
use std::path::{Path, PathBuf};
use tendon_bundle::{KeyError, VerifyError};
use tendon_trust::TrustError;
use tendon_trust::author::DraftError;
use tendon_trust::metadata::Role;

/// What is wrong, where, and what to do about it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the repository is damaged.
    #[error("{path} is damaged; restore it from a published copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TrustError,
    },
    /// A staged file is damaged.
    #[error("{path} is damaged; remove it and stage the change again")]
    DamagedDraft {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DraftError,
    },
    /// The folder is no repository.
    #[error("{path} is no repository; make one with `tendon repo init`")]
    NotARepository {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing was published yet.
    #[error("{path} has nothing published; publish it first with `tendon repo publish`")]
    NotPublished {
        /// The folder.
        path: PathBuf,
    },
    /// There is a repository already.
    #[error("{path} is a repository already; change its keys with `tendon repo rotate`")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A public key file cannot be used.
    #[error(
        "{path} holds no public key; `tendon keygen` writes one beside each secret key, ending in .pub"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The keys of a role do not do.
    #[error("the {role} keys do not do: {why}")]
    Keys {
        /// The role.
        role: Role,
        /// Why.
        why: String,
    },
    /// Nothing waits for a signature.
    #[error(
        "nothing waits for a signature; stage a change with `tendon repo add` or `tendon repo rotate`"
    )]
    NothingStaged,
    /// The key signs for nothing that is staged.
    #[error("key {key:.16} is none of those that sign what is staged: {expected}")]
    ForeignKey {
        /// Name of the key.
        key: String,
        /// The names of those that do.
        expected: String,
    },
    /// A staged file lacks signatures.
    #[error(
        "{path} has {valid} of {needed} signatures{whose}; run `tendon repo sign` with one of the keys {missing}"
    )]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// Signatures that count.
        valid: usize,
        /// Signatures that are needed.
        needed: u64,
        /// Which keys are meant, when there are old and new ones.
        whose: &'static str,
        /// Names of keys that could still sign.
        missing: String,
    },
    /// A bundle is not accepted.
    #[error("{path} is refused")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifyError,
    },
    /// A bundle does not go with those that are offered.
    #[error("{path} is not offered: {why}")]
    Offer {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No such bundle is offered.
    #[error("no {name} is offered; there are: {offered}")]
    NotOffered {
        /// The name.
        name: String,
        /// What is.
        offered: String,
    },
    /// A device would refuse what would be published.
    #[error("devices would refuse this, so it is not published")]
    Refused {
        /// Why they would.
        source: TrustError,
    },
}

impl RepoError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn damaged(path: &Path) -> impl FnOnce(TrustError) -> Self {
        let path = path.to_owned();
        move |source| Self::Damaged { path, source }
    }
}
