//! A reliability diagram: how often predictions of a given confidence are right.

use super::scale::Scale;
use super::svg::{Anchor, Svg};

/// Predictions whose confidence falls in one interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bin {
    /// Lower end of the interval, 0..=1.
    pub from: f64,
    /// Upper end of the interval, 0..=1.
    pub to: f64,
    /// Windows in it.
    pub count: usize,
    /// Mean confidence, 0..=1.
    pub confidence: f64,
    /// Share that is right, 0..=1.
    pub accuracy: f64,
}

/// Draws accuracy against confidence; bars as wide as their bins, stronger where there are more windows.
#[must_use]
pub fn reliability(bins: &[Bin]) -> Svg {
    let (left, top, side) = (46.0, 10.0, 230.0);
    let mut svg = Svg::new(left + side + 12.0, top + side + 40.0);
    let x = Scale::new((0.0, 1.0), (left, left + side));
    let y = Scale::new((0.0, 1.0), (top + side, top));
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.line("grid", (left, y.at(tick)), (left + side, y.at(tick)));
        svg.text(
            "soft",
            (left - 6.0, y.at(tick) + 4.0),
            Anchor::End,
            &format!("{tick}"),
        );
        svg.text(
            "soft",
            (x.at(tick), top + side + 15.0),
            Anchor::Middle,
            &format!("{tick}"),
        );
    }
    let most = bins.iter().map(|b| b.count).max().unwrap_or(0).max(1);
    for bin in bins.iter().filter(|b| b.count > 0) {
        let opacity = 0.25 + 0.65 * (bin.count as f64 / most as f64);
        let size = (
            x.at(bin.to) - x.at(bin.from) - 1.0,
            y.at(0.0) - y.at(bin.accuracy),
        );
        let tooltip = format!(
            "confidence {:.2}..{:.2}: {} windows, mean confidence {:.3}, right {:.3}",
            bin.from, bin.to, bin.count, bin.confidence, bin.accuracy
        );
        svg.rect(
            "f0",
            (x.at(bin.from), y.at(bin.accuracy)),
            size,
            opacity,
            &tooltip,
        );
    }
    svg.line("ideal", (x.at(0.0), y.at(0.0)), (x.at(1.0), y.at(1.0)));
    svg.line("axis", (left, top + side), (left + side, top + side));
    svg.text(
        "soft",
        (left + side / 2.0, top + side + 33.0),
        Anchor::Middle,
        "confidence",
    );
    svg.turned_text(
        "soft",
        (12.0, top + side / 2.0),
        Anchor::Middle,
        -90.0,
        "share that is right",
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bins_draw_nothing() {
        let empty = Bin {
            from: 0.0,
            to: 0.5,
            count: 0,
            confidence: 0.0,
            accuracy: 0.0,
        };
        let full = Bin {
            from: 0.5,
            to: 1.0,
            count: 4,
            confidence: 0.8,
            accuracy: 0.75,
        };
        let html = reliability(&[empty, full]).html();
        assert_eq!(html.matches("<rect").count(), 1);
        assert!(html.contains("4 windows"));
    }
}
