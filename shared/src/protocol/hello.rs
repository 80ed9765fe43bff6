//! The handshake: which protocol version, which device, what it runs and how much room it has.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::topology::TopologyId;

/// Longest device id, in bytes.
pub const DEVICE_ID_BYTES: usize = 32;

/// Longest software version, in bytes.
pub const SOFTWARE_BYTES: usize = 24;

/// The protocol versions that one side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// Oldest version.
    pub oldest: u8,
    /// Newest version.
    pub newest: u8,
}

impl VersionRange {
    /// What this code speaks.
    pub const OURS: Self = Self {
        oldest: super::OLDEST_VERSION,
        newest: super::VERSION,
    };

    /// The newest version that both sides speak.
    pub fn agree(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// Opens a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The versions that the host speaks.
    pub versions: VersionRange,
    /// The host's software version, for the device's log.
    pub software: String<SOFTWARE_BYTES>,
}

/// Answers [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that the rest of the session uses.
    pub version: u8,
    /// Who the device is; stays the same for its life.
    pub device: String<DEVICE_ID_BYTES>,
    /// The device's software version.
    pub software: String<SOFTWARE_BYTES>,
    /// Version of the bundle that serves; none when nothing is installed.
    pub model: Option<u64>,
    /// Skeleton standard that the device's pose source delivers; none when any will do.
    pub topology: Option<TopologyId>,
    /// Bytes free for a bundle.
    pub free_bytes: u64,
    /// How many chunks may be under way without an answer.
    pub chunks_ahead: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_on_the_newest_common_version() {
        let range = |oldest, newest| VersionRange { oldest, newest };
        assert_eq!(range(1, 3).agree(range(2, 5)), Some(3));
        assert_eq!(range(4, 5).agree(range(1, 9)), Some(5));
        assert_eq!(range(1, 2).agree(range(3, 4)), None);
    }
}
