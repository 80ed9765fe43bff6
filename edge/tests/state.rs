//! `tendon-edge state`: what was learnt is shown, carried elsewhere, undone, and never mixed up with another bundle's.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{bundle, lines, spawn};
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// A folder in which a bundle of `seed` has adapted for a while.
fn adapted(seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    bundle(dir.path(), seed);
    let mut child = spawn(dir.path());
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(lines(seed * 1_000).concat().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    dir
}

fn state(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tendon-edge"))
        .args(["state", "--state"])
        .arg(folder.join("state"))
        .args(args)
        .output()
        .unwrap()
}

fn good(folder: &Path, args: &[&str]) -> String {
    let output = state(folder, args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(folder: &Path, args: &[&str]) -> String {
    let before = std::fs::read(folder.join("state/adapt.state")).unwrap();
    let output = state(folder, args);
    assert!(!output.status.success(), "{output:?}");
    let after = std::fs::read(folder.join("state/adapt.state")).unwrap();
    assert!(before == after, "a refusal changed something");
    String::from_utf8(output.stderr).unwrap()
}

fn shown(folder: &Path) -> Value {
    serde_json::from_str(&good(folder, &["show", "--json"])).unwrap()
}

#[test]
fn updates_are_explained_and_undone_one_by_one() {
    let home = adapted(1);
    let folder = home.path();
    let before = shown(folder);
    let updates = before["total_updates"].as_u64().unwrap();
    assert!(updates >= 4, "{before}");
    let text = good(folder, &["show", "--why", &updates.to_string()]);
    assert!(text.contains("sure") && text.contains("guard:"), "{text}");
    assert!(refusal(folder, &["show", "--why", "9999"]).contains("no update 9999"));

    good(folder, &["undo"]);
    let once = shown(folder);
    assert_eq!(once["updates"].as_u64(), Some(updates - 1));
    assert_eq!(once["total_updates"].as_u64(), Some(updates));
    assert!(refusal(folder, &["undo", "--to", "9999"]).contains("kept are 0"));
    let oldest = once["kept"][1].as_u64().unwrap();
    good(folder, &["undo", "--to", &oldest.to_string()]);
    assert_eq!(shown(folder)["updates"].as_u64(), Some(oldest));
    let text = good(folder, &["show"]);
    assert!(text.contains("a person went back"), "{text}");
    good(folder, &["reset"]);
    let end = shown(folder);
    assert_eq!(end["updates"].as_u64(), Some(0));
    assert_eq!(end["total_updates"].as_u64(), Some(updates));
    assert!(end["memory"].as_object().unwrap().is_empty());
}

#[test]
fn an_export_comes_back_whole_and_only_to_its_own_bundle() {
    let (home, other) = (adapted(1), adapted(2));
    let folder = home.path();
    let file = folder.join("export");
    let path = file.to_str().unwrap();
    good(folder, &["export", path]);
    assert!(refusal(folder, &["export", path]).contains("is there already"));
    let exported = shown(folder);
    good(folder, &["reset"]);
    good(folder, &["import", path]);
    assert_eq!(shown(folder)["memory"], exported["memory"]);
    assert_eq!(shown(folder)["kept"], exported["kept"]);

    let bundles = [&exported, &shown(other.path())].map(|shown| shown["bundle"].clone());
    let refused = refusal(other.path(), &["import", path]);
    for bundle in bundles {
        assert!(refused.contains(bundle.as_str().unwrap()), "{refused}");
    }
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert!(refusal(folder, &["import", path]).contains("checksum"));
    std::fs::write(&file, &bytes[..middle]).unwrap();
    assert!(refusal(folder, &["import", path]).contains("checksum"));
}

#[test]
fn nothing_is_touched_while_an_agent_holds_the_folder() {
    let home = adapted(1);
    let agent = File::create(home.path().join("state/lock")).unwrap();
    agent.lock().unwrap();
    for action in [&["undo"][..], &["reset"], &["show"]] {
        let refused = refusal(home.path(), action);
        assert!(refused.contains("another tendon-edge uses"), "{refused}");
    }
    drop(agent);
    good(home.path(), &["undo"]);
}
