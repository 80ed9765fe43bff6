//! The package for boards, from installation to removal, in a clean root file system of 64-bit ARM with the glibc of JetPack 5.
//!
//! `.ci/board` builds the package and the root and names them; skipped where they are missing.
#![allow(clippy::print_stdout, reason = "size and memory are what is shown")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::deploy::deploy;
use super::support::bundles::{TRUSTED, bundle, tracks};
use super::support::edge::Edge;
use tendon_bundle::testing::secret_key;

/// A board's file system.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// A copy of the clean one, with the package in it.
    fn new(clean: &Path, package: &Path) -> Self {
        let root = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let copied = Command::new("cp")
            .arg("-a")
            .arg(clean)
            .arg(root.path(""))
            .status()
            .unwrap();
        assert!(copied.success());
        std::fs::copy(package, root.path("package.deb")).unwrap();
        root
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("root").join(file)
    }

    /// A program of the board.
    fn command(&self, program: &[&str]) -> Command {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/with-arm64");
        let mut command = Command::new(tools);
        command.arg("chroot");
        if program.first() == Some(&"/usr/bin/tendon-edge") {
            command.arg("--userspec=tendon:tendon");
        }
        command
            .arg(self.path(""))
            .args(["/usr/bin/env", "-i", "HOME=/root", "LC_ALL=C"])
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .args(program);
        command
    }

    fn run(&self, program: &[&str]) -> String {
        let output = self.command(program).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{program:?}: {said}");
        said
    }

    fn has(&self, file: &str) -> bool {
        self.path(file).symlink_metadata().is_ok()
    }

    fn agent(&self) -> Edge {
        Edge::start(self.command(&[
            "/usr/bin/tendon-edge",
            "run",
            "--json",
            "--data-dir",
            "/var/lib/tendon",
            "--trust",
            "/etc/tendon/trusted.pub",
            "--config",
            "/etc/tendon/edge.toml",
            "--listen",
            "127.0.0.1:0",
            "--source",
            "stdin",
            "--topology",
            "kinect20",
            "--set",
            "window.policy=track",
            "--set",
            "trial.windows=3",
        ]))
    }
}

/// Memory of the agent's process in KB, most ever and now, the emulator's part included.
fn memory() -> Option<(u64, u64)> {
    let agents = std::fs::read_dir("/proc").unwrap().flatten();
    let found = agents.map(|entry| entry.path()).find(|process| {
        std::fs::read(process.join("cmdline")).is_ok_and(|line| {
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains("qemu-aarch64-static /usr/bin/tendon-edge run")
        })
    })?;
    let status = std::fs::read_to_string(found.join("status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((value("VmHWM:")?, value("VmRSS:")?))
}

#[test]
fn a_board_gets_the_package_recognises_keeps_its_configuration_and_gets_rid_of_it() {
    let named = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(clean), Some(package)) = (named("TENDON_ARM64_ROOT"), named("TENDON_PACKAGE")) else {
        println!(
            "SKIPPED package: TENDON_ARM64_ROOT and TENDON_PACKAGE are not named; .ci/board does"
        );
        return;
    };
    let root = Root::new(&clean, &package);
    let said = root.run(&["dpkg", "-i", "/package.deb"]);
    assert!(said.contains("/etc/tendon/trusted.pub"), "{said}");
    assert!(
        root.run(&["dpkg", "-s", "tendon-edge"])
            .contains("install ok installed")
    );
    assert!(root.run(&["id", "tendon"]).contains("(tendon)"));
    assert!(root.has("lib/systemd/system/tendon-edge.service"));
    let key = secret_key(TRUSTED).public().to_text();
    std::fs::write(root.path("etc/tendon/trusted.pub"), key).unwrap();

    let mut agent = root.agent();
    deploy(&agent, &bundle(1)).unwrap();
    agent.send_poses(&tracks(1, 3));
    let first = agent.wait_for(|line| line["event"] == "recognition");
    agent.wait_for_install("Confirmed");
    let (most, now) = memory().unwrap_or_default();
    println!(
        "first recognition: {first}; package {} bytes, program {} bytes; memory with the emulator's: {now} KB, at most {most} KB",
        package.metadata().unwrap().len(),
        root.path("usr/bin/tendon-edge").metadata().unwrap().len(),
    );
    agent.kill();

    // What is configured and learnt survives another installation.
    let config = root.path("etc/tendon/edge.toml");
    let own = std::fs::read_to_string(&config).unwrap() + "# my own\n";
    std::fs::write(&config, &own).unwrap();
    root.run(&["dpkg", "-i", "/package.deb"]);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), own);
    let agent = root.agent();
    assert_eq!(agent.client().welcome().unwrap().model, Some(1));
    agent.kill();

    root.run(&["dpkg", "--remove", "tendon-edge"]);
    assert!(!root.has("usr/bin/tendon-edge") && root.has("etc/tendon/edge.toml"));
    assert!(root.has("var/lib/tendon/device-id"));
    root.run(&["dpkg", "--purge", "tendon-edge"]);
    assert!(!root.has("etc/tendon") && !root.has("var/lib/tendon"));
    let users = std::fs::read_to_string(root.path("etc/passwd")).unwrap();
    assert!(!users.contains("tendon"), "{users}");
}
