//! From values to pixels, with round tick values.

/// A linear map from a range of values to a range of pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..=high` to pixels `from..=to`. A range that is empty or not finite is widened to a unit.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() {
            (low, high)
        } else {
            (0.0, 1.0)
        };
        let (low, high) = if high > low {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// The pixel of `value`.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values inside the range, about `count` of them, in steps of 1, 2 or 5 times a power of ten.
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / count.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= rough)
            .unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).take(100).map(|i| i as f64 * step).collect()
    }
}

/// Writes a tick value without needless zeros.
pub(super) fn label(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The smallest and largest finite value.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            Scale::new((0.0, 40.0), (0.0, 1.0)).ticks(5),
            vec![0.0, 10.0, 20.0, 30.0, 40.0]
        );
        let ticks: Vec<String> = Scale::new((0.13, 0.52), (0.0, 1.0))
            .ticks(4)
            .into_iter()
            .map(label)
            .collect();
        assert_eq!(ticks, ["0.2", "0.3", "0.4", "0.5"]);
    }

    #[test]
    fn a_flat_or_empty_range_still_maps() {
        assert!(Scale::new((2.0, 2.0), (0.0, 10.0)).at(2.0).is_finite());
        assert!(
            Scale::new(range(std::iter::empty()), (0.0, 10.0))
                .at(2.0)
                .is_finite()
        );
    }
}
