//! A confusion matrix as a heat map.

use super::bars::shorten;
use super::svg::{Anchor, Svg};

/// Draws counts `[true class][predicted class]`, each row shaded by its share.
#[must_use]
pub fn matrix(classes: &[String], counts: &[Vec<u32>]) -> Svg {
    let n = counts.len();
    let cell = if n <= 12 {
        34.0
    } else {
        (620.0 / n.max(1) as f64).clamp(9.0, 26.0)
    };
    let (left, top) = (170.0, 20.0);
    let side = cell * n as f64;
    let mut svg = Svg::new(left + side + 90.0, top + side + 110.0);
    svg.text(
        "soft",
        (left + side / 2.0, 12.0),
        Anchor::Middle,
        "predicted (rows: true class)",
    );
    let name = |index: usize| {
        classes
            .get(index)
            .map_or_else(|| index.to_string(), |name| shorten(name, 22))
    };
    for (truth, row) in counts.iter().enumerate() {
        let y = top + cell * truth as f64;
        let total: u32 = row.iter().sum();
        if cell >= 11.0 {
            svg.text(
                "",
                (left - 8.0, y + cell / 2.0 + 4.0),
                Anchor::End,
                &name(truth),
            );
        }
        for (predicted, &count) in row.iter().enumerate() {
            let share = if total == 0 {
                0.0
            } else {
                f64::from(count) / f64::from(total)
            };
            let x = left + cell * predicted as f64;
            let tooltip = format!(
                "{} taken for {}: {count} of {total}",
                name(truth),
                name(predicted)
            );
            svg.rect("cell", (x, y), (cell, cell), share, &tooltip);
            if count > 0 && cell >= 16.0 {
                let class = if share > 0.55 { "onheat" } else { "" };
                svg.text(
                    class,
                    (x + cell / 2.0, y + cell / 2.0 + 4.0),
                    Anchor::Middle,
                    &count.to_string(),
                );
            }
        }
    }
    for index in 0..if cell >= 11.0 { n } else { 0 } {
        let at = (left + cell * (index as f64 + 0.5), top + side + 12.0);
        svg.turned_text("", at, Anchor::Start, 40.0, &name(index));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_tells_its_count() {
        let svg = matrix(&["sit".into(), "wave".into()], &[vec![3, 1], vec![0, 0]]).html();
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains("sit taken for wave: 1 of 4"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn missing_class_names_become_numbers() {
        assert!(
            matrix(&[], &[vec![1]])
                .html()
                .contains("0 taken for 0: 1 of 1")
        );
    }
}
