//! `tendon import` and `tendon inspect` as their user sees them.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

mod support;

use support::{check, files};

#[test]
fn a_generated_set_is_written_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let synth = [
        "import",
        "synth",
        "-o",
        "set.safetensors",
        "--subjects",
        "2",
        "--repetitions",
        "1",
        "--verify",
    ];
    check(
        folder,
        &synth,
        true,
        &[
            "wrote set.safetensors",
            "kinect20",
            "groups of recordings with equal content: 0",
        ],
    );
    check(
        folder,
        &["inspect", "set.safetensors", "--html", "page.html"],
        true,
        &["recordings from synth", "page page.html"],
    );
    assert!(
        std::fs::read_to_string(folder.join("page.html"))
            .unwrap()
            .contains("<svg")
    );
    assert_eq!(files(folder), ["page.html", "set.safetensors"]);
}

#[test]
fn a_damaged_file_is_named_and_leaves_the_old_set() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = [
        "import",
        "synth",
        "-o",
        "files",
        "--write-as",
        "ntu-skeleton",
        "--topology",
        "ntu25",
        "--subjects",
        "1",
        "--repetitions",
        "1",
    ];
    check(folder, &write, true, &["files to files"]);
    let import = ["import", "ntu-skeleton", "files", "-o", "set.safetensors"];
    check(folder, &import, true, &["wrote set.safetensors"]);
    let before = std::fs::read(folder.join("set.safetensors")).unwrap();
    let damaged = format!("files/{}", files(&folder.join("files"))[0]);
    std::fs::write(folder.join(&damaged), "3\n1\n").unwrap();
    check(
        folder,
        &import,
        false,
        &[
            &format!("error: {damaged}, line 2: it ends too early"),
            "--skip-bad",
        ],
    );
    assert_eq!(
        std::fs::read(folder.join("set.safetensors")).unwrap(),
        before
    );
    let skip = [&import[..], &["--skip-bad"]].concat();
    check(
        folder,
        &skip,
        true,
        &["skipped: 1 recordings that cannot be read", &damaged],
    );
    assert_eq!(files(folder), ["files", "set.safetensors"]);
}

#[test]
fn mistakes_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("note.txt"), "no set").unwrap();
    check(
        folder,
        &["import", "avi", ".", "-o", "x"],
        false,
        &["the formats are nw-ucla-json"],
    );
    check(
        folder,
        &["import", "sbu-text", "-o", "x"],
        false,
        &["where are the recordings?"],
    );
    check(
        folder,
        &["import", "sbu-text", ".", "-o", "x"],
        false,
        &["nothing of this format is here", "skeleton_pos.txt"],
    );
    check(
        folder,
        &["import", "synth", "-o", "x", "--topology", "kinect21"],
        false,
        &["there are kinect20"],
    );
    check(
        folder,
        &["inspect", "note.txt"],
        false,
        &["note.txt: not a readable safetensors file"],
    );
    check(
        folder,
        &["inspect", "absent"],
        false,
        &["absent: No such file"],
    );
    assert_eq!(files(folder), ["note.txt"]);
}
