//! A device, and a store that fails.

use std::collections::BTreeMap;
use std::io;
use tendon_trust::TrustError;
use tendon_trust::client::{Client, Clock, Limits, Trusted};
use tendon_trust::floors::{Floors, Keeper};
use tendon_trust::keys::Ed25519;
use tendon_trust::source::Source;
use tendon_trust::store::Store;
use tendon_trust::testing::NOW;

/// Refreshes with the clock at [`NOW`].
pub(crate) fn refresh(
    store: &mut dyn Store,
    source: &mut dyn Source,
    root: &[u8],
) -> Result<Trusted, TrustError> {
    refresh_at(store, source, root, Clock::Set(NOW))
}

/// Refreshes.
pub(crate) fn refresh_at(
    store: &mut dyn Store,
    source: &mut dyn Source,
    root: &[u8],
    clock: Clock,
) -> Result<Trusted, TrustError> {
    let keeper = Keeper::open(store)?;
    Client::new(keeper, source, &Ed25519, Limits::default(), clock).refresh(root)
}

/// The floors in a store.
pub(crate) fn floors(store: &mut dyn Store) -> Floors {
    Keeper::open(store).unwrap().floors().clone()
}

/// A store whose n-th write leaves half of the new content in place of the old, like no good disk would.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragile {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) writes: usize,
    /// Writes that still succeed; no end when none.
    pub(crate) left: Option<usize>,
}

impl Fragile {
    /// The power is back.
    pub(crate) fn restart(&mut self) {
        self.left = None;
    }

    fn write(&mut self, name: &str, whole: Option<&[u8]>) -> io::Result<()> {
        let content = match self.left {
            Some(usize::MAX) => return Err(io::Error::other("power cut")),
            Some(0) => whole.map(|content| &content[..content.len() / 2]),
            _ => whole,
        };
        match content {
            Some(content) => self.files.insert(name.to_owned(), content.to_owned()),
            None => self.files.remove(name),
        };
        match self.left {
            Some(0) => {
                self.left = Some(usize::MAX);
                return Err(io::Error::other("power cut"));
            }
            Some(left) => self.left = Some(left - 1),
            None => {}
        }
        self.writes += 1;
        Ok(())
    }
}

impl Store for Fragile {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(name).cloned())
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.write(name, Some(content))
    }

    fn discard(&mut self, name: &str) -> io::Result<()> {
        self.write(name, None)
    }
}
