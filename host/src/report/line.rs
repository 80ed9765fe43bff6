//! Curves over a common horizontal axis.

use super::scale::{Scale, label, range};
use super::svg::{Anchor, Svg};

/// Figure size and margins, pixels.
const SIZE: (f64, f64) = (460.0, 280.0);
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Curves have this many different colours.
const COLOURS: usize = 6;

/// One named curve.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// A curve through `points` (x, y); points that are not finite leave a gap.
    #[must_use]
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points,
        }
    }
}

/// Draws curves with both axes, ticks and a legend.
#[must_use]
pub fn lines(x_name: &str, y_name: &str, series: &[Series]) -> Svg {
    let points = || series.iter().flat_map(|s| s.points.iter().copied());
    let legend = 16.0 * series.len().div_ceil(3) as f64;
    let (width, height) = (SIZE.0, SIZE.1 + legend);
    let x = Scale::new(range(points().map(|p| p.0)), (LEFT, width - RIGHT));
    let (shown, highest) = without_outliers(points().map(|p| p.1));
    let y = Scale::new(shown, (SIZE.1 - BOTTOM, TOP));
    let mut svg = Svg::new(width, height);
    for tick in y.ticks(5) {
        svg.line("grid", (LEFT, y.at(tick)), (width - RIGHT, y.at(tick)));
        svg.text(
            "soft",
            (LEFT - 6.0, y.at(tick) + 4.0),
            Anchor::End,
            &label(tick),
        );
    }
    for tick in x.ticks(6) {
        svg.line(
            "axis",
            (x.at(tick), SIZE.1 - BOTTOM),
            (x.at(tick), SIZE.1 - BOTTOM + 4.0),
        );
        svg.text(
            "soft",
            (x.at(tick), SIZE.1 - BOTTOM + 16.0),
            Anchor::Middle,
            &label(tick),
        );
    }
    svg.line(
        "axis",
        (LEFT, SIZE.1 - BOTTOM),
        (width - RIGHT, SIZE.1 - BOTTOM),
    );
    svg.text(
        "soft",
        ((LEFT + width - RIGHT) / 2.0, SIZE.1 - 8.0),
        Anchor::Middle,
        x_name,
    );
    svg.turned_text(
        "soft",
        (12.0, (TOP + SIZE.1 - BOTTOM) / 2.0),
        Anchor::Middle,
        -90.0,
        y_name,
    );
    if let Some(highest) = highest {
        let text = format!("above the frame: up to {}", label(highest.round()));
        svg.text("soft", (width - RIGHT, TOP + 10.0), Anchor::End, &text);
    }
    for (index, one) in series.iter().enumerate() {
        let colour = index % COLOURS;
        let inside = |value: f64| y.at(if value > shown.1 { shown.1 } else { value });
        let pixels: Vec<(f64, f64)> = one
            .points
            .iter()
            .map(|p| (x.at(p.0), inside(p.1)))
            .collect();
        svg.polyline(&format!("curve s{colour}"), &pixels);
        let (column, row) = (index % 3, index / 3);
        let at = (
            LEFT + 136.0 * column as f64,
            SIZE.1 + 8.0 + 16.0 * row as f64,
        );
        svg.line(
            &format!("curve s{colour}"),
            (at.0, at.1 - 4.0),
            (at.0 + 16.0, at.1 - 4.0),
        );
        svg.text("", (at.0 + 21.0, at.1), Anchor::Start, &one.name);
    }
    svg
}

/// The range of values that is shown: all of them, unless a few are so high that nothing could be seen of the others. The second value is the
/// highest then.
fn without_outliers(values: impl Iterator<Item = f64>) -> ((f64, f64), Option<f64>) {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = range(sorted.iter().copied());
    let most = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(high);
    if most > 0.0 && high > 10.0 * most {
        ((low, 1.5 * most), Some(high))
    } else {
        ((low, high), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_curve_and_a_legend_entry_a_series() {
        let series = [
            Series::new("loss", vec![(0.0, 2.0), (1.0, 1.0)]),
            Series::new("val", vec![(0.0, f64::NAN), (1.0, 0.5)]),
        ];
        let html = lines("epoch", "value", &series).html();
        assert_eq!(html.matches("<polyline").count(), 2);
        assert!(html.contains(">loss<") && html.contains(">val<") && html.contains(">epoch<"));
    }

    #[test]
    fn a_few_values_that_are_far_too_high_leave_the_others_to_be_seen() {
        let falling = |n: u32| {
            (
                f64::from(n),
                if n == 0 { 4_000.0 } else { 1.0 / f64::from(n) },
            )
        };
        let series = [Series::new("loss", (0..30).map(falling).collect())];
        let html = lines("epoch", "loss", &series).html();
        assert!(html.contains("above the frame: up to 4000"));
        let ((_, shown), _) = without_outliers((0..30).map(|n| falling(n).1));
        assert!(shown < 2.0, "{shown}");
        assert_eq!(without_outliers([1.0, 9.0].into_iter()).1, None);
    }

    #[test]
    fn no_data_is_an_empty_plot() {
        assert!(!lines("x", "y", &[]).html().contains("NaN"));
    }
}
