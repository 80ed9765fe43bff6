//! What an evaluation found, as a file for programs and a page for people.

use super::metrics::{Confidence, Metrics, PSEUDO_LABEL, Predictions, mean_and_spread};
use super::retrieval::Retrieval;
use crate::report::{Bar, Page, Series, Table, bars, lines, matrix, reliability};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Everything `tendon eval` writes to `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `probe`, `knn`, `finetune` or `baselines`.
    pub protocol: String,
    /// The set's file.
    pub data: String,
    /// Digest of the set.
    pub digest: String,
    /// The split, by name or as text.
    pub split: String,
    /// Training persons that were held out to choose with.
    pub held_out: Vec<u16>,
    /// The encoder's file, or nothing when training began from scratch.
    pub encoder: Option<String>,
    /// The seed.
    pub seed: u64,
    /// The settings.
    pub config: serde_json::Value,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What held-out persons chose, for finetuning.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// How well the encoder orders windows, on held-out persons and on the test side.
    #[serde(default)]
    pub retrieval: Option<[Retrieval; 2]>,
    /// What happened over the epochs.
    pub curves: Vec<Curve>,
    /// Figures of each classifier.
    pub results: Vec<Found>,
    /// Figures over several draws of labelled windows.
    #[serde(default)]
    pub draws: Vec<Draws>,
    /// What the reader should know before quoting a figure.
    pub notes: Vec<String>,
    /// Wall time, seconds.
    pub seconds: f64,
}

/// What was chosen by held-out persons, for the final training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Epochs to train.
    pub epochs: usize,
    /// Softmax temperature.
    pub temperature: f64,
}

/// Figures of one classifier on one set of windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was evaluated on what, such as "test, last epoch".
    pub name: String,
    /// Whether these are the windows of the test side.
    pub test: bool,
    /// The figures.
    pub metrics: Metrics,
}

/// One way to learn from few labels, over several draws of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draws {
    /// What learnt.
    pub name: String,
    /// How many labels, in words.
    pub amount: String,
    /// Share of the test windows recognised in each draw, 0..=1.
    pub top1: Vec<f64>,
    /// How far confidence can be relied on in each draw; nothing in results of older programs.
    #[serde(default)]
    pub confidence: Vec<Confidence>,
}

impl Draws {
    /// What several draws say about the test windows.
    #[must_use]
    pub fn of(name: &str, amount: &str, predictions: &[Predictions]) -> Self {
        Self {
            name: name.to_owned(),
            amount: amount.to_owned(),
            top1: predictions.iter().map(Predictions::top1).collect(),
            confidence: predictions.iter().map(Confidence::of).collect(),
        }
    }

    /// Mean over the draws of calibration error, share of windows that are sure enough for a pseudo-label, and share of
    /// these that is right; the last over draws that have such windows.
    fn confidence(&self) -> [Option<f64>; 3] {
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| mean_and_spread(&values).0);
        let each = self.confidence.iter();
        [
            mean(each.clone().map(|one| one.ece).collect()),
            mean(each.clone().map(|one| one.selective.coverage).collect()),
            mean(each.filter_map(|one| one.selective.accuracy).collect()),
        ]
    }
}

/// A quantity over the epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The figure it belongs to, such as "loss".
    pub figure: String,
    /// Its name in that figure.
    pub name: String,
    /// A value an epoch, from epoch 1; absent where it was not measured.
    pub values: Vec<Option<f64>>,
}

impl Outcome {
    /// One line a way to learn and an amount of labels.
    #[must_use]
    pub fn draws_table(&self) -> Table {
        let sure = format!("sure of {PSEUDO_LABEL}");
        let mut table = Table::new(&[
            "learnt by",
            "labels",
            "draws",
            "test top-1",
            "spread",
            "ECE",
            &sure,
            "of these right",
        ]);
        for draws in &self.draws {
            let (mean, spread) = mean_and_spread(&draws.top1);
            let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
            let [ece, coverage, accuracy] = draws.confidence().map(share);
            table.row(&[
                draws.name.clone(),
                draws.amount.clone(),
                draws.top1.len().to_string(),
                percent(mean),
                percent(spread),
                ece,
                coverage,
                accuracy,
            ]);
        }
        table
    }

    /// Held-out persons and the test side, one line each.
    #[must_use]
    pub fn retrieval_table(&self) -> Option<Table> {
        let found = self.retrieval?;
        let mut table = Table::new(&["retrieval", "recall at 1", "at 5", "mean average precision"]);
        for (name, one) in ["held-out persons", "test"].into_iter().zip(found) {
            table.row(&[
                name.to_owned(),
                percent(one.recall_1),
                percent(one.recall_5),
                percent(one.mean_average_precision),
            ]);
        }
        Some(table)
    }

    /// One line a result.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(&[
            "evaluated",
            "windows",
            "top-1",
            "top-5",
            "mean class",
            "NLL",
            "ECE raw",
            "ECE",
            "temperature",
        ]);
        for Found { name, metrics, .. } in &self.results {
            table.row(&[
                name.clone(),
                metrics.windows.to_string(),
                percent(metrics.top1),
                percent(metrics.top5),
                percent(metrics.mean_class),
                format!("{:.3}", metrics.nll),
                percent(metrics.ece_uncalibrated),
                percent(metrics.ece),
                format!("{:.2}", metrics.temperature),
            ]);
        }
        table
    }

    /// The page with all plots.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::new(&format!("Evaluation: {} on {}", self.protocol, self.split));
        page.paragraph(&format!(
            "Set {} (digest {}), encoder {}, held-out training subjects {:?}, seed {}, {:.0} s.",
            self.data,
            self.digest.get(..16).unwrap_or(&self.digest),
            self.encoder.as_deref().unwrap_or("none"),
            self.held_out,
            self.seed,
            self.seconds
        ));
        for note in &self.notes {
            page.warning(note);
        }
        page.heading("Result");
        if !self.results.is_empty() {
            page.table(&self.table());
        }
        if !self.draws.is_empty() {
            page.table(&self.draws_table());
        }
        if let Some(table) = self.retrieval_table() {
            page.table(&table);
        }
        self.add_curves(&mut page);
        if let Some(main) = self
            .results
            .iter()
            .rev()
            .find(|found| found.test)
            .or(self.results.last())
        {
            add_details(&mut page, main, &self.classes);
        }
        page.heading("Settings");
        let mut settings = Table::new(&["setting", "value"]);
        flatten("", &self.config, &mut settings);
        page.table(&settings);
        page
    }

    /// Writes `result.json` and `report.html` into a folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        tendon_files::write(&folder.join("result.json"), &json)?;
        self.page().write(&folder.join("report.html"))
    }

    /// Adds a plot for each figure of the curves, if there are any.
    pub fn add_curves(&self, page: &mut Page) {
        let mut figures: Vec<&str> = Vec::new();
        for curve in &self.curves {
            if !figures.contains(&curve.figure.as_str()) {
                figures.push(&curve.figure);
            }
        }
        if !figures.is_empty() {
            page.heading("Training");
        }
        for figure in figures {
            let series: Vec<Series> = self
                .curves
                .iter()
                .filter(|curve| curve.figure == figure)
                .map(Curve::series)
                .collect();
            page.figure(&lines("epoch", figure, &series), "");
        }
    }
}

impl Curve {
    fn series(&self) -> Series {
        let point =
            |(index, value): (usize, &Option<f64>)| ((index + 1) as f64, value.unwrap_or(f64::NAN));
        Series::new(
            &self.name,
            self.values.iter().enumerate().map(point).collect(),
        )
    }
}

/// Plots of the result that matters most.
fn add_details(page: &mut Page, found: &Found, classes: &[String]) {
    let metrics = &found.metrics;
    page.heading(&format!("In detail: {}", found.name));
    let caption = format!(
        "Calibration after temperature {:.2}: ECE {}",
        metrics.temperature,
        percent(metrics.ece)
    );
    page.figure(&reliability(&metrics.reliability), &caption);
    let per_class: Vec<Bar> = metrics
        .per_class
        .iter()
        .map(|count| Bar {
            name: count.class.clone(),
            value: f64::from(count.right) / f64::from(count.total),
            note: format!("{} of {}", count.right, count.total),
        })
        .collect();
    page.figure(&bars(&per_class), "Share of each class that was recognised");
    page.figure(
        &matrix(classes, &metrics.confusion),
        "Confusion matrix; a stronger colour is a larger share of its row",
    );
    let mut table = Table::new(&["confidence at least", "windows accepted", "of these right"]);
    for at in &metrics.selective {
        let accuracy = at.accuracy.map_or_else(|| "-".to_owned(), percent);
        table.row(&[
            format!("{:.2}", at.threshold),
            percent(at.coverage),
            accuracy,
        ]);
    }
    page.table(&table);
}

/// Adds every leaf of a JSON value as a row.
fn flatten(prefix: &str, value: &serde_json::Value, table: &mut Table) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&name, value, table);
            }
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{prefix}.{}", index + 1), value, table);
            }
        }
        serde_json::Value::Number(number) if number.is_f64() => {
            // A value that was an f32 would show the digits of its rounding.
            let rounded = number.as_f64().map_or(0.0, |value| value as f32);
            table.row(&[prefix.to_owned(), rounded.to_string()]);
        }
        leaf => {
            table.row(&[prefix.to_owned(), leaf.to_string()]);
        }
    }
}

/// A share as a percentage with one decimal.
#[must_use]
pub fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.1} %", share * 100.0)
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evaluate::metrics::Predictions;

    pub(crate) fn example() -> Outcome {
        let classes: Vec<String> = ["sit", "<wave>", "walk"].map(str::to_owned).into();
        let logits = vec![
            2.0, 0.1, 0.0, 0.2, 1.0, 0.3, 0.4, 0.9, 0.1, 0.0, 0.1, 3.0, 0.5, 0.2, 0.1,
        ];
        let predictions = Predictions::new(3, logits, vec![0, 1, 0, 2, 0]);
        Outcome {
            protocol: "finetune".into(),
            data: "set.safetensors".into(),
            digest: "00".repeat(32),
            split: "nw-ucla-view1".into(),
            held_out: vec![8, 9, 10],
            encoder: None,
            seed: 0,
            config: serde_json::json!({"epochs": 2, "augment": {"shear": 0.1}}),
            choice: Some(Choice {
                epochs: 2,
                temperature: 1.3,
            }),
            curves: vec![Curve {
                figure: "loss".into(),
                name: "training".into(),
                values: vec![Some(2.0), Some(1.4), None, Some(0.7)],
            }],
            retrieval: None,
            draws: vec![Draws {
                name: "statistics".into(),
                amount: "2 a class".into(),
                top1: vec![0.5, 0.25],
                confidence: Vec::new(),
            }],
            results: vec![Found {
                name: "test".into(),
                test: true,
                metrics: Metrics::compute(&predictions, &classes, 1.3),
            }],
            classes,
            notes: vec!["a note".into()],
            seconds: 3.0,
        }
    }

    #[test]
    fn result_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        example().write(folder.path()).unwrap();
        let read: Outcome =
            serde_json::from_slice(&std::fs::read(folder.path().join("result.json")).unwrap())
                .unwrap();
        assert_eq!(
            (&read.curves, &read.choice),
            (&example().curves, &example().choice)
        );
        let (read, written) = (&read.results[0].metrics, &example().results[0].metrics);
        assert_eq!(
            (&read.confusion, &read.per_class),
            (&written.confusion, &written.per_class)
        );
        assert!((read.ece - written.ece).abs() < 1e-12);
    }

    #[test]
    fn draws_tell_calibration_and_what_pseudo_labels_would_be() {
        let sure = |right: bool| Predictions::new(2, vec![90.0, 0.0], vec![u16::from(!right)]);
        let unsure = Predictions::new(2, vec![0.1, 0.0], vec![0]);
        let mut outcome = example();
        outcome.draws = vec![Draws::of("x", "5 %", &[sure(true), sure(false), unsure])];
        let text = outcome.draws_table().text();
        for expect in ["sure of 0.95", "66.7 %", "50.0 %"] {
            assert!(text.contains(expect), "{text}");
        }
    }

    #[test]
    fn page_shows_curves_matrix_and_settings() {
        let html = example().page().html();
        assert!(
            html.contains("augment.shear")
                && html.contains("Confusion matrix")
                && html.contains("&lt;wave&gt;")
        );
        assert!(!html.contains("<wave>"));
    }
}
