//! The run's log: one JSON object a line, continued without gaps or repeats after a resume.

use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

/// Writes `log.jsonl`.
pub struct Log {
    file: File,
}

impl Log {
    /// Opens the log, without lines of steps after `resumed`: they will be written again. Lines that a run without
    /// any checkpoint left (`resumed` is nothing) all go.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path, resumed: Option<u64>) -> io::Result<Self> {
        match File::open(path) {
            Ok(old) => {
                let mut kept = Vec::new();
                for line in BufReader::new(old).split(b'\n') {
                    let line = line?;
                    if at(&line).zip(resumed).is_some_and(|(at, step)| at <= step) {
                        kept.extend(line);
                        kept.push(b'\n');
                    }
                }
                tendon_files::write(path, &kept)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            file: OpenOptions::new().create(true).append(true).open(path)?,
        })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn write(&mut self, step: u64, kind: &str, figures: &[(String, f64)]) -> io::Result<()> {
        let mut line = Map::from_iter([
            ("step".to_string(), json!(step)),
            ("kind".to_string(), json!(kind)),
        ]);
        line.extend(
            figures
                .iter()
                .map(|(name, value)| (name.clone(), json!(value))),
        );
        // One write a line: a kill cuts at most the last line, which opening drops.
        self.file
            .write_all(format!("{}\n", Value::Object(line)).as_bytes())
    }
}

/// The step of a line; nothing if the line is damaged.
fn at(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(line)
        .ok()?
        .get("step")?
        .as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_has_each_step_once_and_no_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = Log::open(&path, None).unwrap();
        for step in 1..=4 {
            log.write(step, "train", &[("loss".to_string(), 0.5)])
                .unwrap();
        }
        log.file.write_all(b"{\"step\":5,\"ki").unwrap();
        let mut log = Log::open(&path, Some(2)).unwrap();
        log.write(3, "train", &[]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<_> = text
            .lines()
            .map(|line| at(line.as_bytes()).unwrap())
            .collect();
        assert_eq!(steps, [1, 2, 3]);
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"kind":"train","loss":0.5,"step":1}"#
        );
    }
}
