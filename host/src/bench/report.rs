//! A whole comparison: starts the contenders, lets them take turns, compares their outputs, and makes the table.

use super::compare::{Difference, ShapeError};
use super::contender::{Contender, ContenderError, Started};
use super::rounds::{Laps, Plan, Ratio, median, take_turns};
use crate::report::Table;
use serde::Serialize;
use std::process::Command;

/// A contender that is to be started.
#[derive(Debug)]
pub struct Entry {
    /// Name in tables.
    pub name: String,
    /// Threads that it is given.
    pub threads: usize,
    /// How it is started.
    pub command: Command,
}

/// One kind of input.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Name in tables.
    pub name: String,
    /// What should come out.
    pub reference: Reference,
}

/// What outputs are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// These logits, one row a window.
    Logits(Vec<Vec<f32>>),
    /// The first contender's output; it has no classes.
    First,
    /// Outputs are not asked for.
    Nothing,
}

/// What is compared. Ratios are those of the first entry to each other one.
#[derive(Debug)]
pub struct Bench {
    /// One line: what, on which network.
    pub title: String,
    /// Kinds of input.
    pub cases: Vec<Case>,
    /// Contenders.
    pub entries: Vec<Entry>,
    /// How much is measured.
    pub plan: Plan,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The kind of input.
    pub case: String,
    /// The contender.
    pub name: String,
    /// Versions and choices.
    pub about: String,
    /// Threads that it was given.
    pub threads: usize,
    /// Its laps, in seconds.
    pub laps: Laps,
    /// Wall time of the first contender as a share of its own; nothing for the first itself.
    pub wall_ratio: Option<Ratio>,
    /// The same of processor time.
    pub cpu_ratio: Option<Ratio>,
    /// How far its outputs are from the reference.
    pub difference: Option<Difference>,
    /// Largest resident size of its process, in bytes.
    pub peak_bytes: u64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was compared.
    pub title: String,
    /// One row a case and contender.
    pub rows: Vec<Row>,
    /// Contenders that did not take part, and why.
    pub absent: Vec<(String, String)>,
    /// What follows from the rows.
    pub notes: Vec<String>,
}

/// A comparison that failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A contender failed in the middle.
    #[error(transparent)]
    Contender(#[from] ContenderError),
    /// Our own side could not be started.
    #[error("nothing to compare with: {0}")]
    NobodyOfOurs(String),
    /// A contender did other work.
    #[error("{name} in case {case}: {source}")]
    Shape {
        /// The contender.
        name: String,
        /// The case.
        case: String,
        /// What is wrong.
        source: ShapeError,
    },
}

/// What the comparison is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This contender is being started.
    Start(String),
    /// One round is over.
    Round,
}

impl Bench {
    /// Runs the comparison. A peer that is missing, or that cannot even be started, is listed as absent.
    ///
    /// # Errors
    /// Our own side fails, or a peer fails after it was ready.
    pub fn run(self, progress: &mut dyn FnMut(Progress)) -> Result<Report, BenchError> {
        let Self {
            title,
            cases,
            entries,
            plan,
        } = self;
        let (mut contenders, mut threads, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for (number, entry) in entries.into_iter().enumerate() {
            progress(Progress::Start(entry.name.clone()));
            match Contender::start(&entry.name, entry.command) {
                Ok(Started::Ready(contender)) => {
                    contenders.push(contender);
                    threads.push(entry.threads);
                }
                Ok(Started::Missing { name, what }) => absent.push((name, what)),
                Err(error) if number == 0 => return Err(error.into()),
                Err(error) => absent.push((entry.name, error.to_string())),
            }
        }
        if contenders.is_empty() {
            let why = absent.into_iter().map(|(_, what)| what).collect();
            return Err(BenchError::NobodyOfOurs(why));
        }
        let differences = cases
            .iter()
            .enumerate()
            .map(|(number, case)| case.differences(number, &mut contenders))
            .collect::<Result<Vec<_>, _>>()?;
        let laps = take_turns(&mut contenders, cases.len(), plan, &mut || {
            progress(Progress::Round);
        })?;
        let mut rows = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let ours = &laps[0][number];
            for (index, contender) in contenders.iter_mut().enumerate() {
                let own = laps[index][number].clone();
                let against = |ours: &[f64], own: &[f64]| (index > 0).then(|| Ratio::of(ours, own));
                rows.push(Row {
                    case: case.name.clone(),
                    name: contender.name().to_owned(),
                    about: contender.about().to_owned(),
                    threads: threads[index],
                    wall_ratio: against(&ours.wall, &own.wall),
                    cpu_ratio: against(&ours.cpu, &own.cpu),
                    laps: own,
                    difference: differences[number][index],
                    peak_bytes: contender.peak_bytes()?,
                });
            }
        }
        Ok(Report {
            title,
            rows,
            absent,
            notes: Vec::new(),
        })
    }
}

impl Case {
    /// Asks every contender for the output of this case, which has the number `number`, and compares.
    fn differences(
        &self,
        number: usize,
        contenders: &mut [Contender],
    ) -> Result<Vec<Option<Difference>>, BenchError> {
        let mut reference = match &self.reference {
            Reference::Nothing => return Ok(vec![None; contenders.len()]),
            Reference::Logits(rows) => Some(rows.clone()),
            Reference::First => None,
        };
        let mut differences = Vec::new();
        for contender in contenders {
            let found = contender.output(number)?;
            let Some(reference) = &reference else {
                reference = Some(found);
                differences.push(None);
                continue;
            };
            let mut difference =
                Difference::of(&found, reference).map_err(|source| BenchError::Shape {
                    name: contender.name().to_owned(),
                    case: self.name.clone(),
                    source,
                })?;
            if self.reference == Reference::First {
                difference.agreement = None;
            }
            differences.push(Some(difference));
        }
        Ok(differences)
    }
}

impl Report {
    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            "case",
            "contender",
            "threads",
            "ms",
            "CPU ms",
            "ours / it",
            "spread",
            "CPU: ours / it",
            "spread",
            "largest difference",
            "same top-1",
            "peak MB",
        ]);
        for row in &self.rows {
            let milliseconds = |laps: &[f64]| format!("{:.2}", 1e3 * median(laps));
            let middle = |ratio: Option<Ratio>| {
                ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.3}", ratio.median))
            };
            let spread = |ratio: Option<Ratio>| {
                ratio.map_or_else(
                    || "-".to_owned(),
                    |ratio| format!("{:.3}-{:.3}", ratio.low, ratio.high),
                )
            };
            let (largest, agreement) = match row.difference {
                Some(Difference {
                    largest,
                    relative,
                    agreement,
                }) => (
                    format!("{largest:.1e} ({:.1e})", relative),
                    agreement
                        .map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
                ),
                None => ("-".to_owned(), "-".to_owned()),
            };
            table.row(&[
                row.case.clone(),
                row.name.clone(),
                row.threads.to_string(),
                milliseconds(&row.laps.wall),
                milliseconds(&row.laps.cpu),
                middle(row.wall_ratio),
                spread(row.wall_ratio),
                middle(row.cpu_ratio),
                spread(row.cpu_ratio),
                largest,
                agreement,
                format!("{:.0}", row.peak_bytes as f64 / 1e6),
            ]);
        }
        let mut text = format!("{}\n\n{}", self.title, table.text());
        let mut told: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !told.contains(&row.name.as_str()) {
                told.push(&row.name);
                text.push_str(&format!("\n{}: {}", row.name, row.about));
            }
        }
        for (name, what) in &self.absent {
            text.push_str(&format!("\nmissing: {name}: {what}"));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}"));
        }
        text.push('\n');
        text
    }

    /// Adds how much memory the first contender took as a share of each other's.
    pub fn note_memory(&mut self) {
        let Some(ours) = self
            .rows
            .first()
            .map(|row| (row.name.clone(), row.peak_bytes))
        else {
            return;
        };
        for row in self.rows.iter().skip(1) {
            let share = ours.1 as f64 / (row.peak_bytes as f64).max(1.0);
            self.notes.push(format!(
                "peak memory, {} / {}: {share:.2}",
                ours.0, row.name
            ));
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn entry(name: &str, script: &str) -> Entry {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Entry {
            name: name.to_owned(),
            threads: 1,
            command,
        }
    }

    fn bench(entries: Vec<Entry>) -> Bench {
        Bench {
            title: "a test".to_owned(),
            cases: vec![Case {
                name: "one".to_owned(),
                reference: Reference::Logits(vec![vec![0.0, 2.0]]),
            }],
            entries,
            plan: Plan {
                rounds: 2,
                times: 1,
                warmup: 1,
            },
        }
    }

    /// Answers an output, a warm-up, two rounds and the memory.
    fn contender(seconds: &str, output: &str) -> String {
        let times =
            format!(r#"read q; echo '{{"times": {{"wall": [{seconds}], "cpu": [{seconds}]}}}}'"#);
        format!(
            r#"echo '{{"ready": {{"about": "sh"}}}}'
               read q; echo '{{"output": {{"rows": [{output}]}}}}'
               {times}; {times}; {times}
               read q; echo '{{"memory": {{"peak_bytes": 5000000}}}}'"#
        )
    }

    #[test]
    fn ratios_differences_and_the_missing_stand_in_the_table() {
        let report = bench(vec![
            entry("ours", &contender("0.001", "[0, 2]")),
            entry("theirs", &contender("0.004", "[3, 2]")),
            entry("absent", r#"echo '{"missing": {"what": "no onnx"}}'"#),
            entry("broken", "echo bad libc >&2; exit 1"),
        ])
        .run(&mut |_| {})
        .unwrap();
        assert_eq!(report.rows.len(), 2);
        assert_eq!(report.rows[1].wall_ratio.unwrap().median, 0.25);
        assert_eq!(report.rows[1].difference.unwrap().agreement, Some(0.0));
        let text = report.text();
        for words in [
            "0.250",
            "100.0 %",
            "missing: absent: no onnx",
            "missing: broken",
            "bad libc",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }

    #[test]
    fn our_own_failure_ends_it() {
        let error = bench(vec![entry("ours", "exit 1")])
            .run(&mut |_| {})
            .unwrap_err();
        assert!(error.to_string().starts_with("ours: ended"), "{error}");
    }
}
