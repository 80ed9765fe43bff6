//! The page of a measurement: its tables, and accuracy over time.

use super::results::{Line, Results};
use super::tables::tables;
use crate::report::{Page, Series, lines};
use std::collections::BTreeMap;

/// Curves of one figure, at most: more cannot be told apart.
const CURVES: usize = 6;

/// The page with all tables, and a figure for each domain and stream.
#[must_use]
pub fn page(title: &str, results: &Results) -> Page {
    let mut page = Page::new(title);
    page.paragraph(&format!(
        "{} of {} measurements are done. Accuracy in percent, gains in points over the bundle as shipped on the same windows; means over sources and seeds.",
        results.lines.len(),
        results.jobs
    ));
    for (title, table) in tables(results) {
        page.heading(&title).table(&table);
    }
    page.heading("Accuracy over time").paragraph(
        "Share of right answers among the latest hundred windows, mean over sources and seeds of equally long streams.",
    );
    for domain in &results.domains {
        for stream in &results.streams {
            let here = |line: &&Line| line.domain == *domain && line.stream == *stream;
            let found: Vec<&Line> = results.lines.iter().filter(here).collect();
            // The bundle as shipped stands in every line, under the same windows.
            let mut curves = vec![("as shipped".to_owned(), mean(&found, |point| point.1))];
            for method in &results.methods {
                let own: Vec<&Line> = found
                    .iter()
                    .copied()
                    .filter(|line| line.method == *method)
                    .collect();
                // A method that answers as shipped has that curve already, a bound has none.
                let moves = own.iter().any(|line| line.outcome.served_adapted > 0.0);
                if moves || own.iter().any(|line| line.outcome.online.gain() != 0.0) {
                    curves.push((method.clone(), mean(&own, |point| point.2)));
                }
            }
            curves.retain(|(_, points)| points.len() > 1);
            for part in figures(&curves) {
                let series: Vec<Series> = part
                    .iter()
                    .map(|(name, points)| Series::new(name, points.clone()))
                    .collect();
                page.figure(
                    &lines("window of the stream", "accuracy", &series),
                    &format!("{domain}, {stream}"),
                );
            }
        }
    }
    page
}

/// Curves in groups, each with the first one.
fn figures<C: Clone>(curves: &[C]) -> Vec<Vec<C>> {
    let Some((first, rest)) = curves.split_first() else {
        return Vec::new();
    };
    let groups = rest.chunks(CURVES - 1);
    groups
        .map(|group| std::iter::once(first).chain(group).cloned().collect())
        .collect()
}

/// The mean curve of several lines: of those streams that are as long as most are.
fn mean(found: &[&Line], value: fn(&(usize, f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let mut by_length: BTreeMap<Option<usize>, Vec<&Line>> = BTreeMap::new();
    for line in found {
        let length = line.outcome.curve.last().map(|point| point.0);
        by_length.entry(length).or_default().push(line);
    }
    let Some(most) = by_length.into_values().max_by_key(Vec::len) else {
        return Vec::new();
    };
    let count = most.len() as f64;
    let points = most[0].outcome.curve.iter().enumerate();
    points
        .map(|(place, point)| {
            let all = most.iter().filter_map(|line| line.outcome.curve.get(place));
            (point.0 as f64, all.map(value).sum::<f64>() / count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{line, results};
    use super::*;

    #[test]
    fn a_curve_is_the_mean_over_streams_of_one_length() {
        let lines = [
            line("ours", 0, 0.5, 0.6, 0.6),
            line("ours", 1, 0.5, 0.8, 0.6),
        ];
        let all: Vec<&Line> = lines.iter().collect();
        let curve = mean(&all, |point| point.2);
        assert_eq!(curve.len(), 2);
        assert!(curve[1].0 == 100.0 && (curve[1].1 - 0.7).abs() < 1e-9);
        assert!(mean(&[], |point| point.1).is_empty());
    }

    #[test]
    fn every_figure_shows_the_bundle_as_shipped() {
        let groups = figures(&[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(groups, [vec![0, 1, 2, 3, 4, 5], vec![0, 6]]);
        assert!(figures::<u8>(&[]).is_empty());
    }

    #[test]
    fn shows_tables_and_a_curve_for_what_differs_from_the_bundle() {
        let html = page(
            "Adaptation",
            &results(vec![
                line("none", 0, 0.5, 0.5, 0.5),
                line("ours", 0, 0.5, 0.6, 0.6),
            ]),
        )
        .html();
        for text in [
            "2 of 3 measurements",
            "Summary",
            "d, iid",
            ">as shipped<",
            ">ours<",
        ] {
            assert!(html.contains(text), "{text}");
        }
        assert!(!html.contains(">none</text>"));
    }
}
