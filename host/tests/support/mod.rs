//! Running `tendon` as its user does.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `tendon` in `folder` to its end.
pub(crate) fn tendon(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tendon"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs `tendon` in `folder`; it must succeed or fail as told, and print all of `expect`.
pub(crate) fn check(folder: &Path, args: &[&str], succeeds: bool, expect: &[&str]) {
    let output = tendon(folder, args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), succeeds, "{args:?}\n{text}");
    for words in expect {
        assert!(
            text.contains(words),
            "{args:?}: {words:?} is not in\n{text}"
        );
    }
}

/// The names in `folder`, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
