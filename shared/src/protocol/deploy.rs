//! Shipping a bundle in chunks: offer, chunks in any order, finish, status.
//!
//! The device says in every answer what it has ([`Progress`]), so that a host that lost its link, or its memory, goes on where
//! the device is. What the manifest promises is only believed after the whole file's signature was verified; the fields of
//! [`Offer`] let a device refuse early what it would refuse anyway.

use serde::{Deserialize, Serialize};

use super::error::WireError;
use crate::topology::TopologyId;

/// Bytes of a full chunk; only a bundle's last one is shorter. Chunk `n` starts at byte `n * CHUNK_BYTES`.
pub const CHUNK_BYTES: usize = 1024;

/// How many chunks beyond the first missing one a device keeps track of.
pub const CHUNKS_AHEAD: u8 = 32;

/// SHA-256 of a whole bundle file.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl core::fmt::Debug for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::fmt::Display for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Announces a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// SHA-256 of the file; names the transfer.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub size: u32,
    /// Model version that the manifest claims.
    pub model: u64,
    /// Skeleton standard that the manifest claims.
    pub topology: TopologyId,
}

/// Announces the difference between the bundle that serves and another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaOffer {
    /// The bundle that the difference leads to; its digest names the transfer.
    pub target: Offer,
    /// SHA-256 of the bundle file that the difference begins from.
    pub base: Digest,
    /// SHA-256 of the delta file, whose chunks are sent.
    pub digest: Digest,
    /// Length of the delta file in bytes.
    pub size: u32,
}

/// Announces a pack: a repository of bundles in one file, of which the device chooses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackOffer {
    /// SHA-256 of the file; names the transfer.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub size: u32,
}

/// A piece of the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk<'a> {
    /// Where the piece starts, in bytes; a multiple of [`CHUNK_BYTES`].
    pub offset: u32,
    /// CRC-32 of `data`: guards the way from the packet to the disk.
    pub crc: u32,
    /// The bytes.
    #[serde(borrow)]
    pub data: &'a [u8],
}

/// What a device has of the offered bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Everything before this byte is there.
    pub next: u32,
    /// Bit `i`: the chunk at `next + (i + 1) * CHUNK_BYTES` is there too.
    pub ahead: u32,
}

impl Progress {
    /// Whether the chunk that starts at byte `offset` is there.
    pub fn has(&self, offset: u32) -> bool {
        let Some(beyond) = offset.checked_sub(self.next) else {
            return true;
        };
        match (beyond / CHUNK_BYTES as u32).checked_sub(1) {
            None => false,
            Some(bit) => bit < u32::from(CHUNKS_AHEAD) && self.ahead >> bit & 1 == 1,
        }
    }
}

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstallStatus {
    /// Nothing was offered since the device started.
    Idle,
    /// Chunks are arriving.
    Receiving(Progress),
    /// The file is complete; its digest, signature and golden windows are being checked.
    Verifying,
    /// The bundle serves on trial.
    Trial {
        /// Its model version.
        model: u64,
        /// Windows that went well so far.
        healthy: u32,
        /// Windows that must go well until it is confirmed.
        needed: u32,
    },
    /// The bundle is confirmed and serves.
    Confirmed {
        /// Its model version.
        model: u64,
    },
    /// The bundle was refused or its trial failed; what served before serves.
    Rejected(WireError),
    /// A pack is believed, and nothing of it was installed; what served before serves.
    Kept(Kept),
}

/// Why nothing of a believed pack was installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// It offers nothing for the device's skeleton standard and software.
    NothingOffered,
    /// What it offers serves already, or is older than what was confirmed.
    NothingNewer {
        /// Model version that is offered.
        offered: u64,
        /// Lowest that is taken.
        floor: u64,
    },
    /// The bundle is good, but the device's clock is not set, so nobody knows whether the pack has expired. The device keeps the pack.
    ClockUnset {
        /// The bundle's model version.
        model: u64,
    },
}

impl core::fmt::Display for Kept {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NothingOffered => {
                f.write_str("the pack is good and offers nothing for this device")
            }
            Self::NothingNewer { offered, floor } => write!(
                f,
                "nothing newer: the pack offers model version {offered}, the device has confirmed {floor}"
            ),
            Self::ClockUnset { model } => write!(
                f,
                "model version {model} is good but was not installed: the device's clock is not set; set it and deploy the pack again, which need not be sent again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_knows_what_is_there() {
        let progress = Progress {
            next: 2048,
            ahead: 0b101,
        };
        let there: [bool; 6] = [0, 1024, 2048, 3072, 4096, 5120].map(|offset| progress.has(offset));
        assert_eq!(there, [true, true, false, true, false, true]);
        assert!(!progress.has(2048 + 1024 * 40));
    }
}
