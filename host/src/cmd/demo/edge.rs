//! The edge process at the other end of the line.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long the process may take to start.
const START: Duration = Duration::from_secs(30);
/// A device that has said nothing for this long has nothing more to say.
const QUIET: Duration = Duration::from_secs(4);
/// How long the process may take to store its state and end.
const STOP: Duration = Duration::from_secs(20);

/// A running `tendon-edge run`; killed when dropped.
pub(super) struct Edge {
    child: Child,
    lines: Receiver<String>,
}

/// A line of `tendon-edge run --json`.
#[derive(Deserialize)]
struct Line {
    event: String,
    track: Option<u64>,
    class: Option<usize>,
}

/// The program `tendon-edge`: named by TENDON_EDGE, or beside this program.
pub(super) fn program() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("TENDON_EDGE") {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe().context("cannot find the program's own file")?;
    let beside = own.with_file_name("tendon-edge");
    ensure!(
        beside.is_file(),
        "the demo needs the device's program: {} is missing; build it with `cargo build -p tendon-edge`, or name it in TENDON_EDGE",
        beside.display()
    );
    Ok(beside)
}

impl Edge {
    /// Starts the process in `folder` and waits until it is ready.
    ///
    /// # Errors
    /// It did not start; its own error is on the terminal and in `device.log`.
    pub(super) fn start(program: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let log = folder.join("device.log");
        let errors = std::fs::File::create(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("the device has no output")?;
        let lines = read_lines(output, &folder.join("device.jsonl"))?;
        let edge = Self { child, lines };
        if edge.lines.recv_timeout(START).is_err() {
            bail!("the device did not start; {} says why", log.display());
        }
        Ok(edge)
    }

    /// Collects what the device recognises until it has spoken of `tracks` tracks or falls silent: the last class
    /// of every track.
    pub(super) fn until_quiet(&self, tracks: usize) -> anyhow::Result<BTreeMap<u64, usize>> {
        let mut found = BTreeMap::new();
        loop {
            match self.lines.recv_timeout(QUIET) {
                Ok(line) => {
                    let Ok(line) = serde_json::from_str::<Line>(&line) else {
                        continue;
                    };
                    if let ("recognition", Some(track), Some(class)) =
                        (line.event.as_str(), line.track, line.class)
                    {
                        found.insert(track, class);
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the device stopped; device.log says why")
                }
            }
        }
        ensure!(
            tracks == 0 || !found.is_empty(),
            "the device recognised nothing; device.log says why"
        );
        Ok(found)
    }

    /// Ends the process as an operator would, so that it stores its state.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let ended = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .is_ok_and(|status| status.success());
        if !ended {
            self.child.kill().context("cannot stop the device")?;
        }
        // Its output ends with it.
        while self.lines.recv_timeout(STOP).is_ok() {}
        self.child.kill().ok();
        self.child.wait().context("cannot wait for the device")?;
        Ok(())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread and keeps a copy in `path`.
fn read_lines(output: ChildStdout, path: &Path) -> anyhow::Result<Receiver<String>> {
    let mut copy =
        std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The copy is for curious readers; the demo goes on without it.
            let _ = writeln!(copy, "{line}");
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receive)
}
