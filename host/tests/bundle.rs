//! `tendon keygen` and `tendon bundle` as their user sees them: from recordings to a bundle, and every reason to refuse one.
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
use std::fs;
use support::{check, files};

fn bundle<'a>(key: &'a str, version: &'a str, out: &'a str) -> Vec<&'a str> {
    vec![
        "bundle",
        "--classifier",
        "ft/classifier.safetensors",
        "--data",
        "set.safetensors",
        "--split",
        SPLIT,
        "--key",
        key,
        "--model-version",
        version,
        "--created",
        "1700000000",
        "-o",
        out,
    ]
}

#[test]
fn a_bundle_is_made_shown_and_refused_for_every_reason_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    classifier(folder);
    for key in ["release", "other"] {
        check(
            folder,
            &["keygen", "-o", key],
            true,
            &[&format!("{key}.pub")],
        );
    }

    check(
        folder,
        &bundle("release", "3", "model.tendon"),
        true,
        &["wrote model.tendon", "model version 3", "int8"],
    );
    check(folder, &bundle("release", "3", "again.tendon"), true, &[]);
    let bytes = fs::read(folder.join("model.tendon")).unwrap();
    assert_eq!(
        bytes,
        fs::read(folder.join("again.tendon")).unwrap(),
        "the same classifier, key, version and date give the same bytes"
    );

    let verify = |name: &str, more: &[&str], succeeds: bool, expect: &[&str]| {
        let args = [&["bundle", "--verify", name][..], more].concat();
        check(folder, &args, succeeds, expect);
    };
    let trust = ["--trust", "release.pub"];
    let shown = ["--trust", "release.pub", "--show"];
    verify(
        "model.tendon",
        &shown,
        true,
        &[
            "kinect20",
            "licence of the data",
            "golden windows computed bit for bit",
        ],
    );
    verify("model.tendon", &[], false, &["--trust"]);
    verify(
        "missing.tendon",
        &trust,
        false,
        &["missing.tendon is refused"],
    );
    verify(
        "model.tendon",
        &["--trust", "other.pub"],
        false,
        &["model.tendon is refused", "unknown key"],
    );
    verify(
        "model.tendon",
        &["--trust", "release.pub", "--floor", "4"],
        false,
        &["model version 3, but version 4 is confirmed"],
    );
    verify(
        "model.tendon",
        &["--trust", "release.pub", "--topology", "ntu25"],
        false,
        &["reads kinect20 skeletons, this device has ntu25"],
    );

    fs::write(folder.join("short.tendon"), &bytes[..bytes.len() - 7]).unwrap();
    verify("short.tendon", &trust, false, &["truncated"]);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(folder.join("flipped.tendon"), flipped).unwrap();
    verify("flipped.tendon", &trust, false, &["tampered"]);
    fs::write(folder.join("text.tendon"), "hello").unwrap();
    verify("text.tendon", &trust, false, &["text.tendon is refused"]);
}

#[test]
fn keys_are_never_overwritten_and_the_secret_one_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(folder, &["keygen", "-o", "key"], true, &["key.pub"]);
    let secret = fs::read(folder.join("key")).unwrap();
    check(folder, &["keygen", "-o", "key"], false, &["key"]);
    assert_eq!(fs::read(folder.join("key")).unwrap(), secret);
    assert_eq!(files(folder), ["key", "key.pub"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.join("key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(folder.join("c"), "x").unwrap();
        check(
            folder,
            &[
                "bundle",
                "--classifier",
                "c",
                "--data",
                "d",
                "--split",
                SPLIT,
                "--key",
                "key",
                "--model-version",
                "1",
                "-o",
                "b",
            ],
            false,
            &["chmod 600 key"],
        );
    }
}
