//! Errors on the wire. Each says what the peer should do next, so that a peer that does not know the error still does right.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What the peer should do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send the same message again.
    Resend,
    /// Open the session again with a hello.
    SayHello,
    /// Offer the bundle again; the answer says what is there.
    OfferAgain,
    /// Send the bundle as a whole.
    SendWhole,
    /// Try again later; nothing is wrong with the request.
    RetryLater,
    /// Give up and tell the operator: the same thing will fail again.
    TellOperator,
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireError {
    /// The versions of both sides do not meet.
    UnsupportedVersion {
        /// Oldest version of this side.
        oldest: u8,
        /// Newest version of this side.
        newest: u8,
    },
    /// The message could not be read.
    Malformed,
    /// The session was not opened, or the device restarted since.
    HelloFirst,
    /// The device is busy with a trial or a check.
    Busy,
    /// There is not enough room.
    NoSpace {
        /// Bytes that the bundle needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The bundle is older than one that was confirmed (protection against rollback).
    OlderVersion {
        /// Oldest version that the device accepts.
        floor: u64,
        /// Version that was offered.
        offered: u64,
    },
    /// The bundle is for another skeleton standard than the device's pose source.
    WrongTopology,
    /// No bundle was offered, or another one.
    NoTransfer,
    /// The chunk lies outside the bundle, or is not a whole one.
    ChunkMisplaced,
    /// The chunk's CRC does not match.
    ChunkCorrupt,
    /// Not all chunks are there.
    Incomplete,
    /// The file's digest is not the offered one; what was received is thrown away.
    DigestMismatch,
    /// The signature is not by a key that the device trusts.
    ForeignKey,
    /// The content does not match its signed manifest.
    Tampered,
    /// The file ends too early.
    Truncated,
    /// The file is not a bundle.
    NotABundle,
    /// The bundle needs a newer engine or other preprocessing than the device has.
    Incompatible,
    /// The bundle, or something in it, is larger than the device can hold.
    TooLarge,
    /// The device's encoder does not give the golden windows' answers.
    GoldenMismatch,
    /// The trial did not go well; the device rolled back.
    TrialFailed,
    /// Nothing is installed.
    NoModel,
    /// There is nothing to undo or to go back to.
    NothingToUndo,
    /// The device's disk failed; see its log.
    Storage,
    /// The request is known, but this device does not do it.
    Unsupported,
    /// The difference begins from another bundle than the one that serves, or leads nowhere.
    OtherBase,
    /// Who asks has not said who they are: this link is for operators of the device's fleet.
    IdentityNeeded,
    /// The device was started without a root file, so it cannot tell whose packs to believe.
    NoRoot,
    /// The file is not a pack.
    NotAPack,
    /// A file of the pack has too few signatures of the keys that count.
    Unsigned {
        /// Whose signatures are missing.
        role: PackRole,
    },
    /// A file of the pack is older than one that was seen before (protection against rollback).
    RolledBack {
        /// The role of the file.
        role: PackRole,
        /// Oldest version that the device accepts.
        floor: u64,
        /// Version in the pack.
        found: u64,
    },
    /// A file of the pack has expired by the device's clock.
    Expired {
        /// The role of the file.
        role: PackRole,
    },
    /// Something else in the pack is wrong; the device's log says what.
    PackRefused,
}

/// The roles of a pack's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackRole {
    /// Says which keys count.
    Root,
    /// Says which snapshot is the newest.
    Timestamp,
    /// Says which lists belong together.
    Snapshot,
    /// Lists the bundles.
    Targets,
}

impl fmt::Display for PackRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        })
    }
}

impl WireError {
    /// What the peer should do next.
    pub const fn next(&self) -> Next {
        match self {
            Self::Malformed | Self::ChunkCorrupt => Next::Resend,
            Self::HelloFirst => Next::SayHello,
            Self::NoTransfer | Self::Incomplete | Self::DigestMismatch => Next::OfferAgain,
            Self::OtherBase => Next::SendWhole,
            Self::Busy => Next::RetryLater,
            Self::UnsupportedVersion { .. }
            | Self::NoSpace { .. }
            | Self::OlderVersion { .. }
            | Self::WrongTopology
            | Self::ChunkMisplaced
            | Self::ForeignKey
            | Self::Tampered
            | Self::Truncated
            | Self::NotABundle
            | Self::Incompatible
            | Self::TooLarge
            | Self::GoldenMismatch
            | Self::TrialFailed
            | Self::NoModel
            | Self::NothingToUndo
            | Self::Storage
            | Self::Unsupported
            | Self::IdentityNeeded
            | Self::NoRoot
            | Self::NotAPack
            | Self::Unsigned { .. }
            | Self::RolledBack { .. }
            | Self::Expired { .. }
            | Self::PackRefused => Next::TellOperator,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedVersion { oldest, newest } => write!(
                f,
                "the device speaks protocol versions {oldest} to {newest}: update the older side"
            ),
            Self::NoSpace { needed, free } => write!(
                f,
                "the bundle needs {needed} bytes and the device has {free}: free some, or make the bundle smaller"
            ),
            Self::OlderVersion { floor, offered } => write!(
                f,
                "the bundle has version {offered}, the device accepts none before {floor}: make a bundle with a higher version"
            ),
            Self::Unsigned { role } => write!(
                f,
                "the pack's {role} file has too few signatures of keys that the device believes: have their holders sign it, or see whether the device's root file is this repository's"
            ),
            Self::RolledBack { role, floor, found } => write!(
                f,
                "the pack's {role} version {found} is older than {floor}, which the device has seen: pack the repository again"
            ),
            Self::Expired { role } => write!(
                f,
                "the pack's {role} file has expired: publish and pack the repository again, or set the device's clock if it is wrong"
            ),
            other => f.write_str(other.text()),
        }
    }
}

impl WireError {
    const fn text(&self) -> &'static str {
        match self {
            Self::UnsupportedVersion { .. } => "protocol versions do not meet",
            Self::Malformed => "the device could not read the message",
            Self::HelloFirst => "the session is not open",
            Self::Busy => "the device is busy with a check or a trial: try again later",
            Self::NoSpace { .. } => "not enough room on the device",
            Self::OlderVersion { .. } => "the bundle is older than one that was confirmed",
            Self::WrongTopology => {
                "the bundle is for another skeleton standard than the device's pose source"
            }
            Self::NoTransfer => "the device knows of no such transfer",
            Self::ChunkMisplaced => "a chunk lies outside the bundle",
            Self::ChunkCorrupt => "a chunk arrived corrupt",
            Self::Incomplete => "chunks are missing",
            Self::DigestMismatch => "the received file is not the offered one",
            Self::ForeignKey => {
                "the bundle is not signed by a key that the device trusts: sign it with one, or start the device with --trust"
            }
            Self::Tampered => {
                "the bundle's content does not match its signed manifest: get it again"
            }
            Self::Truncated => "the bundle ends too early: get it again",
            Self::NotABundle => "the file is not a bundle",
            Self::Incompatible => {
                "the bundle needs another engine or preprocessing than the device has: update the device's software"
            }
            Self::TooLarge => "the bundle is larger than the device can hold",
            Self::GoldenMismatch => {
                "the device's encoder does not reproduce the bundle's golden windows: update the device's software"
            }
            Self::TrialFailed => "the trial failed and the device rolled back",
            Self::NoModel => "nothing is installed on the device: deploy a bundle first",
            Self::NothingToUndo => "there is nothing to go back to",
            Self::Storage => "the device's disk failed: see the device's log",
            Self::Unsupported => "the device does not do this",
            Self::OtherBase => {
                "the device serves another bundle than the difference begins from: send the whole bundle"
            }
            Self::IdentityNeeded => {
                "the device talks to operators of its fleet only: name the link with your identity, tls:IDENTITY@..."
            }
            Self::NoRoot => {
                "the device was started without a root file and believes no pack: start it with `tendon-edge run --root 1.root.json`, or deploy the bundle itself"
            }
            Self::NotAPack => "the file is no pack: make one with `tendon repo pack`",
            Self::Unsigned { .. } => "the pack has too few signatures",
            Self::RolledBack { .. } => "the pack is older than one that was seen",
            Self::Expired { .. } => "the pack has expired",
            Self::PackRefused => {
                "the pack is damaged or inconsistent; the device's log says what is wrong: pack the repository again"
            }
        }
    }
}

impl core::error::Error for WireError {}
