//! Points in the plane, coloured by group: maps of embeddings.

use super::scale::{Scale, range};
use super::svg::{Anchor, Svg};

/// Side of the square, pixels.
const SIDE: f64 = 300.0;
/// Groups have this many different colours; marks tell groups of one colour apart.
const COLOURS: usize = 6;

/// One point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Where.
    pub at: (f64, f64),
    /// Its group.
    pub group: usize,
}

/// Draws points without axes (a map's directions mean nothing) and a legend; points that are not finite are left out.
#[must_use]
pub fn scatter(points: &[Point], groups: &[String]) -> Svg {
    let row = 14.0;
    let mut svg = Svg::new(SIDE + 170.0, SIDE.max(row * groups.len() as f64 + 8.0));
    let finite = || {
        points
            .iter()
            .filter(|point| point.at.0.is_finite() && point.at.1.is_finite())
    };
    let x = Scale::new(range(finite().map(|point| point.at.0)), (6.0, SIDE - 6.0));
    let y = Scale::new(range(finite().map(|point| point.at.1)), (SIDE - 6.0, 6.0));
    for point in finite() {
        let name = groups.get(point.group).map_or("", String::as_str);
        mark(
            &mut svg,
            (x.at(point.at.0), y.at(point.at.1)),
            point.group,
            name,
        );
    }
    for (group, name) in groups.iter().enumerate() {
        let top = 12.0 + row * group as f64;
        mark(&mut svg, (SIDE + 14.0, top - 4.0), group, name);
        svg.text("", (SIDE + 24.0, top), Anchor::Start, name);
    }
    svg
}

/// A small square; a lying or a standing bar when the colours are used up.
fn mark(svg: &mut Svg, (x, y): (f64, f64), group: usize, name: &str) {
    let (width, height) = match group / COLOURS % 3 {
        0 => (4.4, 4.4),
        1 => (7.0, 2.2),
        _ => (2.2, 7.0),
    };
    let at = (x - width / 2.0, y - height / 2.0);
    svg.rect(
        &format!("f{}", group % COLOURS),
        at,
        (width, height),
        0.8,
        name,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_finite_point_and_a_legend_entry_a_group() {
        let point = |x, y, group| Point { at: (x, y), group };
        let points = [
            point(0.0, 0.0, 0),
            point(1.0, 2.0, 7),
            point(f64::NAN, 0.0, 1),
        ];
        let groups: Vec<String> = (0..8).map(|group| format!("group <{group}>")).collect();
        let html = scatter(&points, &groups).html();
        assert_eq!(html.matches("<rect").count(), 2 + 8);
        assert!(html.contains("group &lt;7&gt;") && !html.contains("NaN"));
    }
}
