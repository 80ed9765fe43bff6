//! The stream of another camera's poses, and what people really do in it.

use super::step::Steps;
use anyhow::{Context as _, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// The test side of a split, in an order that the seed decides.
pub(super) struct Stream<'a> {
    pub(super) data: &'a str,
    pub(super) split: &'a str,
    pub(super) seed: u64,
    pub(super) speed: f64,
}

/// The arguments of `tendon replay`.
pub(super) struct Arguments(Vec<String>);

impl Arguments {
    pub(super) fn each(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// The end mark of a track; other lines have no label.
#[derive(Deserialize)]
struct End {
    end: Option<u64>,
    label: Option<usize>,
}

impl Stream<'_> {
    /// Plays the stream to `target` at its speed.
    pub(super) fn arguments(&self, target: &str) -> Arguments {
        let mut arguments = self.selection(target);
        arguments.extend(["--speed".to_owned(), self.speed.to_string()]);
        Arguments(arguments)
    }

    fn selection(&self, target: &str) -> Vec<String> {
        let seed = self.seed.to_string();
        [
            "replay", self.data, "--split", self.split, "--order", "iid", "--seed", &seed, "--to",
            target,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// The true class of every track: the same stream, written to a file first.
    pub(super) fn truth(
        &self,
        steps: &Steps,
        folder: &Path,
    ) -> anyhow::Result<BTreeMap<u64, usize>> {
        let name = format!("stream-{}.jsonl", self.seed);
        let status = Command::new(steps.program())
            .args(self.selection(&format!("file:{name}")))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot run tendon replay")?;
        ensure!(
            status.success(),
            "`tendon replay` to {name} failed ({status})"
        );
        let text = std::fs::read_to_string(folder.join(&name))
            .with_context(|| format!("cannot read {name}"))?;
        let ends = text.lines().filter_map(|line| {
            let End { end, label } = serde_json::from_str(line).ok()?;
            end.zip(label)
        });
        Ok(ends.collect())
    }
}
