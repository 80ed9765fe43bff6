//! Protocols of several stages as their user runs them: transfer to another set, and a comparison with a second stage.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/shrink.rs"]
mod shrink;
mod support;

use shrink::shrink;
use std::path::Path;
use support::{check, files};

const SPLIT: &str = "cameras=1 / cameras=2";

/// A shipped configuration, shrunk to a second.
fn small(text: &str) -> String {
    let small = [
        ("batch", "6"),
        ("epochs", "1"),
        ("frames", "8"),
        ("width", "2"),
        ("dim", "8"),
        ("queue", "9"),
        ("labelled", "4"),
        ("steps", "[]"),
        ("draws", "2"),
    ];
    shrink(text, &small).replace("subjects = 2", "subjects = 1")
}

fn synth(folder: &Path, name: &str, seed: &str) {
    let import = [
        "import",
        "synth",
        "-o",
        name,
        "--subjects",
        "3",
        "--repetitions",
        "1",
        "--seed",
        seed,
    ];
    check(folder, &import, true, &["wrote"]);
}

#[test]
fn an_encoder_is_finetuned_on_another_set_than_it_was_pretrained_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    synth(folder, "a.safetensors", "1");
    synth(folder, "b.safetensors", "2");
    let text = include_str!("../../configs/pretrain/skeletonclr-small.toml");
    std::fs::write(folder.join("run.toml"), small(text)).unwrap();
    let text = include_str!("../../configs/eval/finetune-small.toml");
    std::fs::write(folder.join("finetune.toml"), small(text)).unwrap();
    let pretrain = [
        &[
            "pretrain",
            "--config",
            "run.toml",
            "--out",
            "run",
            "--set",
            "method.queue=7",
        ][..],
        &["--data", "a.safetensors", "--split", SPLIT],
    ]
    .concat();
    check(folder, &pretrain, true, &["run/encoder.safetensors"]);
    let finetune = [
        &[
            "eval",
            "finetune",
            "--config",
            "finetune.toml",
            "--out",
            "ft",
        ][..],
        &[
            "--encoder",
            "run/encoder.safetensors",
            "--data",
            "b.safetensors",
            "--split",
            SPLIT,
        ],
    ]
    .concat();
    check(folder, &finetune, true, &["wrote ft/result.json"]);
    assert!(files(&folder.join("ft")).contains(&"classifier.safetensors".to_owned()));

    let wrong = [
        &pretrain[..4],
        &["wrong", "--set", "method.cue=7"],
        &pretrain[7..],
    ]
    .concat();
    check(folder, &wrong, false, &["unknown field `cue`"]);
    let wrong = [&pretrain[..4], &["wrong", "--for", "moon"], &pretrain[7..]].concat();
    check(folder, &wrong, false, &["there is no [for.moon] here"]);
}

#[test]
fn features_of_a_set_are_written_with_their_tags_and_few_labels_spread_along_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    synth(folder, "set.safetensors", "1");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), small(text)).unwrap();
    write(
        "run.toml",
        include_str!("../../configs/pretrain/small-partners.toml"),
    );
    write(
        "few.toml",
        include_str!("../../configs/eval/few-joints.toml"),
    );
    let data = ["--data", "set.safetensors", "--split", SPLIT];
    let encoder = ["--encoder", "run/encoder.safetensors"];
    let pretrain = [
        &["pretrain", "--config", "run.toml", "--out", "run"],
        &data[..],
    ]
    .concat();
    check(folder, &pretrain, true, &["run/encoder.safetensors"]);

    let embed = ["embed", "--pooling", "joints", "-o", "features.safetensors"];
    let embed = [&embed[..], &encoder, &data[..2]].concat();
    check(
        folder,
        &embed,
        true,
        &["wrote features.safetensors", "320 features"],
    );
    let bytes = std::fs::read(folder.join("features.safetensors")).unwrap();
    let features = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| features.tensor(name).unwrap().shape().to_vec();
    let recordings = shape("labels")[0];
    // Mean and spread of 20 joints in 8 channels.
    assert_eq!(shape("features"), [recordings, 320]);
    for tags in ["subjects", "cameras"] {
        assert_eq!(shape(tags), [recordings], "{tags}");
    }
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let names = &header.metadata().as_ref().unwrap()["recordings"];
    let names: Vec<String> = serde_json::from_str(names).unwrap();
    assert_eq!(names.len(), recordings);

    let semi = ["eval", "semi", "--config", "few.toml", "--out", "few"];
    let semi = [&semi[..], &encoder, &data].concat();
    let ways = ["statistics, label spreading", "encoder, label spreading"];
    check(folder, &semi, true, &ways);
}

const PLAN: &str = r#"
seeds = [0]
[[set]]
name = "s"
data = "set.safetensors"
split = "cameras=1 / cameras=2"
[[encoder]]
name = "first"
config = "first.toml"
[[encoder]]
name = "second"
config = "second.toml"
set.method.classes = "positives"
from = "first"
labelled = ["50%"]
draws = 2
networks = ["teacher"]
[[protocol]]
name = "few"
kind = "semi"
config = "few.toml"
column = "labels"
[[protocol]]
name = "own"
kind = "classifier"
column = "labels"
"#;

#[test]
fn a_comparison_has_a_second_stage_for_each_draw_of_labels_beside_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    synth(folder, "set.safetensors", "1");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "first.toml",
        &small(include_str!(
            "../../configs/pretrain/skeletonclr-small.toml"
        )),
    );
    write(
        "second.toml",
        &small(include_str!("../../configs/pretrain/skelemoclr-small.toml")),
    );
    let few = small(include_str!("../../configs/eval/semi-5-10.toml"));
    write(
        "few.toml",
        &few.replace("share = 0.05", "share = 0.5")
            .replace("    { share = 0.1 },", ""),
    );
    write("plan.toml", PLAN);
    let compare = [
        "compare",
        "--plan",
        "plan.toml",
        "--sets",
        ".",
        "--out",
        "out",
        "--no-maps",
    ];
    check(folder, &compare, true, &["labels, 50 %", "first", "second"]);
    let results = std::fs::read_to_string(folder.join("out/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    // First stage and its few labels; two draws with a classifier each.
    assert_eq!((&results["done"], &results["jobs"]), (&6.into(), &6.into()));
    for row in 0..2 {
        let figures = results["rows"][row]["figures"].as_array().unwrap();
        assert_eq!(
            (figures.len(), &figures[0]["name"]),
            (1, &"labels, 50 %".into())
        );
    }
    // Nothing is run again, and a mistake is told before anything runs.
    check(folder, &compare, true, &["labels, 50 %"]);
    write(
        "plan.toml",
        &PLAN.replace("method.classes", "method.clases"),
    );
    check(
        folder,
        &compare,
        false,
        &["\"second\"", "unknown field `clases`"],
    );
}
