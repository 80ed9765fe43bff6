//! `tendon bench` as its user sees it, on networks so small that nothing depends on their times.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

const SMALL: [&str; 14] = [
    "--rounds",
    "1",
    "--times",
    "1",
    "--windows",
    "6",
    "--frames",
    "8",
    "--width",
    "2",
    "--dim",
    "4",
    "--topology",
    "kinect20",
];

fn tendon(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tendon"))
        .arg("bench")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A table and a file with rows of these contenders; returns the file.
fn check(what: &str, more: &[&str], expect: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let args = [&[what, "--json", "out.json"][..], &SMALL, more].concat();
    let output = tendon(folder.path(), &args);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for words in expect {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap()
}

#[test]
fn inference_alone_prints_a_table_and_writes_what_was_measured() {
    let expect = [
        "tendon int8",
        "tendon float",
        "1 body present",
        "8 frames, 20 joints, 2 bodies",
    ];
    let json = check("infer", &[], &expect);
    let rows = json[0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let float = &rows[1];
    assert!(float["difference"]["largest"].as_f64().unwrap() < 1e-3);
    assert!(float["wall_ratio"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(float["laps"]["cpu"].as_array().unwrap().len(), 1);
}

#[test]
fn the_engine_is_held_to_the_path_that_is_asked_for() {
    let expect = ["tendon int8, portable"];
    let json = check("infer", &["--path", "portable"], &expect);
    let about = json[0]["rows"][0]["about"].as_str().unwrap();
    assert!(about.starts_with("portable, arena"), "{about}");
    check("stream", &["--path", "portable"], &expect);
    let folder = tempfile::tempdir().unwrap();
    let output = tendon(folder.path(), &["infer", "--path", "z80"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("here the engine has the paths portable"));
}

#[test]
fn training_adaptation_and_streams_are_measured_too() {
    let json = check("train", &["--batch", "4"], &["training step", "batch 4"]);
    assert!(json[0]["rows"][0]["peak_bytes"].as_u64().unwrap() > 1_000_000);
    check("adapt", &[], &["16 windows", "tendon, tail"]);
    check("stream", &[], &["persons before one core, tendon int8"]);
}

#[test]
fn import_and_training_input_are_measured_too() {
    let few = ["--recordings", "5"];
    check("import", &few, &["import of ntu-skeleton", "5 files"]);
    let few = ["--recordings", "5", "--batch", "4"];
    check("load", &few, &["views a second", "training step"]);
}

#[cfg(unix)]
#[test]
fn missing_peers_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python");
    std::fs::write(
        &python,
        "#!/bin/sh\necho '{\"missing\": {\"what\": \"No module named onnx\"}}'\n",
    )
    .unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let python = python.to_str().unwrap();
    let json = check(
        "infer",
        &["--peers", python],
        &["missing: ONNX Runtime int8: No module named onnx"],
    );
    assert_eq!(json[0]["absent"].as_array().unwrap().len(), 5);
}

#[test]
fn a_mistaken_shape_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = tendon(folder.path(), &["infer", "--frames", "2"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("frames is 2, it must be 4 to 300"));
}

#[test]
fn real_peers_compute_the_same() {
    let Ok(python) = std::env::var("TENDON_PEERS") else {
        println!("SKIPPED: TENDON_PEERS names no Python with torch");
        return;
    };
    let more = ["--peers", &python, "--batch", "4", "--recordings", "9"];
    // Losses of three steps differ as sums of other orders do; an int8 trunk and tail differ by their steps.
    for (what, limit) in [
        ("infer", 1e-4),
        ("train", 1e-3),
        ("adapt", 1e-4),
        ("import", 1e-5),
    ] {
        let json = check(what, &more, &["Py"]);
        let rows = json[0]["rows"].as_array().unwrap();
        let theirs = rows.iter().filter(|row| {
            let name = row["name"].as_str().unwrap();
            !name.starts_with("tendon") && !name.ends_with("int8")
        });
        let mut found = 0;
        for row in theirs {
            found += 1;
            let relative = row["difference"]["relative"].as_f64().unwrap();
            assert!(relative < limit, "{what}, {}: {relative}", row["name"]);
        }
        assert!(found > 0, "no peer took part in {what}");
    }
}
