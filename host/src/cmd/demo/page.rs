//! The demo's closing table and its page.

use super::step::Done;
use super::tally::Tally;
use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use tendon_data::dataset::Dataset;
use tendon_host::evaluate::outcome::{Found, Outcome, percent};
use tendon_host::report::{Page, Series, Table, class_figures, lines, matrix};

/// Everything the demo measured.
pub(super) struct Findings {
    set: Dataset,
    probe: Outcome,
    finetune: Outcome,
    bundle: Bundled,
    pretraining: Vec<LogLine>,
    deployed: u64,
    tallies: Vec<Tally>,
}

/// What `tendon bundle --report` writes, as far as it is shown here.
#[derive(Deserialize)]
struct Bundled {
    /// Top-1 of the float network on the test side, 0..=1.
    float: f64,
    /// Top-1 of the int8 network on the same windows, 0..=1.
    int8: f64,
    /// Windows of the test side.
    windows: usize,
    /// Size of the bundle.
    bytes: u64,
}

/// A line of pretraining's log.
#[derive(Deserialize)]
struct LogLine {
    step: u64,
    kind: String,
    loss: Option<f64>,
    knn: Option<f64>,
}

impl Findings {
    /// Reads what the commands left in `folder`.
    pub(super) fn read(
        folder: &Path,
        data: &str,
        deployed: u64,
        tallies: Vec<Tally>,
    ) -> anyhow::Result<Self> {
        let log = folder.join("pretrain/log.jsonl");
        let log = std::fs::read_to_string(&log)
            .with_context(|| format!("cannot read {}", log.display()))?;
        Ok(Self {
            set: Dataset::open(folder.join(data))?,
            probe: json(&folder.join("probe/result.json"))?,
            finetune: json(&folder.join("finetune/result.json"))?,
            bundle: json(&folder.join("bundle.json"))?,
            pretraining: log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            deployed,
            tallies,
        })
    }

    /// The closing table.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&["on camera 2, which training never saw", "top-1", "windows"]);
        let row = |table: &mut Table, name: &str, share: f64, windows: usize| {
            table.row(&[name.to_owned(), percent(share), windows.to_string()]);
        };
        if let Some(found) = last_test(&self.probe) {
            row(
                &mut table,
                "linear probe of the pretrained encoder",
                found.metrics.top1,
                found.metrics.windows,
            );
        }
        let windows = self.bundle.windows;
        row(
            &mut table,
            "finetuned, float (base)",
            self.bundle.float,
            windows,
        );
        row(&mut table, "finetuned, int8", self.bundle.int8, windows);
        let names = [
            "on the device, while adapting",
            "on the device, after adapting",
        ];
        for (name, tally) in names.into_iter().zip(&self.tallies) {
            let windows = tally.windows() as usize + tally.missed;
            row(&mut table, name, tally.accuracy(), windows);
        }
        table
    }

    /// The page.
    pub(super) fn page(&self, steps: &[Done]) -> Page {
        let mut page = Page::new("Tendon: one run from recordings to an adapting device");
        let device = |index: usize| {
            self.tallies
                .get(index)
                .map_or_else(String::new, |tally| percent(tally.accuracy()))
        };
        page.figures_row(&[
            ("float on camera 2", percent(self.bundle.float)),
            ("int8", percent(self.bundle.int8)),
            ("device, while adapting", device(0)),
            ("device, after adapting", device(1)),
        ]);
        page.table(&self.table());
        page.heading("What the cameras saw");
        page.raw(&class_figures(&self.set));
        page.heading("Pretraining without labels");
        let curve = |kind: &str, value: fn(&LogLine) -> Option<f64>| {
            self.pretraining
                .iter()
                .filter(|line| line.kind == kind)
                .filter_map(|line| Some((line.step as f64, value(line)?)))
                .collect()
        };
        let loss = lines(
            "step",
            "contrastive loss",
            &[Series::new("loss", curve("train", |line| line.loss))],
        );
        page.figure(
            &loss,
            "How well a window tells its own second view from others.",
        );
        let nearest = lines(
            "step",
            "kNN top-1",
            &[Series::new(
                "held-out training persons",
                curve("monitor", |line| line.knn),
            )],
        );
        page.figure(
            &nearest,
            "Persons of camera 1 that were held out, classified by their nearest neighbours among the others.",
        );
        self.finetune.add_curves(&mut page);
        if let Some(found) = last_test(&self.finetune) {
            page.figure(
                &matrix(&self.finetune.classes, &found.metrics.confusion),
                "Finetuned with camera 1's labels: the float network on camera 2.",
            );
        }
        page.heading("On the device");
        for (tally, caption) in self.tallies.iter().zip([
            "What the device recognised while it adapted.",
            "The same recordings again, in another order, after adapting.",
        ]) {
            page.figure(&matrix(&self.finetune.classes, &tally.counts), caption);
        }
        page.paragraph(&format!(
            "The bundle has {} bytes; the serial line carried {} bytes in both directions.",
            self.bundle.bytes, self.deployed
        ));
        page.heading("The commands");
        page.paragraph("Each step is a command that works on your own recordings too.");
        let mut table = Table::new(&["step", "command", "seconds"]);
        for step in steps {
            table.row(&[
                step.title.clone(),
                step.command.clone(),
                format!("{:.1}", step.took.as_secs_f64()),
            ]);
        }
        page.table(&table);
        page
    }
}

/// The last result on test windows: for finetuning, the one after training on all persons.
fn last_test(outcome: &Outcome) -> Option<&Found> {
    outcome.results.iter().rev().find(|found| found.test)
}

fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what the demo expects", path.display()))
}
