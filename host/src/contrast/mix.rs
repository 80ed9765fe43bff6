//! SkeleMix: a region of every window of a batch shows another window, and features are pooled inside and outside of it.

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};
use tendon_model::augment::random::normal;
use tendon_model::bodies::Bodies;
use tendon_shared::pose::Presence;
use tendon_shared::topology::Topology;

use super::region::{JointChoice, Region};

/// What a region shows instead of its window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Fill {
    /// The same region of another window of the batch, the partner.
    Swap,
    /// Zeros.
    Zeros,
    /// Gaussian noise.
    Noise {
        /// Standard deviation, in the input's unit.
        spread: f32,
    },
}

/// How regions and partners are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixSpec {
    /// What regions show.
    pub fill: Fill,
    /// Which joints they take.
    pub joints: JointChoice,
    /// Fewest and most frames of the features, which are a quarter of the window's.
    pub lengths: [usize; 2],
    /// Draws partner and region for each window; published code draws one distance to the partner and one region a batch.
    pub each_window: bool,
}

/// One mix of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Index of each window's partner.
    pub partners: Vec<usize>,
    /// Each window's region.
    pub regions: Vec<Region>,
    /// Bodies of each window that have the region.
    pub bodies: Vec<Presence>,
}

impl Mix {
    /// Draws a mix for windows with these bodies. If absent bodies are `masked`, only bodies that are there have a region,
    /// and of a swap only those whose partner has the same body.
    ///
    /// # Source
    /// SkeleMixCLR's code. For one region a batch, its distance to the partner is 1 to N - 2, never N - 1.
    pub fn draw(
        spec: &MixSpec,
        presence: &[Presence],
        masked: bool,
        feature_frames: usize,
        topology: &Topology,
        rng: &mut impl Rng,
    ) -> Self {
        let batch = presence.len();
        let farthest = if spec.each_window {
            batch - 1
        } else {
            batch - 2
        }
        .max(1);
        let mut draw = || {
            let region = Region::draw(spec.joints, spec.lengths, feature_frames, topology, rng);
            (rng.random_range(1..=farthest), region)
        };
        let first = draw();
        let draws: Vec<(usize, Region)> = (0..batch)
            .map(|_| {
                if spec.each_window {
                    draw()
                } else {
                    first.clone()
                }
            })
            .collect();
        let partners: Vec<usize> = draws
            .iter()
            .enumerate()
            .map(|(window, (distance, _))| (window + distance) % batch)
            .collect();
        let bodies =
            partners
                .iter()
                .zip(presence)
                .map(|(partner, own)| match (masked, spec.fill) {
                    (false, _) => Presence(u8::MAX),
                    (true, Fill::Swap) => Presence(own.0 & presence[*partner].0),
                    (true, Fill::Zeros | Fill::Noise { .. }) => *own,
                });
        Self {
            bodies: bodies.collect(),
            regions: draws.into_iter().map(|(_, region)| region).collect(),
            partners,
        }
    }

    /// The mixed windows.
    ///
    /// # Shapes
    /// `[window, body, channel, frame, joint]`, the same in and out
    pub fn apply(&self, x: Tensor<5>, fill: Fill, rng: &mut impl Rng) -> Tensor<5> {
        let [batch, body, channel, frame, joint] = x.dims();
        let device = x.device();
        let inside = self.mask(body, frame, joint, Region::has);
        let inside = Tensor::from_data(inside, &device);
        let outside = x.clone() * (inside.clone() * -1.0 + 1.0);
        match fill {
            Fill::Zeros => outside,
            Fill::Swap => outside + rows(x, &self.partners) * inside,
            Fill::Noise { spread } => {
                let count = batch * body * channel * frame * joint;
                let noise: Vec<f32> = (0..count).map(|_| spread * normal(rng)).collect();
                let data = TensorData::new(noise, [batch, body, channel, frame, joint]);
                outside + Tensor::from_data(data, &device) * inside
            }
        }
    }

    /// One inside the regions and zero outside, over the features of windows with `bodies` bodies.
    ///
    /// # Shapes
    /// `[window, body, 1, frame, joint]`
    pub fn feature_mask(&self, bodies: usize, feature_frames: usize, joints: usize) -> TensorData {
        self.mask(bodies, feature_frames, joints, Region::has_feature)
    }

    fn mask(
        &self,
        bodies: usize,
        frames: usize,
        joints: usize,
        inside: impl Fn(&Region, usize, usize) -> bool,
    ) -> TensorData {
        let mut values = Vec::with_capacity(self.regions.len() * bodies * frames * joints);
        for (region, with) in self.regions.iter().zip(&self.bodies) {
            for body in 0..bodies {
                for frame in 0..frames {
                    let cell = |joint| with.contains(body) && inside(region, frame, joint);
                    values.extend((0..joints).map(|joint| f32::from(u8::from(cell(joint)))));
                }
            }
        }
        TensorData::new(values, [self.regions.len(), bodies, 1, frames, joints])
    }
}

/// Chosen entries of the first axis, in the given order.
pub fn rows<const D: usize>(x: Tensor<D>, indices: &[usize]) -> Tensor<D> {
    let indices: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
    let count = indices.len();
    let device = x.device();
    x.select(
        0,
        Tensor::from_data(TensorData::new(indices, [count]), &device),
    )
}

/// Means over the cells inside a mask and over those outside, of all bodies of a window together. No cell gives zeros.
///
/// # Shapes
/// - `features`: `[row, joint, frame, channel]`
/// - `mask`: `[row, 1, frame, joint]`, zeros and ones
/// - output: `[window, channel]` each
///
/// # Source
/// SkeleMixCLR pools each body, then takes the mean over bodies: the same where all bodies have the region.
pub fn mask_pool(features: Tensor<4>, mask: Tensor<4>, bodies: &Bodies) -> [Tensor<2>; 2] {
    let [row, joint, frame, channel] = features.dims();
    let cells = joint * frame;
    let inside = mask.permute([0, 1, 3, 2]).reshape([row, 1, cells]);
    let weights = Tensor::cat(vec![inside.clone(), inside * -1.0 + 1.0], 1);
    let sums = weights
        .clone()
        .matmul(features.reshape([row, cells, channel]));
    let counts = weights.sum_dim(2);
    [0, 1].map(|part| {
        let sum = sums.clone().narrow(1, part, 1).reshape([row, channel]);
        let count = counts.clone().narrow(1, part, 1).reshape([row, 1]);
        // A mean of counts over bodies: below one only if it is zero.
        bodies.mean(sum) / bodies.mean(count).clamp_min(1e-3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use tendon_model::augment::random::generator;
    use tendon_shared::topology::TopologyId;

    const FRAMES: usize = 8;
    const JOINTS: usize = 20;

    fn spec(fill: Fill, each_window: bool) -> MixSpec {
        MixSpec {
            fill,
            joints: JointChoice::Parts { least: 2, most: 3 },
            lengths: [1, 1],
            each_window,
        }
    }

    fn mix(spec: &MixSpec, presence: &[Presence], masked: bool, seed: u64) -> Mix {
        let topology = TopologyId::Kinect20.topology();
        let mut rng = generator(seed, 0, 0, 0);
        Mix::draw(spec, presence, masked, FRAMES / 4, topology, &mut rng)
    }

    /// Every value of window `n` is `n + 1`.
    fn numbered(batch: usize, bodies: usize) -> Tensor<5> {
        let size = bodies * 3 * FRAMES * JOINTS;
        let values: Vec<f32> = (0..batch * size)
            .map(|index| (index / size) as f32 + 1.0)
            .collect();
        let data = TensorData::new(values, [batch, bodies, 3, FRAMES, JOINTS]);
        Tensor::from_data(data, &Device::flex())
    }

    fn at(data: &[f32], bodies: usize, [n, m, c, t, v]: [usize; 5]) -> f32 {
        data[(((n * bodies + m) * 3 + c) * FRAMES + t) * JOINTS + v]
    }

    /// Checks every value of a mixed batch.
    fn check(fill: Fill, presence: &[Presence], masked: bool, each_window: bool) {
        let batch = presence.len();
        for seed in 0..10 {
            let mix = mix(&spec(fill, each_window), presence, masked, seed);
            let mixed = mix.apply(numbered(batch, 2), fill, &mut generator(1, 0, 0, 0));
            let mixed: Vec<f32> = mixed.into_data().try_to_vec().unwrap();
            for n in 0..batch {
                let partner = mix.partners[n];
                assert_ne!(partner, n);
                for m in 0..2 {
                    let there = !masked
                        || presence[n].contains(m)
                            && (fill != Fill::Swap || presence[partner].contains(m));
                    for (c, t, v) in (0..3 * FRAMES * JOINTS)
                        .map(|i| (i / JOINTS / FRAMES, i / JOINTS % FRAMES, i % JOINTS))
                    {
                        let value = at(&mixed, 2, [n, m, c, t, v]);
                        let (own, other) = (n as f32 + 1.0, partner as f32 + 1.0);
                        match (there && mix.regions[n].has(t, v), fill) {
                            (false, _) => assert_eq!(value, own),
                            (true, Fill::Swap) => assert_eq!(value, other),
                            (true, Fill::Zeros) => assert_eq!(value, 0.0),
                            (true, Fill::Noise { .. }) => assert!(value != own && value < 0.9),
                        }
                    }
                }
            }
        }
    }

    const BOTH: Presence = Presence(3);

    #[test]
    fn a_region_shows_the_partner_zeros_or_noise_and_the_rest_stays() {
        let presence = [BOTH, Presence::FIRST, BOTH, Presence::NONE];
        for fill in [Fill::Swap, Fill::Zeros, Fill::Noise { spread: 0.1 }] {
            for (masked, each_window) in [(false, false), (true, false), (true, true)] {
                check(fill, &presence, masked, each_window);
            }
        }
    }

    #[test]
    fn published_mixes_share_one_region_and_one_distance_a_batch() {
        for seed in 0..50 {
            let mix = mix(&spec(Fill::Swap, false), &[BOTH; 6], false, seed);
            let distance = mix.partners[0];
            assert!((1..=4).contains(&distance));
            for window in 0..6 {
                assert_eq!(mix.partners[window], (window + distance) % 6);
                assert_eq!(mix.regions[window], mix.regions[0]);
            }
        }
    }

    #[test]
    fn windows_with_regions_of_their_own_differ() {
        let mix = mix(&spec(Fill::Swap, true), &[BOTH; 32], true, 0);
        let differ = |window: usize| mix.regions[window] != mix.regions[0];
        assert!((1..32).any(differ));
        // The farthest partner occurs too.
        assert!((0..32).any(|window| (window + 31) % 32 == mix.partners[window]));
    }

    #[test]
    fn two_windows_are_each_others_partners() {
        for each_window in [false, true] {
            let mix = mix(&spec(Fill::Swap, each_window), &[BOTH; 2], true, 0);
            assert_eq!(mix.partners, [1, 0]);
        }
    }

    // Two windows of 2 frames and 2 joints; the first has two bodies, the second one.
    #[test]
    fn pooling_splits_the_mean_at_the_mask() {
        let device = Device::flex();
        let x = Tensor::<5>::zeros([2, 2, 1, 2, 2], &device);
        let (_, bodies) = Bodies::fold(x, &[BOTH, Presence::FIRST], 1, true);
        let features: Vec<f32> = (0..12).map(|value| value as f32).collect();
        // [row, joint, frame, 1]
        let features = Tensor::from_data(TensorData::new(features, [3, 2, 2, 1]), &device);
        // [row, 1, frame, joint]: joint 0 in frame 0; nothing of the second body; all but joint 1 in frame 1.
        let mask = vec![
            1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0_f32,
        ];
        let mask = Tensor::from_data(TensorData::new(mask, [3, 1, 2, 2]), &device);
        let [inside, outside] = mask_pool(features, mask, &bodies)
            .map(|pooled| pooled.into_data().try_to_vec::<f32>().unwrap());
        // Inside: 0; (8 + 9 + 10) / 3. Outside: (1 + 2 + 3 + 4 + 5 + 6 + 7) / 7; 11.
        for (found, expect) in [(inside, [0.0, 9.0]), (outside, [4.0, 11.0])] {
            for (a, b) in found.iter().zip(expect) {
                assert!((a - b).abs() < 1e-5, "{found:?} v {expect:?}");
            }
        }
    }
}
