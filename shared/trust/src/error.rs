//! Why a repository, or a file of it, is not believed.

use crate::metadata::Role;
use crate::moment::Moment;
use std::io;

/// What is wrong, where, and what to do about it. Nothing of a refused file is used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file is no metadata.
    #[error("{file} is no metadata: {why}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file is of a later specification than this client knows.
    #[error("{file} follows TUF {found}, this client knows 1; update the software first")]
    Unsupported {
        /// The file.
        file: String,
        /// The version that it names.
        found: String,
    },
    /// Too few of the role's keys have signed.
    #[error(
        "{file} has {valid} of the {needed} signatures it needs; have the holders of the {role} keys sign it"
    )]
    Unsigned {
        /// The file.
        file: String,
        /// Whose signatures are missing.
        role: Role,
        /// Keys with a valid signature.
        valid: usize,
        /// Signatures that are needed.
        needed: u64,
    },
    /// The file says another version than the one that leads to it.
    #[error("{file} should be version {expected} and says {found}; publish the repository again")]
    Version {
        /// The file.
        file: String,
        /// The version that leads to it.
        expected: u64,
        /// The version it says.
        found: u64,
    },
    /// The repository offers less than was seen before: somebody replays old files.
    #[error(
        "{role} version {found} is older than {floor}, which was seen before: the repository is an old copy, or somebody replays it"
    )]
    RolledBack {
        /// The role.
        role: Role,
        /// The lowest version that is still accepted.
        floor: u64,
        /// The version that was offered.
        found: u64,
    },
    /// A role that was listed before is listed no more.
    #[error(
        "{file} was listed before and is missing now: somebody hides it; publish a snapshot that lists it"
    )]
    Vanished {
        /// The file.
        file: String,
    },
    /// The file has expired.
    #[error(
        "{file} expired at {expired}; publish the repository again, or set the clock if it is wrong (now {now})"
    )]
    Expired {
        /// The file.
        file: String,
        /// When it did.
        expired: Moment,
        /// The clock.
        now: Moment,
    },
    /// The file differs from the one that signed metadata describes.
    #[error("{file} is not the file that was signed ({what} differs); copy the repository again")]
    Differs {
        /// The file.
        file: String,
        /// What differs.
        what: &'static str,
    },
    /// The file is larger than allowed and was not read to its end.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit, bytes.
        limit: u64,
    },
    /// The file is not there.
    #[error("{file} is not in the repository")]
    Absent {
        /// The file.
        file: String,
    },
    /// The repository has more new root files than one refresh follows.
    #[error("more than {limit} new root files; refresh again to go on")]
    TooManyRoots {
        /// The limit.
        limit: u32,
    },
    /// No role offers the target.
    #[error("the repository offers no {name}")]
    NoTarget {
        /// The target.
        name: String,
    },
    /// The repository cannot be read.
    #[error("{file} cannot be read from the repository: {why}")]
    Source {
        /// The file.
        file: String,
        /// What the system or the server said.
        why: String,
    },
    /// The folder of trusted files cannot be used.
    #[error(
        "the folder of trusted files cannot be used: see whether the disk is full, read-only or broken"
    )]
    Store(#[from] io::Error),
    /// A floor that was stored reads lower now.
    #[error(
        "the record of floors lost the {role} floor {expected}: the disk does not keep what it was given"
    )]
    FloorLost {
        /// The role.
        role: Role,
        /// The floor that was stored.
        expected: u64,
    },
}

impl TrustError {
    pub(crate) fn malformed(file: &str, why: impl Into<String>) -> Self {
        Self::Malformed {
            file: file.to_owned(),
            why: why.into(),
        }
    }
}
