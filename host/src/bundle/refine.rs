//! Choosing ranges by what they do to the answers: the logits of the int8 encoder on training windows, against the float ones.
//!
//! A range that loses least at its own place is not the one that loses least in the end: values that are cut off are rare, but
//! they are often the ones that decide. So [`Target::choose`] tries every way to cut ranges as a whole, and [`Target::refine`] goes
//! through the best one's ranges in the order of the data and keeps each at the width with the smallest error of the logits.

use super::calibrate::{Method, Observations, Ranges, ranges};
use super::inputs::Inputs;
use super::measure::{MeasureError, agreement, float_logits, int8_logits, relative_error};
use super::quantize::{Options, quantize};
use tendon_engine::Encoder;
use tendon_model::folded::Folded;

/// Widths that are tried for each range, as factors of the one it has.
const FACTORS: [f32; 6] = [0.6, 0.75, 0.87, 1.15, 1.35, 1.7];

/// What quantization is to come close to.
pub struct Target<'t> {
    network: &'t Folded,
    options: Options,
    inputs: &'t Inputs,
    chosen: &'t [usize],
    /// Float logits of the chosen windows.
    float: Vec<f32>,
}

/// How close the int8 encoder comes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Relative error of the logits.
    pub error: f64,
    /// Share of windows with the same class as in float, 0..=1.
    pub agreement: f64,
}

/// One way to cut ranges and what comes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// How ranges were cut.
    pub method: Method,
    /// How close it comes.
    pub quality: Quality,
    /// The ranges.
    pub ranges: Ranges,
}

impl<'t> Target<'t> {
    /// Computes the float logits of the training windows `chosen`; `done` is called after each window, here and in what follows.
    #[must_use]
    pub fn new(
        network: &'t Folded,
        options: Options,
        inputs: &'t Inputs,
        chosen: &'t [usize],
        done: &(dyn Fn() + Sync),
    ) -> Self {
        Self {
            float: float_logits(network, inputs, chosen, done),
            network,
            options,
            inputs,
            chosen,
        }
    }

    /// Tries every method and returns the trials, the least error first.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn choose(
        &self,
        seen: &Observations,
        done: &(dyn Fn() + Sync),
    ) -> Result<Vec<Trial>, MeasureError> {
        let mut trials = Vec::new();
        for method in Method::ALL {
            let ranges = ranges(self.network, seen, method)?;
            trials.push(Trial {
                method,
                quality: self.quality(&self.blob(&ranges)?, done)?,
                ranges,
            });
        }
        trials.sort_by(|a, b| a.quality.error.total_cmp(&b.quality.error));
        Ok(trials)
    }

    /// Goes through `ranges` once; returns what is reached and the engine's blob.
    ///
    /// # Errors
    /// [`MeasureError`].
    pub fn refine(
        &self,
        ranges: &Ranges,
        done: &(dyn Fn() + Sync),
    ) -> Result<(Quality, Vec<u8>), MeasureError> {
        let mut ranges = ranges.clone();
        let mut blob = self.blob(&ranges)?;
        let mut best = self.quality(&blob, done)?;
        let places: Vec<_> = ranges
            .iter()
            .map(|(place, range)| (*place, *range))
            .collect();
        for (place, range) in places {
            for factor in FACTORS {
                let kept = ranges.insert(place, range.stretched(factor));
                let tried = self.blob(&ranges)?;
                let quality = self.quality(&tried, done)?;
                if quality.error < best.error {
                    (best, blob) = (quality, tried);
                } else if let Some(kept) = kept {
                    ranges.insert(place, kept);
                }
            }
        }
        Ok((best, blob))
    }

    /// How many windows pass in [`Self::refine`].
    #[must_use]
    pub fn refining(&self, ranges: &Ranges) -> usize {
        self.chosen.len() * (1 + ranges.len() * FACTORS.len())
    }

    fn blob(&self, ranges: &Ranges) -> Result<Vec<u8>, MeasureError> {
        Ok(quantize(self.network, ranges, self.options)?.to_blob())
    }

    fn quality(&self, blob: &[u8], done: &(dyn Fn() + Sync)) -> Result<Quality, MeasureError> {
        let encoder = Encoder::parse(blob)?;
        let int8 = int8_logits(&encoder, self.inputs, self.chosen, done)?;
        Ok(Quality {
            error: relative_error(&int8, &self.float),
            agreement: agreement(&int8, &self.float, self.network.classes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::calibrate::observe;
    use super::super::fold::{
        fold,
        tests::{names, random_classifier},
    };
    use super::super::measure::block_errors;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tendon_bundle::testing::Numbers;
    use tendon_data::windows::WindowSet;
    use tendon_model::encoder::EncoderConfig;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::pose::Presence;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn the_int8_encoder_follows_the_float_one() {
        let config = EncoderConfig {
            width: 16,
            dim: 48,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 2)
        };
        let network = fold(&config, 6, &names(&random_classifier(&config, 6, 3))).unwrap();
        let mut numbers = Numbers::new(4);
        let mut data = Vec::new();
        for _ in 0..2 * 32 {
            let drift = 2.0 * numbers.unit();
            data.extend((0..3 * 16 * 20).map(|_| drift + numbers.unit()));
        }
        let windows = WindowSet {
            topology: TopologyId::Kinect20,
            spec: NormalizeSpec {
                mode: Mode::Product,
                frames: 16,
                bodies: 2,
            },
            data,
            presence: (0..32).map(|window| Presence(1 + window % 3)).collect(),
            labels: (0..32).map(|window| window % 6).collect(),
            subjects: vec![1; 32],
            cameras: vec![1; 32],
            classes: vec![String::new(); 6],
            digests: Vec::new(),
            recordings: Vec::new(),
            names: Vec::new(),
        };
        let inputs = Inputs::new(&windows, &config.streams, true).unwrap();
        let chosen: Vec<usize> = (0..32).collect();
        let bodies: Vec<&[f32]> = chosen
            .iter()
            .flat_map(|number| {
                inputs
                    .bodies(*number)
                    .into_iter()
                    .map(|body| inputs.body(*number, body))
            })
            .collect();
        let seen = observe(&network, &bodies, &|| {});
        let options = Options {
            bodies: 2,
            body_mask: true,
            trunk_blocks: 8,
        };
        let target = Target::new(&network, options, &inputs, &chosen, &|| {});
        let trials = target.choose(&seen, &|| {}).unwrap();
        assert_eq!(trials.len(), Method::ALL.len());
        let first = &trials[0].quality;
        assert!(first.error < 0.06 && first.agreement > 0.9, "{first:?}");
        let calls = AtomicUsize::new(0);
        let count = || {
            calls.fetch_add(1, Ordering::Relaxed);
        };
        let (quality, blob) = target.refine(&trials[0].ranges, &count).unwrap();
        assert!(quality.error <= first.error, "{quality:?} after {first:?}");
        assert_eq!(calls.into_inner(), target.refining(&trials[0].ranges));
        let encoder = Encoder::parse(&blob).unwrap();
        let blocks = block_errors(&network, &encoder, &inputs, &chosen[..8]).unwrap();
        assert!(blocks.iter().all(|error| *error < 0.08), "{blocks:?}");
    }
}
