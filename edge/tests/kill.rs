//! `kill -9` while the real process adapts: what it had learnt is there afterwards, and it goes on learning.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{TRACKS, bundle, journal, lines, spawn};
use std::io::Write as _;
use std::path::Path;

/// Feeds tracks until the journal holds `updates` updates in all, then kills the process at once.
fn feed_and_kill(folder: &Path, first: u64, updates: usize) {
    let mut child = spawn(folder);
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for line in lines(first) {
            // The kill breaks the pipe.
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
        // Keeps the stream open, so that the process never ends by itself.
        std::thread::park();
    });
    while journal(folder).len() < updates {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the process ended before it was killed"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    feeder.thread().unpark();
    feeder.join().unwrap();
}

#[test]
fn adaptation_goes_on_after_every_kill() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    bundle(folder, 11);
    let mut made = 0;
    for round in 0..4 {
        // The journal's line is written before the state, so a kill right after it falls into or before the saving.
        feed_and_kill(folder, round * TRACKS, made + 2);
        let updates = journal(folder);
        // A kill may cost the update that was being stored, never an older one, and numbers never jump.
        for pair in updates.windows(2) {
            assert!(pair[1] == pair[0] + 1 || pair[1] == pair[0], "{updates:?}");
        }
        made = updates.len();
    }
    let mut child = spawn(folder);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines(9_000).concat().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "a torn state: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let updates = journal(folder);
    assert!(
        updates.len() > made && updates.last() > Some(&8),
        "{updates:?}"
    );
}
