//! A line for every update: which windows taught, with which labels, and what the guard said; and one for whatever a person did.
//!
//! JSON lines, so that people and scripts can read why a tail is as it is. The file is bounded: when it is full it becomes
//! `<name>.1` and a new one begins. A line cut short by a power cut is the only loss.

use super::guard::Judgement;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A journal file's length at which a new one begins: some 2,000 updates.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A window that taught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lecture {
    /// Number of the window within the agent's life.
    pub window: u64,
    /// Whose.
    pub track: u64,
    /// When it ended, milliseconds.
    pub end_ms: u64,
    /// Pseudo-label.
    pub label: u16,
    /// The pseudo-label's name.
    pub name: String,
    /// The teacher's calibrated confidence in its own answer, 0..=1.
    pub confidence: f32,
    /// Whether a person gave the label.
    #[serde(default)]
    pub trusted: bool,
    /// Confidence that the gate asked for, 0..=1.
    #[serde(default)]
    pub needed: f32,
}

/// What the gate did with the windows since the update before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sifted {
    /// Passed.
    pub accepted: u64,
    /// The teacher was not sure enough.
    pub unsure: u64,
    /// Too few joints were seen.
    pub poor: u64,
    /// The picture stood still.
    pub frozen: u64,
    /// The body leapt: two persons in one track.
    pub torn: u64,
    /// No action that the bundle knows.
    pub unknown: u64,
}

/// What happened to the adaptation besides updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Note {
    /// Named a window.
    Label {
        /// Its number.
        window: u64,
        /// Its class.
        label: u16,
        /// The class's name.
        name: String,
    },
    /// Went back to the tail after an update; 0 is the shipped tail.
    Undo {
        /// The update.
        to: u64,
    },
    /// Forgot everything.
    Reset,
    /// The tail began anew from the shipped one, because the configuration says so; the memory stayed.
    Renewed {
        /// After so many hours of the stream.
        hours: u64,
    },
    /// Put a stored state in place.
    Import {
        /// The last update in it.
        update: u64,
    },
}

/// One update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the update.
    pub update: u64,
    /// Time of the newest window, milliseconds.
    pub time_ms: u64,
    /// Gradient steps made.
    pub steps: usize,
    /// Steps left out because teacher and student agreed.
    pub skipped: usize,
    /// Loss of the last step.
    pub loss: f32,
    /// Norm of the last gradient before it was shortened.
    pub gradient_norm: f32,
    /// Share of windows on which student and teacher agreed before the last step.
    pub agreement: f32,
    /// Weight of the old teacher.
    pub decay: f32,
    /// What became of the windows since the update before.
    #[serde(default)]
    pub sifted: Sifted,
    /// The windows that taught.
    pub windows: Vec<Lecture>,
    /// What the guard said.
    pub guard: Option<Judgement>,
}

/// Where records go.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
}

impl Journal {
    /// A journal at `path`; without a path nothing is kept.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// Appends one record.
    ///
    /// # Errors
    /// The I/O error; adaptation goes on without the record.
    pub fn append(&self, record: &impl Serialize) -> std::io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = open(path)?;
        if file.metadata()?.len() > 0 && file.metadata()?.len() + line.len() as u64 > MAX_BYTES {
            std::fs::rename(path, older(path))?;
            file = open(path)?;
        }
        file.write_all(&line)
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_a_line_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::new(Some(path.clone()));
        journal.append(&serde_json::json!({"update": 1})).unwrap();
        journal.append(&serde_json::json!({"update": 2})).unwrap();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "{\"update\":1}\n{\"update\":2}\n"
        );
    }

    #[test]
    fn begins_a_new_file_when_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::new(Some(path.clone()));
        let long = "x".repeat(usize::try_from(MAX_BYTES).unwrap() - 3);
        journal.append(&long).unwrap();
        journal.append(&1).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2);
        assert!(std::fs::metadata(older(&path)).unwrap().len() > MAX_BYTES - 3);
    }

    #[test]
    fn without_a_path_nothing_is_written() {
        Journal::new(None).append(&1).unwrap();
    }
}
