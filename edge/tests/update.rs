//! `tendon-edge update` as an operator runs it: with and without an agent, from a folder and from a server.
#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tendon_bundle::testing::{Shape, random_contents, secret_key};
use tendon_bundle::{Bundle, Floor, TrustedKeys};
use tendon_shared::topology::TopologyId;
use tendon_trust::moment::Moment;
use tendon_trust::offers;
use tendon_trust::testing::Repository;

/// A folder with a repository that is good until the end of the calendar, and a device.
struct Home {
    folder: tempfile::TempDir,
    repository: Repository,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = secret_key(1).public().to_text();
        std::fs::write(folder.path().join("key.pub"), key).unwrap();
        let mut repository = Repository::new();
        repository.now = Moment::parse("9000-01-01T00:00:00Z").unwrap();
        repository.publish_root();
        let home = Self { folder, repository };
        let root = home.repository.factory_root();
        std::fs::write(home.path("root.json"), root).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes a bundle of this version, signed with key number `key`.
    fn publish(&mut self, model: u64, key: u8) {
        let topology = TopologyId::Kinect20;
        let shape = Shape::small(topology.topology().joint_count(), 16, 3);
        let signed = |key| {
            random_contents(topology, &shape, model, model)
                .pack(&secret_key(key))
                .unwrap()
        };
        let trusted = TrustedKeys::new([secret_key(1).public()]);
        let honest = Bundle::verify(signed(1), &trusted, Floor::default()).unwrap();
        let custom = offers::custom(honest.manifest());
        self.repository
            .offer(&format!("kinect20-{model}.tendon"), &signed(key), custom);
        self.repository.publish();
        for (kind, files) in [
            ("metadata", &self.repository.metadata),
            ("targets", &self.repository.files),
        ] {
            let folder = self.path("repo").join(kind);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in files {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
    }

    fn update(&self, repo: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tendon-edge"))
            .current_dir(self.folder.path())
            .args(["update", "--data-dir", "data", "--repo", repo])
            .args(["--root", "root.json", "--trust", "key.pub"])
            .args(["--topology", "kinect20", "--json"])
            .args(more)
            .output()
            .unwrap()
    }

    /// What a good update prints.
    fn updated(&self, repo: &str, more: &[&str]) -> Value {
        let output = self.update(repo, more);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts an agent that confirms a bundle without a trial, and waits until it is ready.
    fn start(&self) -> Agent {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tendon-edge"))
            .current_dir(self.folder.path())
            .args(["run", "--json", "--listen", "127.0.0.1:0"])
            .args(["--data-dir", "data", "--trust", "key.pub"])
            .args(["--topology", "kinect20", "--set", "trial.windows=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        Agent { child, lines }
    }
}

/// A running agent; killed when dropped.
struct Agent {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Agent {
    /// Reads events until a bundle is confirmed, and returns its version.
    fn confirmed(&mut self) -> u64 {
        loop {
            let line = self.lines.next().unwrap().unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if let Some(model) = event["status"]["Confirmed"]["model"].as_u64() {
                return model;
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves a folder over HTTP from loopback for as long as the test runs, and returns its address.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    break;
                }
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request);
            let path = request.split(' ').nth(1).unwrap_or("/");
            let (status, body) = match std::fs::read(folder.join(path.trim_start_matches('/'))) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

#[test]
fn without_an_agent_the_bundle_waits_for_the_next_start() {
    let mut home = Home::new();
    home.publish(3, 1);
    let verified = home.updated("repo", &["--time", "unset"]);
    assert_eq!(verified["outcome"], "verified");
    let staged = home.updated("repo", &["--time", "set"]);
    assert_eq!(
        (&staged["outcome"], &staged["model"]),
        (&"staged".into(), &3.into())
    );
    let mut agent = home.start();
    assert_eq!(agent.confirmed(), 3);
    let again = home.updated("repo", &["--time", "set"]);
    assert_eq!(again["outcome"], "nothing newer");
}

#[test]
fn a_running_agent_takes_the_bundle_at_once_also_from_a_server() {
    let mut home = Home::new();
    home.publish(3, 1);
    let address = serve(&home.path("repo"));
    let mut agent = home.start();
    let staged = home.updated(&address, &["--time", "set"]);
    assert_eq!(staged["status"]["Confirmed"]["model"], 3);
    assert_eq!(agent.confirmed(), 3);
    home.publish(4, 1);
    home.updated(&address, &["--time", "set"]);
    assert_eq!(agent.confirmed(), 4);
}

#[test]
fn refusals_say_what_is_wrong_and_what_serves_goes_on() {
    let mut home = Home::new();
    home.publish(3, 1);
    let old = home.path("old");
    std::fs::rename(home.path("repo"), &old).unwrap();
    home.publish(4, 1);
    home.updated("repo", &["--time", "set"]);
    let mut agent = home.start();
    assert_eq!(agent.confirmed(), 4);
    home.publish(5, 2);
    let foreign = home.path("repo").display().to_string();
    std::fs::write(old.join("metadata/timestamp.json"), b"{").unwrap();
    let broken = old.display().to_string();
    for (repo, expect) in [
        (foreign.as_str(), "its bundle is refused"),
        (&broken, "timestamp.json is no metadata"),
        ("nowhere", "is no repository"),
        ("https://server/repo", "http://"),
        ("http://127.0.0.1:9/", "cannot be read from the repository"),
    ] {
        let output = home.update(repo, &["--time", "set"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{repo}: {said}");
        assert!(said.contains(expect), "{repo}: {said}");
    }
    let status = Command::new(env!("CARGO_BIN_EXE_tendon-edge"))
        .current_dir(home.folder.path())
        .args(["status", "--data-dir", "data", "--json"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["floor"], 4);
}
