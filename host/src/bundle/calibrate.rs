//! Calibration: which range of real numbers each activation's 256 steps cover.
//!
//! Ranges come from training windows alone. How a range is cut from what was seen is a [`Method`]; which method serves
//! a network best is measured by [`super::refine`], not assumed, and each range is then stretched or shrunk by what it is worth.

use rayon::prelude::*;
use std::collections::BTreeMap;
use tendon_engine::format::SUBSETS;
use tendon_model::folded::{Folded, Site};

/// Rows of activations kept of each window and site; the extremes are taken from all rows.
const ROWS: usize = 24;

/// How a range is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Everything seen.
    Extremes,
    /// All but a share of the values, 0..1.
    Percentile(f64),
    /// The range with the least squared error of the kept rows.
    LeastSquares,
}

impl Method {
    /// Every method that is tried.
    pub const ALL: [Self; 4] = [
        Self::Extremes,
        Self::Percentile(1e-4),
        Self::Percentile(1e-3),
        Self::LeastSquares,
    ];
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Extremes => f.write_str("extremes"),
            Self::Percentile(share) => write!(f, "percentile {}", 100.0 - 100.0 * share),
            Self::LeastSquares => f.write_str("least squares"),
        }
    }
}

/// Real numbers that the lowest and the highest step stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// At most zero.
    pub low: f32,
    /// At least zero, and above `low`.
    pub high: f32,
}

impl Range {
    fn new(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        // A site that is always zero still needs a step.
        if high - low > 1e-6 {
            Self { low, high }
        } else {
            Self {
                low,
                high: low + 1e-3,
            }
        }
    }

    /// The range `factor` times as wide.
    #[must_use]
    pub fn stretched(self, factor: f32) -> Self {
        Self::new(self.low * factor, self.high * factor)
    }

    /// The value of one step.
    #[must_use]
    pub fn step(self) -> f32 {
        (self.high - self.low) / 255.0
    }

    /// The step that stands for zero.
    #[must_use]
    pub fn zero(self) -> i8 {
        (-128.0 - self.low / self.step())
            .round()
            .clamp(-128.0, 127.0) as i8
    }
}

/// An activation with a range of its own: what the graph gathers has one a subset, everything else one.
pub type Place = (Site, usize);

/// The range of every activation of a network.
pub type Ranges = BTreeMap<Place, Range>;

/// An activation that no window reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calibration saw no window, so there is no range for {0:?}")]
pub struct UnseenError(pub Site);

/// Cuts every range of `network` from what was seen.
///
/// # Errors
/// [`UnseenError`] when `seen` is not of this network.
pub fn ranges(
    network: &Folded,
    seen: &Observations,
    method: Method,
) -> Result<Ranges, UnseenError> {
    let mut ranges = Ranges::new();
    for (site, subsets) in sites(network) {
        let seen = seen.get(&site).ok_or(UnseenError(site))?;
        let channels = seen.channels / subsets;
        for subset in 0..subsets {
            let own = subset * channels..(subset + 1) * channels;
            ranges.insert((site, subset), seen.range(own, method));
        }
    }
    Ok(ranges)
}

/// The network's activations in the order of the data, with the number of their ranges.
fn sites(network: &Folded) -> impl Iterator<Item = (Site, usize)> {
    let block = |number| {
        [
            (Site::Gathered(number), SUBSETS),
            (Site::Hidden(number), 1),
            (Site::Output(number), 1),
        ]
    };
    std::iter::once((Site::Input, 1)).chain((0..network.blocks.len()).flat_map(block))
}

/// What was seen at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    channels: usize,
    /// Kept rows, `[row, channel]`.
    rows: Vec<f32>,
    /// Extremes of each channel, of all rows.
    extremes: Vec<(f32, f32)>,
}

impl Seen {
    fn new(channels: usize) -> Self {
        Self {
            channels,
            rows: Vec::new(),
            extremes: vec![(0.0, 0.0); channels],
        }
    }

    fn take(&mut self, values: &[f32]) {
        let count = values.len() / self.channels;
        for (number, row) in values.chunks_exact(self.channels).enumerate() {
            for ((low, high), value) in self.extremes.iter_mut().zip(row) {
                *low = low.min(*value);
                *high = high.max(*value);
            }
            // Evenly spread: row `number` opens one of ROWS equal parts.
            if number * ROWS % count < ROWS {
                self.rows.extend_from_slice(row);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
        for ((low, high), (other_low, other_high)) in self.extremes.iter_mut().zip(other.extremes) {
            *low = low.min(other_low);
            *high = high.max(other_high);
        }
    }

    /// The range of the channels `channels`.
    #[must_use]
    pub fn range(&self, channels: std::ops::Range<usize>, method: Method) -> Range {
        let extremes = self.extremes[channels.clone()].iter();
        let (low, high) = extremes.fold((0.0_f32, 0.0_f32), |(a, b), (low, high)| {
            (a.min(*low), b.max(*high))
        });
        let values = || {
            self.rows
                .chunks_exact(self.channels)
                .flat_map(|row| &row[channels.clone()])
                .copied()
        };
        match method {
            Method::Extremes => Range::new(low, high),
            Method::Percentile(share) => {
                let mut sorted: Vec<f32> = values().collect();
                sorted.sort_by(f32::total_cmp);
                let cut = (sorted.len() as f64 * share / 2.0) as usize;
                match sorted.get(cut..sorted.len() - cut) {
                    Some([first, .., last]) => Range::new(*first, *last),
                    _ => Range::new(low, high),
                }
            }
            Method::LeastSquares => {
                let candidates = (8..=40).map(|part| part as f32 / 40.0);
                let ranges = candidates.map(|part| Range::new(low * part, high * part));
                let error = |range: Range| -> f64 {
                    let (step, zero) = (range.step(), f32::from(range.zero()));
                    values()
                        .map(|value| {
                            let near =
                                ((value / step + zero).round().clamp(-128.0, 127.0) - zero) * step;
                            f64::from((near - value) * (near - value))
                        })
                        .sum()
                };
                let best = ranges
                    .map(|range| (error(range), range))
                    .min_by(|a, b| a.0.total_cmp(&b.0));
                best.map_or_else(|| Range::new(low, high), |(_, range)| range)
            }
        }
    }
}

/// What was seen at every site of a network.
pub type Observations = BTreeMap<Site, Seen>;

/// Runs windows through the network and notes every activation; `done` is called after each window.
///
/// # Shapes
/// `windows`: one body each, `[channel, frame, joint]`
pub fn observe(network: &Folded, windows: &[&[f32]], done: &(dyn Fn() + Sync)) -> Observations {
    let part = |windows: &[&[f32]]| {
        let mut seen = Observations::new();
        for window in windows {
            network.embed(window, &mut |site, channels, values| {
                seen.entry(site)
                    .or_insert_with(|| Seen::new(channels))
                    .take(values);
            });
            done();
        }
        seen
    };
    let merge = |mut all: Observations, part: Observations| {
        for (site, seen) in part {
            match all.get_mut(&site) {
                Some(known) => known.merge(seen),
                None => drop(all.insert(site, seen)),
            }
        }
        all
    };
    // Collected in order before merging: the result must not depend on the number of threads.
    let parts: Vec<Observations> = windows.par_chunks(16).map(part).collect();
    parts.into_iter().fold(Observations::new(), merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let mut seen = Seen::new(2);
        // Channel 0 holds 0..=0.99, channel 1 nothing but one outlier of -50.
        let mut values: Vec<f32> = (0..100)
            .flat_map(|value| [value as f32 / 100.0, 0.0])
            .collect();
        values[101] = -50.0;
        for _ in 0..30 {
            seen.take(&values);
        }
        seen
    }

    #[test]
    fn extremes_cover_everything_and_a_channel_only_itself() {
        assert_eq!(
            seen().range(0..2, Method::Extremes),
            Range {
                low: -50.0,
                high: 0.99
            }
        );
        assert_eq!(
            seen().range(0..1, Method::Extremes),
            Range {
                low: 0.0,
                high: 0.99
            }
        );
    }

    #[test]
    fn percentiles_cut_outliers() {
        let range = seen().range(0..2, Method::Percentile(0.2));
        assert!(range.low == 0.0 && range.high < 0.97, "{range:?}");
    }

    #[test]
    fn least_squares_is_never_worse_than_extremes() {
        let range = seen().range(0..1, Method::LeastSquares);
        assert!(range.high <= 0.99 && range.high > 0.5, "{range:?}");
    }

    #[test]
    fn zero_is_a_step_of_every_range() {
        for range in [
            Range::new(0.0, 2.0),
            Range::new(-1.0, 3.0),
            Range::new(-4.0, 0.0),
            Range::new(0.0, 0.0),
        ] {
            let bottom = (-128.0 - f32::from(range.zero())) * range.step();
            assert!((bottom - range.low).abs() <= range.step(), "{range:?}");
        }
        assert_eq!(Range::new(0.0, 2.0).zero(), -128);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        use super::super::fold::{
            fold,
            tests::{names, random_classifier},
        };
        use tendon_model::encoder::EncoderConfig;
        use tendon_shared::topology::TopologyId;
        let config = EncoderConfig {
            width: 2,
            dim: 4,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let network = fold(&config, 3, &names(&random_classifier(&config, 3, 1))).unwrap();
        let windows: Vec<Vec<f32>> = (0..40)
            .map(|seed| vec![seed as f32 / 40.0; network.input_len()])
            .collect();
        let windows: Vec<&[f32]> = windows.iter().map(|window| &window[..]).collect();
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let alone = one.install(|| observe(&network, &windows, &|| {}));
        assert_eq!(observe(&network, &windows, &|| {}), alone);
        assert_eq!(alone.len(), 1 + 3 * 10);
    }
}
