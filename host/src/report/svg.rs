//! An SVG figure under construction, with coordinates in CSS pixels and classes instead of colours.

use std::fmt::Write as _;

/// Returns `text` with the five characters that HTML and SVG give a meaning replaced, and control characters dropped.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins at the point.
    Start,
    /// The text is centred on the point.
    Middle,
    /// The text ends at the point.
    End,
}

/// A figure of fixed size.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty figure of `width` times `height` pixels.
    #[must_use]
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// A line through all `points`; points that are not finite break it.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        for run in points
            .split(|(x, y)| !x.is_finite() || !y.is_finite())
            .filter(|run| !run.is_empty())
        {
            let _ = write!(self.body, r#"<polyline class="{class}" points=""#);
            for (x, y) in run {
                let _ = write!(self.body, "{x:.1},{y:.1} ");
            }
            self.body.push_str("\"/>\n");
        }
    }

    /// A rectangle with a tooltip; `opacity` in 0..=1.
    pub fn rect(
        &mut self,
        class: &str,
        corner: (f64, f64),
        size: (f64, f64),
        opacity: f64,
        tooltip: &str,
    ) {
        let ((x, y), (width, height)) = (corner, (size.0.max(0.0), size.1.max(0.0)));
        let _ = writeln!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill-opacity="{opacity:.3}"><title>{}</title></rect>"#,
            escape(tooltip)
        );
    }

    /// A text.
    pub fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        self.turned_text(class, at, anchor, 0.0, text);
    }

    /// A text turned clockwise around its point by `degrees`.
    pub fn turned_text(
        &mut self,
        class: &str,
        at: (f64, f64),
        anchor: Anchor,
        degrees: f64,
        text: &str,
    ) {
        let (x, y) = at;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = if degrees == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({degrees} {x:.1} {y:.1})""#)
        };
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{turn}>{}</text>"#,
            escape(text)
        );
    }

    /// The figure as an element to put in a page.
    #[must_use]
    pub fn html(&self) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n{}</svg>",
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_a_line_in_two() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.polyline("c", &[(0.0, 0.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 3.0)]);
        assert_eq!(svg.html().matches("<polyline").count(), 2);
        assert!(!svg.html().contains("NaN"));
    }

    #[test]
    fn control_characters_are_dropped() {
        assert_eq!(escape("a\u{0}b\u{1b}c"), "abc");
    }
}
