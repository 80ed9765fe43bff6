//! A replaying process that adapts all the time, on a folder with a small random bundle.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test file uses what it needs"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use tendon_bundle::testing::{Numbers, random_bundle, secret_key};

/// Windows that are enough for some updates.
pub const TRACKS: u64 = 120;

/// Puts a bundle and its key into `folder`.
pub fn bundle(folder: &Path, seed: u64) {
    let key = secret_key(1);
    std::fs::write(folder.join("model.tendon"), random_bundle(&key, 1, seed)).unwrap();
    std::fs::write(folder.join("key.pub"), key.public().to_text()).unwrap();
}

/// Pose lines of short tracks, from `first` on; every track is another movement.
pub fn lines(first: u64) -> Vec<String> {
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

pub fn spawn(folder: &Path) -> Child {
    // Everything may teach, so that many updates are made in little time.
    let settings = [
        "adapt.gate.threshold=0.0",
        "adapt.student.skip_agreement=2.0",
        "adapt.steps=1",
        "adapt.guard.enabled=false",
        "adapt.min_interval_s=0",
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
pub fn journal(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("state/adapt.jsonl")).unwrap_or_default();
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    records
        .filter_map(|record| record["update"].as_u64())
        .collect()
}
