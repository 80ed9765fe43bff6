//! A repository of bundles that devices fetch from: which bundles are offered, signed as The Update Framework (TUF) has it.
//!
//! A repository is a folder: `metadata/` and `targets/` are what devices read, `staged/` holds the files that wait for signatures
//! of offline keys. Secret keys are never in it, so it may lie on a stick that goes from signer to signer. Everything is
//! written whole or not at all; time is an argument. How operators use it: `docs/trust.md`.

pub mod add;
pub mod error;
pub mod folder;
pub mod init;
pub mod pack;
pub mod publish;
pub mod rotate;
pub mod sign;
pub mod status;

/// Days that a new root is good for, unless asked otherwise.
pub const ROOT_DAYS: u32 = 365;
/// Days that a new list of targets is good for, unless asked otherwise.
pub const TARGETS_DAYS: u32 = 180;
/// Days that a new snapshot is good for, unless asked otherwise.
pub const SNAPSHOT_DAYS: u32 = 30;
/// Days that a new timestamp is good for, unless asked otherwise: how long a replayed repository can go unnoticed.
pub const TIMESTAMP_DAYS: u32 = 14;
