//! `kill -9` while the real process adapts: what it had learnt is there afterwards, and it goes on learning.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tendon_bundle::testing::{Numbers, random_bundle, secret_key};

/// Windows that are enough for some updates.
const TRACKS: u64 = 120;

/// Pose lines of short tracks, from `first` on; every track is another movement.
fn lines(first: u64) -> Vec<String> {
    (first..first + TRACKS)
        .map(|track| {
            let mut numbers = Numbers::new(track);
            let mut joints = [[0.0_f32; 3]; 20];
            let mut text = String::new();
            for joint in &mut joints {
                *joint = [numbers.unit(), numbers.unit(), 2.0 + numbers.unit()];
            }
            for frame in 0..12 {
                let moved: Vec<String> = joints
                    .iter_mut()
                    .map(|[x, y, z]| {
                        *x += 0.1 * numbers.unit();
                        format!("[{x},{y},{z}]")
                    })
                    .collect();
                let time = track * 2_000 + frame * 33;
                text += &format!(
                    "{{\"t\":{time},\"track\":{track},\"joints\":[{}]}}\n",
                    moved.join(",")
                );
            }
            text + &format!(
                "{{\"end\":{track},\"t\":{},\"label\":0}}\n",
                track * 2_000 + 400
            )
        })
        .collect()
}

fn spawn(folder: &Path) -> Child {
    // Everything may teach, so that many updates are made in little time.
    let settings = [
        "adapt.gate.threshold=0.0",
        "adapt.gate.floor=0.0",
        "adapt.student.skip_agreement=2.0",
        "adapt.steps=1",
        "adapt.guard.enabled=false",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tendon-edge"));
    command
        .arg("replay")
        .args(["--input", "-", "--bundle"])
        .arg(folder.join("model.tendon"));
    command
        .arg("--trust")
        .arg(folder.join("key.pub"))
        .arg("--state")
        .arg(folder.join("state"));
    settings.iter().for_each(|setting| {
        command.args(["--set", setting]);
    });
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Numbers of the updates in the journal; a last line cut short does not count.
fn journal(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("state/adapt.jsonl")).unwrap_or_default();
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    records
        .filter_map(|record| record["update"].as_u64())
        .collect()
}

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
    let key = secret_key(1);
    std::fs::write(folder.join("model.tendon"), random_bundle(&key, 1, 11)).unwrap();
    std::fs::write(folder.join("key.pub"), key.public().to_text()).unwrap();
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
