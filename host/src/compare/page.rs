//! The page of a comparison.

use super::results::Results;
use crate::report::{Bar, Page, Point, Series, bars, lines, scatter};

/// A map of one encoder's embeddings of one set.
#[derive(Debug, Clone)]
pub struct EncoderMap {
    /// The encoder, the seed and the set, in words.
    pub title: String,
    /// One a test window.
    pub points: Vec<Point>,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// The page with the table, bars for each figure, the monitor's curves and the maps.
#[must_use]
pub fn page(
    title: &str,
    results: &Results,
    curves: &[(String, Vec<(f64, f64)>)],
    maps: &[EncoderMap],
) -> Page {
    let mut page = Page::new(title);
    page.paragraph(&format!(
        "{} of {} jobs are done. Figures are shares of test windows recognised; over several seeds, mean and spread.",
        results.done, results.jobs
    ));
    for (title, table) in results.tables() {
        page.heading(&title).table(&table);
    }
    page.heading("Side by side");
    let figures = results.columns().into_iter();
    let figures =
        figures.flat_map(|(set, names)| names.into_iter().map(move |name| (set.clone(), name)));
    for (set, name) in figures {
        let shown: Vec<Bar> = results
            .rows
            .iter()
            .filter_map(|row| {
                let (mean, spread, seeds) = row.figure(&name, &set)?;
                Some(Bar {
                    name: row.encoder.clone(),
                    value: mean,
                    note: match seeds {
                        1 => format!("{:.1}", 100.0 * mean),
                        _ => format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * spread),
                    },
                })
            })
            .collect();
        page.figure(&bars(&shown), &format!("{set}: {name}"));
    }
    if !curves.is_empty() {
        let series: Vec<Series> = curves
            .iter()
            .map(|(name, points)| Series::new(name, points.clone()))
            .collect();
        page.heading("While pretraining").figure(
            &lines(
                "step",
                "nearest neighbours, held-out training persons",
                &series,
            ),
            "First seed. The labels are only looked at, never learnt from.",
        );
    }
    if !maps.is_empty() {
        page.heading("Embeddings").paragraph(
            "Test windows by t-SNE: neighbours in a map mean something, distances and directions do not.",
        );
    }
    for map in maps {
        page.figure(&scatter(&map.points, &map.classes), &map.title);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figure, Row};
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn shows_every_figure_curve_and_map() {
        let results = Results {
            done: 1,
            jobs: 2,
            rows: vec![Row {
                encoder: "skeletonclr".into(),
                figures: vec![Figure {
                    name: "probe".into(),
                    set: "nw".into(),
                    by_seed: BTreeMap::from([(0, 0.5), (1, 0.7)]),
                    each: BTreeMap::new(),
                }],
                cpu_seconds: Some(90.0),
                peak_bytes: 5_000_000,
            }],
        };
        let map = EncoderMap {
            title: "a map".into(),
            points: vec![Point {
                at: (0.0, 1.0),
                group: 0,
            }],
            classes: vec!["sit".into()],
        };
        let curves = [("skeletonclr".to_owned(), vec![(0.0, 0.1), (1.0, 0.2)])];
        let html = page("Comparison", &results, &curves, &[map]).html();
        for text in [
            "1 of 2 jobs",
            "nw: probe",
            "60.0 ± 14.1",
            "1.5",
            "a map",
            "step",
        ] {
            assert!(html.contains(text), "{text}");
        }
    }
}
