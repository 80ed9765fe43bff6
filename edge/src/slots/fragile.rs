//! A storage in memory whose n-th write fails half done, like a power cut; only for tests.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::storage::Storage;

#[derive(Debug, Default)]
struct State {
    durable: HashMap<String, Vec<u8>>,
    cached: HashMap<String, Vec<u8>>,
    writes_left: Option<usize>,
    /// Whether what fails only fails: the power stays.
    full: bool,
    writes: usize,
}

/// Files in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fragile(Arc<Mutex<State>>);

impl Fragile {
    /// Lets `writes` more writes succeed, then cuts the power in the middle of the next.
    pub(crate) fn cut_after(&self, writes: usize) {
        self.0.lock().unwrap().writes_left = Some(writes);
    }

    /// Lets `writes` more writes succeed; then the disk is full until [`Self::restart`].
    pub(crate) fn fill_after(&self, writes: usize) {
        let state = &mut *self.0.lock().unwrap();
        (state.writes_left, state.full) = (Some(writes), true);
    }

    /// Turns a bit of a byte of a file.
    pub(crate) fn rot(&self, name: &str, at: usize) {
        let state = &mut *self.0.lock().unwrap();
        for files in [&mut state.durable, &mut state.cached] {
            files.get_mut(name).unwrap()[at] ^= 4;
        }
    }

    /// Names and lengths of all files.
    pub(crate) fn files(&self) -> Vec<(String, usize)> {
        let state = self.0.lock().unwrap();
        let files = state.durable.iter();
        files
            .map(|(name, bytes)| (name.clone(), bytes.len()))
            .collect()
    }

    /// Power is back: what was not durable is gone. Or the disk has room again.
    pub(crate) fn restart(&self) {
        let state = &mut *self.0.lock().unwrap();
        state.writes_left = None;
        if !std::mem::take(&mut state.full) {
            state.cached = state.durable.clone();
        }
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    /// Runs `whole`, or `torn` when the power goes during this write, or nothing when it is gone.
    fn write(
        &self,
        whole: impl FnOnce(&mut State),
        torn: impl FnOnce(&mut State),
    ) -> io::Result<()> {
        let state = &mut *self.0.lock().unwrap();
        let cut = || Err(io::Error::other("power cut"));
        match state.writes_left {
            Some(usize::MAX) => return cut(),
            Some(0) => {
                if !state.full {
                    torn(state);
                }
                state.writes_left = Some(usize::MAX);
                return cut();
            }
            Some(left) => state.writes_left = Some(left - 1),
            None => {}
        }
        state.writes += 1;
        whole(state);
        Ok(())
    }
}

fn put(file: &mut Vec<u8>, offset: usize, content: &[u8]) {
    file.resize(file.len().max(offset + content.len()), 0);
    file[offset..offset + content.len()].copy_from_slice(content);
}

impl Storage for Fragile {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().cached.get(name).cloned())
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.0.lock().unwrap();
        let file = state.cached.get(name).ok_or(io::ErrorKind::NotFound)?;
        let rest = file.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    /// Worse than a disk: a cut leaves half of the new content in place of the old.
    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let put = |state: &mut State, content: &[u8]| {
            state.durable.insert(name.into(), content.into());
            state.cached.insert(name.into(), content.into());
        };
        self.write(
            |state| put(state, content),
            |state| put(state, &content[..content.len() / 2]),
        )
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.write(
            |state| {
                state.durable.insert(name.into(), Vec::new());
                state.cached.insert(name.into(), Vec::new());
            },
            |state| {
                state.durable.remove(name);
            },
        )
    }

    fn write_at(&mut self, name: &str, offset: u64, content: &[u8]) -> io::Result<()> {
        self.write(
            |state| {
                put(
                    state.cached.get_mut(name).unwrap(),
                    offset as usize,
                    content,
                )
            },
            |state| {
                put(
                    state.durable.entry(name.into()).or_default(),
                    offset as usize,
                    &content[..content.len() / 2],
                )
            },
        )
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let cached = self.read(name)?.unwrap_or_default();
        let half = cached.len() / 2;
        self.write(
            |state| {
                state.durable.insert(name.into(), cached.clone());
            },
            |state| {
                put(
                    state.durable.entry(name.into()).or_default(),
                    0,
                    &cached[..half],
                )
            },
        )
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 30)
    }
}
