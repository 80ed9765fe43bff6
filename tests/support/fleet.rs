//! A fleet in a folder, made with the commands that a user has.

use super::program;
use std::path::Path;
use std::process::Command;

/// Runs a program in a folder, and returns whether it went well and what it said.
pub(crate) fn run(folder: &Path, name: &str, line: &str) -> (bool, String) {
    let output = Command::new(program(name))
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Runs a program that must go well, and returns what it said.
pub(crate) fn good(folder: &Path, name: &str, line: &str) -> String {
    let (well, said) = run(folder, name, line);
    assert!(well, "{name} {line}: {said}");
    said
}

/// Makes the fleet `homes`, puts the device whose data is in `data` into it as `kitchen`, and makes the operator's file `anna.json`.
pub(crate) fn enrol(folder: &Path) {
    good(folder, "tendon", "fleet init homes");
    let token = good(folder, "tendon", "fleet token homes --device kitchen");
    let token = token.trim();
    let enroll = format!("enroll --data-dir data --token {token} -o request.json");
    good(folder, "tendon-edge", &enroll);
    for (name, line) in [
        ("tendon", "fleet admit homes request.json -o reply.json"),
        ("tendon-edge", "enroll --data-dir data --accept reply.json"),
        ("tendon", "fleet operator homes --name anna -o anna.json"),
    ] {
        good(folder, name, line);
    }
}
