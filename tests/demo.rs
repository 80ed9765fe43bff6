//! `tendon demo` runs the whole path: recordings, pretraining, a bundle, a device on a serial line, another camera.

use crate::support::program;
use std::process::Command;

#[test]
fn one_command_does_everything_and_writes_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program("tendon"))
        .args(["demo", "--quick", "--out", "report"])
        .current_dir(folder.path())
        .env("TENDON_EDGE", program("tendon-edge"))
        .output()
        .unwrap();
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{printed}\n{errors}");
    for row in [
        "finetuned, float (base)",
        "finetuned, int8",
        "on the device, while adapting",
        "on the device, after adapting",
    ] {
        assert!(printed.contains(row), "no row {row:?} in\n{printed}");
    }
    let page = std::fs::read_to_string(folder.path().join("report/index.html")).unwrap();
    assert!(page.contains("<figure class=\"skeleton\"") && page.contains("On the device"));
    for curve in ["contrastive loss", "kNN top-1"] {
        let plot = page.split("<svg").find(|plot| plot.contains(curve));
        assert!(
            plot.is_some_and(|plot| plot.contains("<polyline")),
            "the curve of {curve} is empty"
        );
    }
    // The device said something about every recording of the second camera.
    let heard = std::fs::read_to_string(folder.path().join("report/device.jsonl")).unwrap();
    let recognised = heard
        .lines()
        .filter(|line| line.contains("\"event\":\"recognition\""));
    assert_eq!(recognised.count(), 2 * 4 * 12);
}
