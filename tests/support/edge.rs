//! A real `tendon-edge` process on a folder of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tendon_bundle::testing::secret_key;
use tendon_host::transport::client::{Client, Patience};
use tendon_host::transport::tcp::Tcp;

use super::bundles::TRUSTED;
use super::program;

/// Longest that anything may take; never reached unless something is broken.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Patience for loopback: lost packets are noticed soon, and a loaded machine still answers in time.
pub(crate) const PATIENCE: Patience = Patience {
    reply: Duration::from_millis(500),
    tries: 40,
};

/// A folder with a data folder and a trusted key.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = secret_key(TRUSTED).public().to_text();
        std::fs::write(folder.path().join("key.pub"), key).unwrap();
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts an agent that trusts the tests' key, recognises whole tracks from stdin, and confirms after three of them.
    pub(crate) fn start(&self, more: &[&str]) -> Edge {
        self.start_on("stdin", more)
    }

    /// The same with poses from another source.
    pub(crate) fn start_on(&self, source: &str, more: &[&str]) -> Edge {
        let mut command = Command::new(program("tendon-edge"));
        command
            .args([
                "run",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--source",
                source,
            ])
            .args([
                "--topology",
                "kinect20",
                "--set",
                "window.policy=track",
                "--set",
                "trial.windows=3",
                "--set",
                "trial.shadow.windows=0",
            ])
            .arg("--data-dir")
            .arg(self.data())
            .arg("--trust")
            .arg(self.folder.path().join("key.pub"))
            .args(more);
        Edge::start(command)
    }
}

/// A running agent; killed when dropped.
pub(crate) struct Edge {
    child: Child,
    poses: Option<ChildStdin>,
    lines: Receiver<Value>,
    address: String,
}

impl Edge {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut edge = Self {
            poses: child.stdin.take(),
            child,
            lines,
            address: String::new(),
        };
        let ready = edge.wait_for(|line| line["event"] == "ready");
        edge.address = ready["listening"].as_str().unwrap().to_owned();
        edge
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn link(&self) -> Tcp {
        Tcp::open(&self.address).unwrap()
    }

    pub(crate) fn client(&self) -> Client<Tcp> {
        Client::open(self.link(), PATIENCE).unwrap()
    }

    /// The next line on stdout that `wanted` wants.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self
                .lines
                .recv_timeout(TOO_LONG)
                .expect("the agent says so in time");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Waits until the installation stands like this, such as `Confirmed`.
    pub(crate) fn wait_for_install(&self, status: &str) {
        self.wait_for(|line| line["event"] == "install" && !line["status"][status].is_null());
    }

    pub(crate) fn send_poses(&mut self, lines: &str) {
        let poses = self.poses.as_mut().unwrap();
        poses.write_all(lines.as_bytes()).unwrap();
        poses.flush().unwrap();
    }

    /// What a power cut does to a process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the agent to stop and waits until it did.
    pub(crate) fn terminate(mut self) {
        let asked = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Already gone after `kill` and `terminate`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
