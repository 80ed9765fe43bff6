//! Horizontal bars, one a name: accuracy a class and the like.

use super::svg::{Anchor, Svg};

/// Pixels between one bar and the next.
const PITCH: f64 = 19.0;
/// Pixels for the names on the left.
const NAMES: f64 = 150.0;
/// Pixels of a full bar.
const FULL: f64 = 250.0;

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What the bar stands for.
    pub name: String,
    /// Length, 0..=1; a value that is not finite draws no bar.
    pub value: f64,
    /// Text after the bar, such as "12 of 50".
    pub note: String,
}

/// Draws bars from top to bottom in the order given, on a scale from 0 to 100 %.
#[must_use]
pub fn bars(bars: &[Bar]) -> Svg {
    let height = PITCH * bars.len() as f64 + 26.0;
    let mut svg = Svg::new(NAMES + FULL + 130.0, height);
    for percent in [0, 25, 50, 75, 100] {
        let x = NAMES + FULL * f64::from(percent) / 100.0;
        svg.line("grid", (x, 4.0), (x, height - 20.0));
        svg.text(
            "soft",
            (x, height - 6.0),
            Anchor::Middle,
            &format!("{percent} %"),
        );
    }
    for (index, bar) in bars.iter().enumerate() {
        let top = 5.0 + PITCH * index as f64;
        let length = if bar.value.is_finite() {
            bar.value.clamp(0.0, 1.0) * FULL
        } else {
            0.0
        };
        svg.text(
            "",
            (NAMES - 8.0, top + 11.0),
            Anchor::End,
            &shorten(&bar.name, 24),
        );
        svg.rect(
            "f0",
            (NAMES, top),
            (length, PITCH - 5.0),
            0.85,
            &format!("{}: {}", bar.name, bar.note),
        );
        svg.text(
            "soft",
            (NAMES + length + 6.0, top + 11.0),
            Anchor::Start,
            &bar.note,
        );
    }
    svg
}

/// Cuts a name to `most` characters.
pub(super) fn shorten(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_windows_has_no_bar_but_a_name() {
        let html = bars(&[Bar {
            name: "wave".into(),
            value: f64::NAN,
            note: "0 of 0".into(),
        }])
        .html();
        assert!(html.contains(">wave<") && html.contains("width=\"0.0\"") && !html.contains("NaN"));
    }

    #[test]
    fn long_names_are_cut_at_character_borders() {
        assert_eq!(shorten("äöüäöü", 4), "äöü…");
    }
}
