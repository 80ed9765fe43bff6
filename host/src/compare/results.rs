//! What the jobs of a comparison found, in one table.

use super::job::{Job, Kind};
use crate::evaluate::metrics::mean_and_spread;
use crate::evaluate::outcome::{Outcome, percent};
use crate::report::Table;
use serde::Serialize;
use std::collections::BTreeMap;

/// One figure of one encoder, over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured, such as "probe".
    pub name: String,
    /// On which set's test side.
    pub set: String,
    /// Share of the test windows recognised, 0..=1, by seed. Over several draws of labels, their mean.
    pub by_seed: BTreeMap<u64, f64>,
    /// What the means are of.
    #[serde(skip)]
    pub each: BTreeMap<u64, Vec<f64>>,
}

/// One encoder with its figures and costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The encoder's name.
    pub encoder: String,
    /// Figures in the order of the plan.
    pub figures: Vec<Figure>,
    /// Processor seconds of a pretraining, mean over the runs.
    pub cpu_seconds: Option<f64>,
    /// Largest resident size of a pretraining, bytes.
    pub peak_bytes: u64,
}

/// The comparison so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// Jobs that are done.
    pub done: usize,
    /// Jobs in all.
    pub jobs: usize,
    /// One an encoder, in the order of the plan.
    pub rows: Vec<Row>,
}

/// Reads what the jobs that are done have written. `done` says which are.
#[must_use]
pub fn gather(jobs: &[Job], done: impl Fn(&Job) -> bool) -> Results {
    let mut results = Results {
        jobs: jobs.len(),
        ..Results::default()
    };
    let mut costs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for job in jobs {
        let at = match results
            .rows
            .iter()
            .position(|row| row.encoder == job.encoder)
        {
            Some(at) => at,
            None => {
                results.rows.push(Row {
                    encoder: job.encoder.clone(),
                    figures: Vec::new(),
                    cpu_seconds: None,
                    peak_bytes: 0,
                });
                results.rows.len() - 1
            }
        };
        if !done(job) {
            continue;
        }
        results.done += 1;
        let row = &mut results.rows[at];
        match &job.kind {
            Kind::Pretrain => {
                let usage = job.usage().unwrap_or_default();
                row.peak_bytes = row.peak_bytes.max(usage.peak_bytes);
                let known = costs.entry(job.encoder.clone()).or_default();
                known.extend(usage.cpu_seconds);
                row.cpu_seconds = (!known.is_empty()).then(|| mean_and_spread(known).0);
            }
            Kind::Evaluate { protocol, set } => {
                let Some(outcome) = read(job) else { continue };
                let labels = job.labels.as_ref();
                let labels = labels.map(|labels| labels.amount.title());
                for (name, value) in headline(protocol, labels.as_deref(), &outcome) {
                    row.add(&name, set, job.seed, value);
                }
            }
        }
    }
    results
}

fn read(job: &Job) -> Option<Outcome> {
    serde_json::from_slice(&std::fs::read(job.folder.join("result.json")).ok()?).ok()
}

/// The figures of a result that stand in the table: the last one on the test side, or each amount of labels.
fn headline(protocol: &str, labels: Option<&str>, outcome: &Outcome) -> Vec<(String, f64)> {
    if !outcome.draws.is_empty() {
        let own = |name: &str| name.starts_with("encoder");
        let several = outcome
            .draws
            .iter()
            .any(|one| one.name == "encoder, finetuned");
        return outcome
            .draws
            .iter()
            .filter(|one| own(&one.name) && (!several || one.name == "encoder, finetuned"))
            .map(|one| {
                let way = match one.name.as_str() {
                    "encoder, label spreading" => " spread",
                    _ => "",
                };
                let name = format!("{protocol}{way}, {}", one.amount);
                (name, mean_and_spread(&one.top1).0)
            })
            .collect();
    }
    let last = outcome.results.iter().rev().find(|found| found.test);
    let name = match labels {
        Some(amount) => format!("{protocol}, {amount}"),
        None => protocol.to_owned(),
    };
    last.map(|found| (name, found.metrics.top1))
        .into_iter()
        .collect()
}

impl Row {
    fn add(&mut self, name: &str, set: &str, seed: u64, value: f64) {
        let known = |figure: &&Figure| figure.name == name && figure.set == set;
        let at = match self.figures.iter().position(|figure| known(&figure)) {
            Some(at) => at,
            None => {
                self.figures.push(Figure {
                    name: name.to_owned(),
                    set: set.to_owned(),
                    by_seed: BTreeMap::new(),
                    each: BTreeMap::new(),
                });
                self.figures.len() - 1
            }
        };
        let figure = &mut self.figures[at];
        let each = figure.each.entry(seed).or_default();
        each.push(value);
        figure.by_seed.insert(seed, mean_and_spread(each).0);
    }

    /// Mean and spread over the seeds of a figure, and how many there are.
    #[must_use]
    pub fn figure(&self, name: &str, set: &str) -> Option<(f64, f64, usize)> {
        let found = self
            .figures
            .iter()
            .find(|figure| figure.name == name && figure.set == set)?;
        let values: Vec<f64> = found.by_seed.values().copied().collect();
        let (mean, spread) = mean_and_spread(&values);
        Some((mean, spread, values.len()))
    }
}

impl Results {
    /// Names of all sets and of the figures on each, in the order in which they appear.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, Vec<String>)> {
        let mut columns: Vec<(String, Vec<String>)> = Vec::new();
        for figure in self.rows.iter().flat_map(|row| &row.figures) {
            let at = match columns.iter().position(|(set, _)| *set == figure.set) {
                Some(at) => at,
                None => {
                    columns.push((figure.set.clone(), Vec::new()));
                    columns.len() - 1
                }
            };
            let (_, names) = &mut columns[at];
            if !names.contains(&figure.name) {
                names.push(figure.name.clone());
            }
        }
        columns
    }

    /// A table a set, and one of what pretraining costs; one row an encoder.
    #[must_use]
    pub fn tables(&self) -> Vec<(String, Table)> {
        let mut tables: Vec<(String, Table)> = self
            .columns()
            .into_iter()
            .map(|(set, names)| {
                let table = self.table("encoder", &names, |row| {
                    names
                        .iter()
                        .map(|name| match row.figure(name, &set) {
                            Some((mean, _, 1)) => percent(mean),
                            Some((mean, spread, _)) => {
                                format!("{} ± {:.1}", percent(mean), 100.0 * spread)
                            }
                            None => String::new(),
                        })
                        .collect()
                });
                (set, table)
            })
            .collect();
        let names = ["processor minutes", "peak MB"].map(str::to_owned);
        let costs = self.table("pretraining", &names, |row| {
            let minutes = row
                .cpu_seconds
                .map(|seconds| format!("{:.1}", seconds / 60.0));
            let peak = format!("{:.0}", row.peak_bytes as f64 / 1e6);
            vec![minutes.unwrap_or_default(), peak]
        });
        tables.push(("cost of one pretraining".to_owned(), costs));
        tables
    }

    fn table(&self, first: &str, names: &[String], cells: impl Fn(&Row) -> Vec<String>) -> Table {
        let header: Vec<&str> = std::iter::once(first)
            .chain(names.iter().map(String::as_str))
            .collect();
        let mut table = Table::new(&header);
        for row in &self.rows {
            let mut line = vec![row.encoder.clone()];
            line.extend(cells(row));
            table.row(&line);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::job::Labels;
    use crate::compare::plan::Amount;
    use crate::evaluate::outcome::{Draws, tests::example};
    use std::path::{Path, PathBuf};

    fn job(folder: &Path, seed: u64, protocol: &str) -> Job {
        Job {
            kind: Kind::Evaluate {
                protocol: protocol.to_owned(),
                set: "a".to_owned(),
            },
            encoder: "x".to_owned(),
            on: "a".to_owned(),
            labels: None,
            seed,
            folder: folder.join(format!("{protocol}-{seed}")),
            arguments: Vec::new(),
            inputs: vec![PathBuf::from("none")],
        }
    }

    #[test]
    fn figures_come_together_over_seeds_and_unfinished_jobs_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = [
            job(folder.path(), 0, "probe"),
            job(folder.path(), 1, "probe"),
            job(folder.path(), 2, "probe"),
            job(folder.path(), 0, "few"),
        ];
        let draws = |name: &str, top1: [f64; 2]| Draws {
            name: name.to_owned(),
            amount: "1 a class".to_owned(),
            top1: top1.into(),
            confidence: Vec::new(),
        };
        for (job, right) in jobs.iter().zip([0.4, 0.6, 0.9, 0.0]) {
            let mut outcome = example();
            outcome.draws.clear();
            outcome.results[0].metrics.top1 = right;
            if job.seed == 0 && right == 0.0 {
                outcome.draws = vec![
                    draws("statistics, logistic regression", [1.0, 1.0]),
                    draws("encoder, logistic regression", [0.2, 0.4]),
                    draws("encoder, label spreading", [0.5, 0.7]),
                ];
            }
            outcome.write(&job.folder).unwrap();
        }
        let results = gather(&jobs, |job| job.seed != 2);
        assert_eq!((results.done, results.jobs), (3, 4));
        let row = &results.rows[0];
        let (mean, spread, seeds) = row.figure("probe", "a").unwrap();
        assert!((mean - 0.5).abs() < 1e-9 && spread > 0.1 && seeds == 2);
        let (few, _, _) = row.figure("few, 1 a class", "a").unwrap();
        assert!((few - 0.3).abs() < 1e-9);
        let (spread, _, _) = row.figure("few spread, 1 a class", "a").unwrap();
        assert!((spread - 0.6).abs() < 1e-9);
        let labelled = |draw| Job {
            labels: Some(Labels {
                amount: Amount("5%".to_owned()),
                draw,
            }),
            folder: jobs[draw as usize].folder.clone(),
            ..job(folder.path(), 0, "labels")
        };
        let several = gather(&[labelled(0), labelled(1)], |_| true);
        // Two draws of one seed are one figure, their mean.
        assert_eq!(
            several.rows[0].figure("labels, 5 %", "a"),
            Some((mean, 0.0, 1))
        );
        let tables = results.tables();
        let text = tables[0].1.text();
        assert_eq!((tables[0].0.as_str(), tables.len()), ("a", 2));
        assert!(
            text.contains("probe") && text.contains("50.0 % ± 14.1"),
            "{text}"
        );
    }
}
