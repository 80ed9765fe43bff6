//! The lowest versions that are still accepted, in a record that no power cut loses.
//!
//! Trusted metadata on disk says what was seen before, but a torn file says nothing, and a client that starts from nothing
//! accepts any old repository. So each version is recorded as a floor before its file is written. A floor falls in one
//! case: a newer root, signed by the offline keys, has taken a key away from the role. That is how TUF recovers from a stolen
//! online key that has signed versions far ahead.

use crate::error::TrustError;
use crate::metadata::{Role, Root};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use tendon_files::twofold;

/// First byte of a copy of the record.
const FORMAT: u8 = 1;
/// Names of both copies.
const COPIES: [&str; 2] = ["floors.0", "floors.1"];
/// Bytes of the longest record.
const MAX_RECORD: usize = 2048;
/// Keys of a role that are remembered. One more than this, and every change of the keys counts as taking one away.
const MAX_REMEMBERED: usize = 32;

/// Beginning of the digest of a key.
type KeyMark = [u8; 8];

/// The lowest versions that are still accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// Of the root file.
    pub root: u64,
    /// Of the timestamp file.
    pub timestamp: u64,
    /// Of the snapshot file.
    pub snapshot: u64,
    /// Of the list of targets.
    pub targets: u64,
    /// Of the model in a bundle: the highest that was ever confirmed.
    pub bundle: u64,
    /// The keys under which the timestamp floor was set.
    timestamp_keys: Vec<KeyMark>,
    /// The keys under which the floors of snapshot and targets were set.
    snapshot_keys: Vec<KeyMark>,
}

impl Floors {
    /// The floor of a role.
    #[must_use]
    pub const fn of(&self, role: Role) -> u64 {
        match role {
            Role::Root => self.root,
            Role::Timestamp => self.timestamp,
            Role::Snapshot => self.snapshot,
            Role::Targets => self.targets,
        }
    }

    const fn of_mut(&mut self, role: Role) -> &mut u64 {
        match role {
            Role::Root => &mut self.root,
            Role::Timestamp => &mut self.timestamp,
            Role::Snapshot => &mut self.snapshot,
            Role::Targets => &mut self.targets,
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The floors and the trusted files, which change together.
pub struct Keeper<'a> {
    store: &'a mut dyn Store,
    floors: Floors,
    sequence: u64,
}

impl<'a> Keeper<'a> {
    /// Reads the record. A store without one has floors of nothing.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(store: &'a mut dyn Store) -> io::Result<Self> {
        let (floors, sequence) = load(store)?;
        Ok(Self {
            store,
            floors,
            sequence,
        })
    }

    /// The floors.
    #[must_use]
    pub const fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Refuses a version below the role's floor.
    ///
    /// # Errors
    /// [`TrustError::RolledBack`].
    pub fn check(&self, role: Role, found: u64) -> Result<(), TrustError> {
        let floor = self.floors.of(role);
        if found < floor {
            return Err(TrustError::RolledBack { role, floor, found });
        }
        Ok(())
    }

    /// Trusts a file of a role from now on: raises the floor, then stores the file.
    ///
    /// # Errors
    /// [`TrustError::RolledBack`] and the disk's.
    pub(crate) fn accept(
        &mut self,
        role: Role,
        version: u64,
        bytes: &[u8],
    ) -> Result<(), TrustError> {
        self.check(role, version)?;
        self.change(|floors| *floors.of_mut(role) = version)?;
        Ok(self.store.replace(role.file(), bytes)?)
    }

    /// Stores a file that has no floor of its own: a delegated role's, for which the snapshot vouches.
    pub(crate) fn keep(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.store.replace(file, bytes)
    }

    /// A trusted file as it was stored; none when it is not there.
    pub(crate) fn read(&self, file: &str) -> io::Result<Option<Vec<u8>>> {
        self.store.read(file)
    }

    /// Lets the floors of online roles fall if `root` has taken a key away from them, and remembers the keys it states.
    pub(crate) fn recover(&mut self, root: &Root) -> io::Result<()> {
        let timestamp = marks(root, Role::Timestamp);
        let snapshot = marks(root, Role::Snapshot);
        if timestamp == self.floors.timestamp_keys && snapshot == self.floors.snapshot_keys {
            return Ok(());
        }
        let taken = |before: &[KeyMark], now: &[KeyMark]| {
            let full = before.len() >= MAX_REMEMBERED;
            full || before.iter().any(|key| !now.contains(key))
        };
        let timestamp_taken = taken(&self.floors.timestamp_keys, &timestamp);
        let snapshot_taken = taken(&self.floors.snapshot_keys, &snapshot);
        // Files first: while the record has the old keys, this is done again after a power cut.
        if timestamp_taken || snapshot_taken {
            self.store.discard(Role::Timestamp.file())?;
            self.store.discard(Role::Snapshot.file())?;
        }
        self.change(|floors| {
            if timestamp_taken {
                floors.timestamp = 0;
            }
            if snapshot_taken {
                floors.snapshot = 0;
                floors.targets = 0;
            }
            floors.timestamp_keys = timestamp;
            floors.snapshot_keys = snapshot;
        })
    }

    /// Raises the floor of bundles; never lowers it.
    ///
    /// # Errors
    /// The disk's.
    pub fn raise_bundle(&mut self, model: u64) -> io::Result<()> {
        self.change(|floors| floors.bundle = floors.bundle.max(model))
    }

    /// Reads the record again: what is on disk must be what was stored.
    ///
    /// # Errors
    /// [`TrustError::FloorLost`] and the disk's.
    pub fn audit(&self) -> Result<(), TrustError> {
        let (stored, _) = load(self.store)?;
        for role in Role::ALL {
            let expected = self.floors.of(role);
            if stored.of(role) < expected {
                return Err(TrustError::FloorLost { role, expected });
            }
        }
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut Floors)) -> io::Result<()> {
        let mut next = self.floors.clone();
        change(&mut next);
        if next == self.floors {
            return Ok(());
        }
        let sequence = self.sequence + 1;
        let mut buffer = vec![0; MAX_RECORD];
        let content = postcard::to_slice(&next, &mut buffer).map_err(io::Error::other)?;
        self.store.replace(
            COPIES[twofold::turn(sequence)],
            &twofold::seal(FORMAT, sequence, content),
        )?;
        (self.floors, self.sequence) = (next, sequence);
        Ok(())
    }
}

fn load(store: &dyn Store) -> io::Result<(Floors, u64)> {
    let [first, second] = COPIES.map(|name| store.read(name));
    let (first, second) = (first?, second?);
    let newest = twofold::newest(FORMAT, [first.as_deref(), second.as_deref()]);
    Ok(newest
        .and_then(|copy| Some((Floors::decode(&copy.content)?, copy.sequence)))
        .unwrap_or_default())
}

fn marks(root: &Root, role: Role) -> Vec<KeyMark> {
    let publics = root.quorum(role).publics(&root.ring);
    let mut marks: Vec<KeyMark> = publics
        .map(|public| {
            let digest = Sha256::digest(public);
            std::array::from_fn(|index| digest[index])
        })
        .collect();
    marks.sort_unstable();
    marks.dedup();
    marks.truncate(MAX_REMEMBERED);
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    use proptest::prelude::*;

    #[test]
    fn floors_survive_and_a_torn_copy_costs_nothing_older() {
        let mut store = Memory::default();
        for version in 1..=3 {
            let mut keeper = Keeper::open(&mut store).unwrap();
            keeper.accept(Role::Timestamp, version, b"{}").unwrap();
        }
        let newest = twofold::turn(3);
        store.replace(COPIES[newest], b"torn").unwrap();
        let keeper = Keeper::open(&mut store).unwrap();
        // The write that was torn never returned, so its version was never trusted.
        assert_eq!(keeper.floors().timestamp, 2);
        assert!(matches!(
            keeper.check(Role::Timestamp, 1),
            Err(TrustError::RolledBack {
                role: Role::Timestamp,
                floor: 2,
                found: 1
            })
        ));
    }

    #[test]
    fn a_disk_that_forgets_is_noticed() {
        let mut store = Memory::default();
        let before = store.clone();
        let mut keeper = Keeper::open(&mut store).unwrap();
        keeper.accept(Role::Snapshot, 9, b"{}").unwrap();
        keeper.audit().unwrap();
        for name in COPIES {
            keeper.store.discard(name).unwrap();
        }
        assert!(matches!(
            keeper.audit(),
            Err(TrustError::FloorLost {
                role: Role::Snapshot,
                expected: 9
            })
        ));
        assert_eq!(before.read(COPIES[1]).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_record_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Floors::decode(&bytes);
            let mut store = Memory::default();
            store.replace(COPIES[0], &twofold::seal(FORMAT, 3, &bytes)).unwrap();
            store.replace(COPIES[1], &bytes).unwrap();
            let _ = Keeper::open(&mut store).unwrap();
        }
    }
}
