//! `tendon pretrain` under kill -9: resumed, it ends with the very bytes of an undisturbed run.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/shrink.rs"]
mod shrink;

use shrink::shrink;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shipped small configuration, shrunk to a few seconds.
fn config(text: &str) -> String {
    let small = [
        ("batch", "4"),
        ("epochs", "6"),
        ("checkpoint_steps", "2"),
        ("snapshot_epochs", "0"),
        ("frames", "8"),
        ("width", "2"),
        ("dim", "4"),
        ("queue", "9"),
        ("lengths", "[1, 1]"),
        ("mining_epoch", "3"),
        ("reduced", "3"),
    ];
    let (before, monitor) = text.split_once("[monitor]").unwrap();
    let monitor = monitor
        .replace("epochs = 10", "epochs = 1")
        .replace("subjects = 2", "subjects = 1");
    shrink(before, &small) + "[monitor]" + &monitor
}

fn tendon(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tendon"));
    command
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn pretrain(folder: &Path, devices: &str, out: &str, resume: bool) -> Child {
    let mut args = vec![
        "pretrain",
        "--config",
        "run.toml",
        "--data",
        "set.safetensors",
        "--split",
        "cameras=1 / cameras=2",
        "--devices",
        devices,
        "--out",
        out,
    ];
    args.extend(resume.then_some("--resume"));
    tendon(folder, &args).spawn().unwrap()
}

fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_process_killed_with_signal_9_resumes_to_the_same_bytes() {
    check(SKELETONCLR, "cpu");
}

#[test]
fn on_several_devices_too() {
    check(SKELETONCLR, "cpu,cpu");
}

#[test]
fn skelemixclr_too() {
    let text = include_str!("../../configs/pretrain/skelemixclr-small.toml");
    check(text, "cpu");
}

#[test]
fn aimclr_too() {
    let text = include_str!("../../configs/pretrain/aimclr-small.toml");
    check(text, "cpu");
}

#[test]
fn msmclr_too() {
    let text = include_str!("../../configs/pretrain/msmclr-small.toml");
    check(text, "cpu");
}

const SKELETONCLR: &str = include_str!("../../configs/pretrain/skeletonclr-small.toml");

fn check(text: &str, devices: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("run.toml"), config(text)).unwrap();
    let synth = [
        "import",
        "synth",
        "-o",
        "set.safetensors",
        "--subjects",
        "3",
        "--repetitions",
        "1",
    ];
    finish(tendon(folder, &synth).spawn().unwrap());

    finish(pretrain(folder, devices, "straight", false));
    let mut kills = 0;
    // The monitor speaks before the first step and after each epoch; each process dies at its second word.
    loop {
        let mut child = pretrain(folder, devices, "killed", kills > 0);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let spoken = lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("step "))
            .nth(1);
        if spoken.is_none() || kills == 3 {
            finish(child);
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 2, "only {kills} kills");
    let bytes = |run: &str, file: &str| std::fs::read(folder.join(run).join(file)).unwrap();
    for file in ["encoder.safetensors", "log.jsonl", "checkpoint.safetensors"] {
        assert!(
            bytes("straight", file) == bytes("killed", file),
            "{file} differs"
        );
    }
}
