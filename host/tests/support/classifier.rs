//! A set and a classifier too small to be good, made as users make theirs.

use super::shrink::shrink;
use super::support::check;
use std::path::Path;

pub(crate) const SPLIT: &str = "subjects=1,2;cameras=1 / cameras=2";

/// Makes `set.safetensors` and `ft/classifier.safetensors`.
pub(crate) fn classifier(folder: &Path) {
    let small = [
        ("epochs", "1"),
        ("frames", "16"),
        ("width", "2"),
        ("dim", "8"),
    ];
    let text = shrink(include_str!("../../../configs/demo/finetune.toml"), &small);
    std::fs::write(folder.join("finetune.toml"), text).unwrap();
    let import = "import synth -o set.safetensors --subjects 3 --repetitions 1";
    let import: Vec<&str> = import.split(' ').collect();
    check(folder, &import, true, &["wrote set.safetensors"]);
    let finetune = [
        &["eval", "finetune", "--data", "set.safetensors"][..],
        &["--split", SPLIT, "--config", "finetune.toml", "--out", "ft"],
    ]
    .concat();
    check(folder, &finetune, true, &["wrote ft/result.json"]);
}
