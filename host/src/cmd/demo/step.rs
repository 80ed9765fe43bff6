//! One step of the demo: a command that the user could have typed.

use anyhow::{Context as _, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the demo's steps one after the other and remembers how long each took.
pub(super) struct Steps {
    program: PathBuf,
    folder: PathBuf,
    total: usize,
    done: Vec<Done>,
    started: Instant,
}

/// A step that is over.
pub(super) struct Done {
    /// What it was for.
    pub(super) title: String,
    /// The command line as a user would type it.
    pub(super) command: String,
    /// How long it took.
    pub(super) took: Duration,
}

impl Steps {
    /// `total` steps to come, run in `folder`.
    pub(super) fn new(folder: &Path, total: usize) -> anyhow::Result<Self> {
        Ok(Self {
            program: std::env::current_exe().context("cannot find the program's own file")?,
            folder: folder.to_owned(),
            total,
            done: Vec::new(),
            started: Instant::now(),
        })
    }

    /// Says what comes next and how long it has taken so far.
    pub(super) fn announce(&self, title: &str, command: &str) {
        let number = self.done.len() + 1;
        let seconds = self.started.elapsed().as_secs();
        eprintln!("\n[{number}/{}] {title}  ({seconds} s so far)", self.total);
        eprintln!("      $ {command}");
    }

    /// Runs `tendon` with `arguments`; its progress goes to the terminal.
    ///
    /// # Errors
    /// The command failed; it has said why.
    pub(super) fn tendon(&mut self, title: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let shown = shown("tendon", arguments);
        self.announce(title, &shown);
        let before = Instant::now();
        let status = Command::new(&self.program)
            .args(arguments.iter().map(OsString::from))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log(&self.folder)?))
            .status()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        ensure!(status.success(), "`{shown}` failed ({status}); see above");
        self.finish(title, &shown, before.elapsed());
        Ok(())
    }

    /// Notes a step that ran elsewhere.
    pub(super) fn finish(&mut self, title: &str, command: &str, took: Duration) {
        self.done.push(Done {
            title: title.to_owned(),
            command: command.to_owned(),
            took,
        });
    }

    /// This program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The steps so far.
    pub(super) fn done(&self) -> &[Done] {
        &self.done
    }

    /// Time since the first step began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The command line as a user would type it.
pub(super) fn shown(program: &str, arguments: &[&str]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        if argument.contains([' ', ';', '*', '&']) {
            line.push_str(&format!("'{argument}'"));
        } else {
            line.push_str(argument);
        }
    }
    line
}

/// Where the steps' tables go; the page and the last table repeat what matters.
fn log(folder: &Path) -> anyhow::Result<std::fs::File> {
    let path = folder.join("commands.log");
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_command_that_can_be_typed() {
        assert_eq!(
            shown(
                "tendon",
                &[
                    "replay",
                    "a.safetensors",
                    "--select",
                    "cameras=1;subjects=2"
                ]
            ),
            "tendon replay a.safetensors --select 'cameras=1;subjects=2'"
        );
    }
}
