//! `kill -9` at random moments while the agent adapts: the stored state is always one that was committed.
//!
//! `TENDON_KILLS=200` makes the long run.

use serde_json::Value;
use std::process::Command;
use tendon_bundle::testing::Numbers;

use super::deploy::deploy;
use super::support::bundles::{bundle, tracks};
use super::support::edge::{Edge, Home};
use super::support::program;

/// Restarts without the variable.
const KILLS: u64 = 20;

/// Everything may teach, so that updates follow one another.
const EAGER: [&str; 8] = [
    "adapt.gate.threshold=0.0",
    "adapt.gate.novelty=0.0",
    "adapt.gate.max_leap=1000.0",
    "adapt.student.skip_agreement=2.0",
    "adapt.steps=1",
    "adapt.min_interval_s=0",
    "adapt.guard.enabled=false",
    "adapt.keep_updates=3",
];

fn start(home: &Home) -> Edge {
    let settings: Vec<&str> = EAGER.iter().flat_map(|value| ["--set", *value]).collect();
    home.start(&settings)
}

/// What `tendon-edge state show` reads; it verifies everything it reads.
fn stored(home: &Home) -> Value {
    let output = Command::new(program("tendon-edge"))
        .args(["state", "show", "--json", "--state"])
        .arg(home.data())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_kill_at_any_moment_leaves_a_committed_state() {
    let kills = std::env::var("TENDON_KILLS").map_or(KILLS, |count| count.parse().unwrap());
    let home = Home::new();
    let mut edge = start(&home);
    deploy(&edge, &bundle(1)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    let mut track = 4;
    let mut numbers = Numbers::new(7);
    let (mut updates, mut base) = (0, Value::Null);
    for round in 0..kills {
        // Some rounds end while windows come, some while an update is stored.
        let windows = numbers.below(60);
        for _ in 0..windows {
            edge.send_poses(&tracks(track, 1));
            track += 1;
            edge.wait_for(|line| line["event"] == "recognition");
        }
        if round % 3 == 0 {
            edge.send_poses(&tracks(track, 20));
            track += 20;
            edge.wait_for(|line| line["event"] == "adapt");
        }
        for _ in 0..numbers.below(100_000) {
            std::hint::spin_loop();
        }
        edge.kill();
        let state = stored(&home);
        let made = state["total_updates"].as_u64().unwrap();
        assert!(made >= updates, "round {round}: {made} after {updates}");
        assert!(state["kept"].as_array().unwrap().len() <= 3, "{state}");
        assert!(base.is_null() || base == state["bundle"], "{state}");
        (updates, base) = (made, state["bundle"].clone());
        let damaged = std::fs::read_dir(home.data().join("adapt")).unwrap();
        for entry in damaged.flatten() {
            assert!(entry.path().extension().is_none_or(|end| end != "damaged"));
        }
        edge = start(&home);
    }
    assert!(updates > kills / 4, "{updates} updates in {kills} rounds");
}

/// Runs `tendon-edge` on the data folder of a home: whether it went well, and what it said.
fn tool(home: &Home, args: &[&str], folder: &str) -> (bool, String) {
    let output = Command::new(program("tendon-edge"))
        .args(args)
        .arg(folder)
        .arg(home.data())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_person_names_a_window_of_a_running_agent() {
    let home = Home::new();
    let mut edge = start(&home);
    deploy(&edge, &bundle(1)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    edge.send_poses(&tracks(4, 1));
    let found = edge.wait_for(|line| line["event"] == "recognition" && line["track"] == 4);
    let (window, name) = (
        found["window"].as_u64().unwrap().to_string(),
        found["name"].as_str().unwrap().to_owned(),
    );
    let (good, said) = tool(&home, &["label", &window, &name], "--state");
    assert!(good && said.contains("persons named 1"), "{said}");
    let (good, said) = tool(&home, &["label", &window, "no such class"], "--state");
    assert!(!good && said.contains(&name), "{said}");
    let (good, said) = tool(&home, &["label", "999999", &name], "--state");
    assert!(!good && said.contains("can, as far as"), "{said}");
    let (good, said) = tool(&home, &["status"], "--data-dir");
    assert!(good && said.contains("can be named; 1 were"), "{said}");
    // The agent has the folder: nobody else may write there.
    let (good, said) = tool(&home, &["state", "reset"], "--state");
    assert!(!good && said.contains("another tendon-edge uses"), "{said}");
    edge.terminate();
    let state = stored(&home);
    assert_eq!(state["memory"][&name]["named"], 1, "{state}");
    let (good, said) = tool(&home, &["label", &window, &name], "--state");
    assert!(!good && said.contains("no agent runs"), "{said}");
}
