//! Partners: windows of different persons that look alike, taken as two views of one thing.
//!
//! Two views of one window share its performer, so a network that tells performers apart answers the contrastive question, and on
//! a few hundred windows it does. If the key's view is now and then that of a window that somebody else performed alike, the
//! performer no longer helps. Which windows look alike says the network itself: body part by body part its features know
//! that before they have learnt anything.
//!
//! # Source
//! Positives from other samples: Azabou et al., "Mine Your Own vieW", 2021, and Dwibedi et al., "With a Little Help from My
//! Friends", ICCV 2021. Differences: partners are looked for among other persons' windows only, must find each other, and are
//! looked for with all features of un-augmented windows every few epochs instead of with each batch's projections.

use burn::tensor::Device;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;
use tendon_data::windows::Windows;
use tendon_model::augment::random::generator;
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::parameters::{RestoreError, Values};

use crate::evaluate::EvaluateError;
use crate::evaluate::features::embed;
use crate::evaluate::matrix::{Features, Standard};
use crate::evaluate::nearest::nearest;
use crate::evaluate::pooling::Pooling;
use crate::method::{MethodError, RangeError, State, check};

/// How partners are found and how often they are used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnersConfig {
    /// Probability that a window with partners gives its place in the key's view to one of them.
    pub probability: f64,
    /// Two windows are partners if each is among the other's so many nearest.
    pub nearest: usize,
    /// Only windows of different persons are partners; of no use where nobody knows who is who.
    pub across_persons: bool,
    /// How the encoder's last map is compared.
    pub pooling: Pooling,
    /// Epochs between two searches.
    pub epochs: u64,
}

impl PartnersConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        let Self {
            probability,
            nearest,
            epochs,
            ..
        } = *self;
        let range = (0.0..=1.0).contains(&probability);
        check(range, "partners.probability", &probability, "0 to 1")?;
        let range = (1..=1000).contains(&nearest);
        check(range, "partners.nearest", &nearest, "1 to 1000")?;
        check(epochs >= 1, "partners.epochs", &epochs, "at least 1")
    }
}

/// Who may stand in for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Partners {
    probability: f64,
    nearest: usize,
    /// At most `nearest` windows a window.
    of: Vec<Vec<usize>>,
}

/// How good the partners are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Share of windows with a partner, 0..=1.
    pub coverage: f64,
    /// Share of partners of the same class, 0..=1, by labels that nothing else looks at.
    pub precision: f64,
}

impl Partners {
    /// Looks for every window's partners within its own set.
    ///
    /// # Errors
    /// The encoder's features are not finite.
    pub fn find(
        config: PartnersConfig,
        encoder: &Encoder,
        shape: &EncoderConfig,
        windows: &dyn Windows,
        device: &Device,
    ) -> Result<Self, EvaluateError> {
        let features = embed(encoder, shape, config.pooling, windows, device, |_| {})?;
        let mut of = vec![Vec::new(); windows.len()];
        for part in windows.parts() {
            let mutual = mutual(config, &features, windows, part.clone(), device);
            for (window, partners) in part.zip(mutual) {
                of[window] = partners;
            }
        }
        Ok(Self {
            probability: config.probability,
            nearest: config.nearest,
            of,
        })
    }

    /// The window that stands in for `window` in one view: itself or a partner. The same numbers give the same answer.
    #[must_use]
    pub fn stand_in(&self, window: usize, seed: u64, round: u64, view: u64) -> usize {
        let partners = &self.of[window];
        let mut noise = generator(seed, round, window as u64, STAND_IN + view);
        if partners.is_empty() || noise.random::<f64>() >= self.probability {
            return window;
        }
        partners[noise.random_range(0..partners.len())]
    }

    /// How good they are.
    #[must_use]
    pub fn quality(&self, labels: &[u16]) -> Quality {
        let pairs = self.of.iter().map(Vec::len).sum::<usize>();
        let same = self.of.iter().enumerate().flat_map(|(window, partners)| {
            partners
                .iter()
                .filter(move |&&partner| labels[partner] == labels[window])
        });
        let having = self.of.iter().filter(|partners| !partners.is_empty());
        Quality {
            coverage: having.count() as f64 / self.of.len().max(1) as f64,
            precision: same.count() as f64 / pairs.max(1) as f64,
        }
    }

    /// Puts the partners into a checkpoint: `[window, nearest]`, -1 where there is none.
    pub fn store(&self, state: &mut State) {
        let mut data = vec![-1.0; self.of.len() * self.nearest];
        for (row, partners) in data.chunks_exact_mut(self.nearest).zip(&self.of) {
            for (value, &partner) in row.iter_mut().zip(partners) {
                // Whole numbers up to 2^24 are exact; a set of more recordings than that does not fit a machine.
                *value = partner as f32;
            }
        }
        let shape = vec![self.of.len(), self.nearest];
        let values = Values { shape, data };
        state.tensors.insert(TENSOR.to_owned(), values);
    }

    /// The partners of a checkpoint.
    ///
    /// # Errors
    /// There are none, or they belong to other windows.
    pub fn restore(
        config: PartnersConfig,
        windows: usize,
        state: &State,
    ) -> Result<Self, MethodError> {
        let name = TENSOR.to_owned();
        let missing = RestoreError::Missing { name };
        let values = state.tensors.get(TENSOR).ok_or(missing)?;
        let fits = |value: &f32| {
            *value == -1.0 || (value.fract() == 0.0 && (0.0..windows as f32).contains(value))
        };
        if values.shape != [windows, config.nearest] || !values.data.iter().all(fits) {
            return Err(RestoreError::Shape {
                name: TENSOR.to_owned(),
                found: values.shape.clone(),
                expected: vec![windows, config.nearest],
            }
            .into());
        }
        let rows = values.data.chunks_exact(config.nearest);
        let partners = |row: &[f32]| {
            let known = row.iter().filter(|value| **value >= 0.0);
            known.map(|value| *value as usize).collect()
        };
        Ok(Self {
            probability: config.probability,
            nearest: config.nearest,
            of: rows.map(partners).collect(),
        })
    }
}

/// The checkpoint's tensor.
const TENSOR: &str = "partners";
/// Set apart from the numbers of views, which draw from the same counters.
const STAND_IN: u64 = 1 << 48;

/// For each window of one set those that it finds and that find it, nearest first.
fn mutual(
    config: PartnersConfig,
    features: &Features,
    windows: &dyn Windows,
    part: Range<usize>,
    device: &Device,
) -> Vec<Vec<usize>> {
    let all: Vec<usize> = part.clone().collect();
    let features = features.select(&all);
    let features = Standard::measure(&features).apply(&features);
    let (subjects, presence) = (windows.subjects(), windows.presence());
    let allowed = |asking: usize, other: usize| {
        let (asking, other) = (all[asking], all[other]);
        // Views share one note of who is there, so a stand-in must have the same bodies.
        other != asking
            && presence[other] == presence[asking]
            && !(config.across_persons && subjects[other] == subjects[asking])
    };
    let found = nearest(&features, &features, config.nearest, allowed, device);
    let found: Vec<Vec<usize>> = found
        .into_iter()
        .map(|near| near.into_iter().map(|(other, _)| other).collect())
        .collect();
    let back: Vec<BTreeSet<usize>> = found
        .iter()
        .map(|near| near.iter().copied().collect())
        .collect();
    let both = |(window, near): (usize, &Vec<usize>)| {
        near.iter()
            .filter(|&&other| back[other].contains(&window))
            .map(|&other| part.start + other)
            .collect()
    };
    found.iter().enumerate().map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrain::batch::tests::windows;
    use tendon_data::windows::WindowSet;
    use tendon_shared::pose::Presence;

    const CONFIG: PartnersConfig = PartnersConfig {
        probability: 0.5,
        nearest: 2,
        across_persons: true,
        pooling: Pooling::Joints,
        epochs: 1,
    };

    fn find(config: PartnersConfig, windows: &WindowSet) -> Partners {
        let shape = EncoderConfig {
            width: 2,
            dim: 4,
            ..EncoderConfig::small(windows.topology, 8, 1)
        };
        let device = Device::flex();
        let encoder = shape.init(1, &device).unwrap();
        Partners::find(config, &encoder, &shape, windows, &device).unwrap()
    }

    #[test]
    fn partners_find_each_other_and_are_different_persons() {
        let windows = windows(24);
        let partners = find(CONFIG, &windows);
        assert!(partners.of.iter().any(|of| !of.is_empty()));
        for (window, of) in partners.of.iter().enumerate() {
            assert!(of.len() <= CONFIG.nearest);
            for &other in of {
                assert!(partners.of[other].contains(&window));
                assert_ne!(windows.subjects[other], windows.subjects[window]);
            }
        }
        // Where nobody knows who is who, everything may be a partner but a window itself.
        let free = PartnersConfig {
            across_persons: false,
            nearest: 23,
            ..CONFIG
        };
        let partners = find(free, &windows);
        let same = |(window, of): (usize, &Vec<usize>)| {
            assert!(!of.contains(&window));
            let subject = windows.subjects[window];
            of.iter()
                .filter(|&&other| windows.subjects[other] == subject)
                .count()
        };
        assert!(partners.of.iter().enumerate().map(same).sum::<usize>() > 0);
    }

    #[test]
    fn a_copy_made_by_somebody_else_is_the_partner() {
        let mut windows = windows(12);
        let floats = windows.data.len() / 12;
        let (from, to) = (0..floats, 5 * floats);
        windows.data.copy_within(from, to);
        assert_ne!(windows.subjects[0], windows.subjects[5]);
        let config = PartnersConfig {
            nearest: 1,
            ..CONFIG
        };
        let partners = find(config, &windows);
        assert_eq!((&partners.of[0], &partners.of[5]), (&vec![5], &vec![0]));
    }

    #[test]
    fn somebody_with_other_bodies_in_view_is_no_partner() {
        let mut windows = windows(12);
        windows.presence[..6].fill(Presence::NONE);
        let partners = find(CONFIG, &windows);
        for (window, of) in partners.of.iter().enumerate() {
            assert!(of.iter().all(|&other| (other < 6) == (window < 6)));
        }
    }

    #[test]
    fn stand_ins_come_as_often_as_was_asked() {
        let partners = Partners {
            probability: 0.25,
            nearest: 2,
            of: vec![vec![1, 2], vec![0], vec![0], vec![]],
        };
        let drawn = |window| (0..4000).map(move |round| (window, round));
        let count = |window, who| {
            drawn(window)
                .filter(|&(window, round)| partners.stand_in(window, 7, round, 1) == who)
                .count()
        };
        assert!((450..550).contains(&count(0, 1)), "{}", count(0, 1));
        assert!((450..550).contains(&count(0, 2)), "{}", count(0, 2));
        assert_eq!(count(3, 3), 4000);
        let differs = drawn(0).any(|(window, round)| {
            partners.stand_in(window, 7, round, 1) != partners.stand_in(window, 8, round, 1)
        });
        assert!(differs, "the seed decides, too");
    }

    #[test]
    fn partners_return_from_a_checkpoint_and_damaged_ones_are_refused() {
        let windows = windows(24);
        let partners = find(CONFIG, &windows);
        let mut state = State::default();
        partners.store(&mut state);
        let restored = Partners::restore(CONFIG, 24, &state).unwrap();
        assert_eq!(restored, partners);
        assert!(Partners::restore(CONFIG, 23, &state).is_err());
        for wrong in [24.0, -2.0, f32::NAN, 0.5] {
            let mut state = state.clone();
            state.tensors.get_mut(TENSOR).unwrap().data[0] = wrong;
            assert!(Partners::restore(CONFIG, 24, &state).is_err(), "{wrong}");
        }
        assert!(Partners::restore(CONFIG, 24, &State::default()).is_err());
    }

    #[test]
    fn quality_counts_partners_of_the_same_class() {
        let partners = Partners {
            probability: 1.0,
            nearest: 2,
            of: vec![vec![1, 2], vec![0], vec![0], vec![]],
        };
        let quality = partners.quality(&[4, 4, 5, 5]);
        assert_eq!((quality.coverage, quality.precision), (0.75, 0.5));
    }
}
