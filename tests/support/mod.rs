//! What the system tests share: edge processes, bundles and streams of poses.

pub(crate) mod board;
pub(crate) mod bundles;
pub(crate) mod edge;
pub(crate) mod fleet;
pub(crate) mod noise;
pub(crate) mod slow_line;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of `tendon` and `tendon-edge`, built as they are now.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // A test target builds the libraries that it uses, but no program of another package.
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--bins",
                "-p",
                "tendon-host",
                "-p",
                "tendon-edge",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "the programs do not build");
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().to_owned()
    })
}

/// The program `name`.
pub(crate) fn program(name: &str) -> PathBuf {
    programs().join(name)
}
