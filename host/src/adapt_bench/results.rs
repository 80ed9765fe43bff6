//! Gathers what the jobs have found.

use super::job::Job;
use super::measure::Outcome;
use super::plan::Plan;
use super::rank::spearman;
use serde::Serialize;
use std::collections::BTreeMap;

/// One job with its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The domain's name.
    pub domain: String,
    /// The source's name.
    pub source: String,
    /// The stream's name.
    pub stream: String,
    /// The method's name.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The result.
    pub outcome: Outcome,
}

/// The measurement so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// Jobs in all.
    pub jobs: usize,
    /// Those that are done, in the order of the plan.
    pub lines: Vec<Line>,
    /// Names of the domains in the order of the plan.
    pub domains: Vec<String>,
    /// Names of the streams in the order of the plan.
    pub streams: Vec<String>,
    /// Names of the methods in the order of the plan.
    pub methods: Vec<String>,
}

/// How one number of a guard goes with the truth, over all streams of a method.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tracking {
    /// Streams in which it could be told.
    pub streams: usize,
    /// Mean rank correlation over these of the adapted tail's number with its accuracy, -1..=1.
    pub level: f64,
    /// Streams in which differences could be told.
    pub gain_streams: usize,
    /// Mean rank correlation over these of the difference of both tails' numbers with the difference of their accuracies, -1..=1.
    pub gain: f64,
}

/// Reads what is done; `read` gives a job's result.
#[must_use]
pub fn gather(plan: &Plan, jobs: &[Job], read: impl Fn(&Job) -> Option<Outcome>) -> Results {
    let lines = jobs.iter().filter_map(|job| {
        Some(Line {
            domain: plan.domains[job.domain].name.clone(),
            source: plan.sources[job.source].name.clone(),
            stream: plan.streams[job.stream].name.clone(),
            method: plan.methods[job.method].name.clone(),
            seed: job.seed,
            outcome: read(job)?,
        })
    });
    Results {
        jobs: jobs.len(),
        lines: lines.collect(),
        domains: plan.domains.iter().map(|one| one.name.clone()).collect(),
        streams: plan.streams.iter().map(|one| one.name.clone()).collect(),
        methods: plan.methods.iter().map(|one| one.name.clone()).collect(),
    }
}

/// Mean of a figure over some lines; nothing without lines.
#[must_use]
pub fn mean<'l>(
    lines: impl IntoIterator<Item = &'l Line>,
    figure: impl Fn(&Outcome) -> f64,
) -> Option<f64> {
    let values: Vec<f64> = lines
        .into_iter()
        .map(|line| figure(&line.outcome))
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Results {
    /// The lines of a method.
    pub fn of<'r>(&'r self, method: &'r str) -> impl Iterator<Item = &'r Line> + Clone {
        self.lines.iter().filter(move |line| line.method == method)
    }

    /// How each number of a method's guard goes with the truth, by name.
    #[must_use]
    pub fn tracking(&self, method: &str) -> BTreeMap<String, Tracking> {
        let mut found: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        for line in self.of(method) {
            let checks = &line.outcome.checks;
            let names = checks.iter().flat_map(|check| check.estimates.keys());
            let names: std::collections::BTreeSet<&String> = names.collect();
            for name in names {
                let both = checks.iter().filter_map(|check| {
                    let (base, adapted) = check.estimates.get(name)?;
                    let level = (*adapted, check.adapted);
                    Some((level, (adapted - base, check.adapted - check.base)))
                });
                let (levels, gains): (Vec<_>, Vec<_>) = both.unzip();
                let (level, gain) = found.entry(name.clone()).or_default();
                level.extend(spearman(&levels));
                gain.extend(spearman(&gains));
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        found
            .into_iter()
            .map(|(name, (level, gain))| {
                let tracking = Tracking {
                    streams: level.len(),
                    level: mean(&level),
                    gain_streams: gain.len(),
                    gain: mean(&gain),
                };
                (name, tracking)
            })
            .collect()
    }

    /// Looks of a method's guard, and how often the tail that was truly worse served after one.
    #[must_use]
    pub fn misjudged(&self, method: &str) -> (usize, usize) {
        let checks = self.of(method).flat_map(|line| &line.outcome.checks);
        checks.fold((0, 0), |(looks, wrong), check| {
            let worse = match check.serves {
                true => check.adapted < check.base,
                false => check.adapted > check.base,
            };
            (looks + 1, wrong + usize::from(worse))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::adapt_bench::measure::{Accuracy, Check};

    /// A line of the method `m` in domain `d` with these accuracies on the stream and afterwards.
    pub(crate) fn line(method: &str, seed: u64, base: f64, online: f64, afterwards: f64) -> Line {
        let accuracy = |method| Accuracy {
            windows: 100,
            base,
            method,
            unguarded: method,
        };
        Line {
            domain: "d".to_owned(),
            source: "s".to_owned(),
            stream: "iid".to_owned(),
            method: method.to_owned(),
            seed,
            outcome: Outcome {
                online: accuracy(online),
                afterwards: accuracy(afterwards),
                source: accuracy(base),
                curve: vec![(50, base, online), (100, base, online)],
                ..Outcome::default()
            },
        }
    }

    /// Results of these lines.
    pub(crate) fn results(lines: Vec<Line>) -> Results {
        let mut methods: Vec<String> = lines.iter().map(|line| line.method.clone()).collect();
        methods.dedup();
        Results {
            jobs: lines.len() + 1,
            lines,
            domains: vec!["d".to_owned()],
            streams: vec!["iid".to_owned()],
            methods,
        }
    }

    fn check(estimate: (f64, f64), base: f64, adapted: f64, serves: bool) -> Check {
        Check {
            estimates: BTreeMap::from([("confidence".to_owned(), estimate)]),
            base,
            adapted,
            serves,
        }
    }

    #[test]
    fn an_estimate_that_orders_as_the_truth_does_tracks_it() {
        let mut one = line("ours", 0, 0.5, 0.6, 0.6);
        one.outcome.checks = vec![
            check((0.5, 0.4), 0.5, 0.3, false),
            check((0.5, 0.6), 0.5, 0.5, true),
            check((0.5, 0.9), 0.5, 0.8, true),
        ];
        let results = results(vec![one]);
        let tracking = &results.tracking("ours")["confidence"];
        assert_eq!(
            (tracking.streams, tracking.level, tracking.gain),
            (1, 1.0, 1.0)
        );
        assert_eq!(results.misjudged("ours"), (3, 0));
    }

    #[test]
    fn serving_the_worse_tail_is_counted() {
        let mut one = line("ours", 0, 0.5, 0.6, 0.6);
        one.outcome.checks = vec![
            check((0.5, 0.6), 0.5, 0.4, true),
            check((0.5, 0.6), 0.5, 0.6, false),
            check((0.5, 0.6), 0.5, 0.5, true),
        ];
        assert_eq!(results(vec![one]).misjudged("ours"), (3, 2));
    }
}
