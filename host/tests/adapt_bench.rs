//! `tendon adapt-bench` as its user sees it: from generated recordings to tables, and what is left when it is killed.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

#[path = "support/classifier.rs"]
mod classifier;
#[path = "support/shrink.rs"]
mod shrink;
mod support;

use classifier::{SPLIT, classifier};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{check, files};

/// A set, a classifier and a bundle, made as users make theirs.
fn prepare(folder: &Path) {
    classifier(folder);
    check(folder, &["keygen", "-o", "key"], true, &[]);
    let line = "bundle --classifier ft/classifier.safetensors --data set.safetensors --key key --model-version 1 --created 1 -o a.tendon";
    let mut words: Vec<&str> = line.split(' ').collect();
    words.extend(["--split", SPLIT]);
    check(folder, &words, true, &[]);
    fs::write(folder.join("plan.toml"), PLAN).unwrap();
}

const PLAN: &str = r#"
    seeds = [0]
    source_windows = 8
    [[source]]
    name = "a"
    bundle = "a.tendon"
    classifier = "ft/classifier.safetensors"
    data = "set.safetensors"
    split = "subjects=1,2;cameras=1 / cameras=2"
    [[domain]]
    name = "camera"
    sources = ["a"]
    data = "set.safetensors"
    windows = "cameras=2"
    shift = { tilt_degrees = 20.0, noise_metres = 0.01, keep = 2 }
    [[domain]]
    name = "others"
    sources = ["a"]
    data = "set.safetensors"
    windows = "cameras=1;subjects=3"
    classes = { "CLASS-0" = "CLASS-0", "CLASS-1" = "CLASS-1" }
    unknown = true
    [[stream]]
    name = "recurring"
    order = "recurring"
    idle_passes = 1
    [[method]]
    name = "none"
    kind = "none"
    [[method]]
    name = "ours"
    kind = "ours"
    set = { gate.threshold = 0.0, student.skip_agreement = 2.0, steps = 1 }
    [[method]]
    name = "oracle"
    kind = "oracle"
    [[method]]
    name = "bn"
    kind = "bn"
    batch = 4
    [[method]]
    name = "bn-ema"
    kind = "bn-ema"
    [[method]]
    name = "tent"
    kind = "tent"
    batch = 4
    [[method]]
    name = "cotta"
    kind = "cotta"
    batch = 4
    [[method]]
    name = "rotta"
    kind = "rotta"
    [[method]]
    name = "rdumb"
    kind = "rdumb"
    batch = 4
    [[method]]
    name = "t3a"
    kind = "t3a"
    [[method]]
    name = "lame"
    kind = "lame"
    batch = 4
    [[method]]
    name = "propagation"
    kind = "label-propagation"
    [[method]]
    name = "oftta"
    kind = "oftta"
    batch = 4
"#;

/// The plan with the set's own class names.
fn with_classes(folder: &Path) {
    let classes = tendon_data::synth::classes();
    let text = PLAN
        .replace("CLASS-0", &classes[0])
        .replace("CLASS-1", &classes[1]);
    fs::write(folder.join("plan.toml"), text).unwrap();
}

fn arguments(out: &str) -> Vec<&str> {
    let fixed = "adapt-bench --plan plan.toml --bundles . --sets . --out";
    fixed.split(' ').chain([out]).collect()
}

/// Every file below `folder`, with its text but for the times in it.
fn found(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What a killed process was writing; the next one removes it.
        if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            files.extend(found(&path));
            continue;
        }
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["outcome"]["update_ms"] = serde_json::Value::Null;
        files.insert(path, record.to_string());
    }
    files
}

#[test]
fn a_measurement_killed_with_signal_9_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    with_classes(folder);
    let done = ["measurements are done", "ours", "oracle"];
    check(folder, &arguments("straight"), true, &done);

    let mut killed = Command::new(env!("CARGO_BIN_EXE_tendon"))
        .args(arguments("killed"))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It says a line for each measurement: it dies at the second.
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).nth(1).is_some());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = found(&folder.join("killed/jobs"));
    assert!(before.len() >= 2);
    let changed = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let times: Vec<_> = before.keys().map(changed).collect();

    check(folder, &arguments("killed"), true, &done);
    assert_eq!(before.keys().map(changed).collect::<Vec<_>>(), times);
    let names = |run: &str| -> Vec<(PathBuf, String)> {
        let root = folder.join(run).join("jobs");
        let all = found(&root).into_iter();
        all.map(|(path, text)| (path.strip_prefix(&root).unwrap().to_owned(), text))
            .collect()
    };
    assert_eq!(names("killed"), names("straight"));

    assert_eq!(
        files(&folder.join("killed")),
        ["jobs", "report.html", "results.json", "results.md"]
    );
    let markdown = fs::read_to_string(folder.join("killed/results.md")).unwrap();
    for words in ["## Summary", "## camera", "| recurring | ours | 1 |"] {
        assert!(markdown.contains(words), "{words:?} is not in\n{markdown}");
    }
    let results = fs::read(folder.join("killed/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    let lines = results["lines"].as_array().unwrap();
    let of = |domain: &str, method: &str| {
        let is = |line: &&serde_json::Value| line["domain"] == domain && line["method"] == method;
        lines.iter().find(is).unwrap()["outcome"].clone()
    };
    let none = of("camera", "none");
    assert_eq!(none["online"]["base"], none["online"]["method"]);
    let ours = of("camera", "ours");
    assert_eq!(ours["online"]["base"], none["online"]["base"]);
    assert!(ours["updates"].as_u64().unwrap() > 0, "{ours}");
    assert_eq!(ours["source"]["windows"], 8);
    // Every method answers every window of the same stream.
    assert_eq!(lines.len(), 26);
    for line in lines.iter().filter(|line| line["domain"] == "camera") {
        let outcome = &line["outcome"];
        assert_eq!(outcome["failed"], 0, "{line}");
        if line["method"] != "oracle" {
            assert_eq!(outcome["online"]["windows"], none["online"]["windows"]);
            assert_eq!(outcome["online"]["base"], none["online"]["base"]);
        }
    }
    // Actions that nobody knows are played and have no right answer.
    let others = of("others", "none");
    assert!(others["unknown"].as_u64().unwrap() > 0 && others["auroc"][0].is_f64());
}

#[test]
fn material_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let wrong = |expect: &[&str]| check(folder, &arguments("out"), false, expect);
    wrong(&["plan.toml", "domain others", "no class \"CLASS-0\""]);
    with_classes(folder);
    let good = fs::read_to_string(folder.join("plan.toml")).unwrap();
    let change = |from: &str, to: &str| {
        fs::write(folder.join("plan.toml"), good.replacen(from, to, 1)).unwrap();
    };
    change("a.tendon", "set.safetensors");
    wrong(&["source a", "set.safetensors"]);
    change("ft/classifier.safetensors", "a.tendon");
    wrong(&["source a", "a.tendon"]);
    change("order = \"recurring\"", "ordre = \"recurring\"");
    wrong(&["plan.toml", "ordre"]);
    fs::write(folder.join("plan.toml"), &good).unwrap();
    fs::rename(folder.join("key.pub"), folder.join("other.pub")).unwrap();
    wrong(&["key.pub", "--trust"]);
}
