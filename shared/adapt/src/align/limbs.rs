//! A person of another build than those of the training data: limbs get the lengths that the encoder knows.
//!
//! Normalisation makes all trunks alike, so only proportions are left: a child's short legs, an estimator that puts elbows elsewhere.

use super::config::LimbConfig;
use super::measure::median;
use std::collections::VecDeque;
use tendon_model::augment::outwards;
use tendon_shared::topology::Topology;

/// Tracks whose build is remembered; the one that was silent longest gives way.
const TRACKS: usize = 16;
/// Clips that are remembered of each.
const CLIPS: usize = 16;

/// Remembered builds.
#[derive(Debug, Clone, Default)]
pub(super) struct Limbs {
    tracks: Vec<(u64, VecDeque<Vec<f32>>)>,
}

impl Limbs {
    /// Takes the limbs of one clip and gives those of its track: medians over its clips.
    pub(super) fn see(&mut self, track: u64, lengths: Vec<f32>) -> Vec<f32> {
        let place = self.tracks.iter().position(|(known, _)| *known == track);
        let (_, mut clips) = match place {
            Some(place) => self.tracks.remove(place),
            None => (track, VecDeque::new()),
        };
        if clips.len() >= CLIPS {
            clips.pop_front();
        }
        let joints = lengths.len();
        clips.push_back(lengths);
        let middle = |joint: usize| {
            let mut known: Vec<f32> = clips
                .iter()
                .filter_map(|clip| clip.get(joint).copied().filter(|length| *length > 0.0))
                .collect();
            median(&mut known).unwrap_or(0.0)
        };
        let own = (0..joints).map(middle).collect();
        if self.tracks.len() >= TRACKS {
            self.tracks.remove(0);
        }
        self.tracks.push((track, clips));
        own
    }
}

/// By what each bone must grow to be as long as the encoder knows it; `None` when the build is one that it knows.
pub(super) fn factors(
    config: &LimbConfig,
    topology: &Topology,
    own: &[f32],
    known: &[f32],
) -> Option<Vec<f32>> {
    if !config.enabled {
        return None;
    }
    let mut factors = vec![1.0; topology.joint_count()];
    let (mut sum, mut count) = (0.0, 0.0_f32);
    for ((factor, own), known) in factors.iter_mut().zip(own).zip(known) {
        // The ends of hands and feet are a few centimetres long and mostly noise.
        if *own >= config.shortest && *known >= config.shortest {
            let ratio = (known / own).clamp(1.0 / config.most, config.most);
            sum += ratio.ln().abs();
            count += 1.0;
            *factor = ratio;
        }
    }
    (count > 0.0 && sum / count >= config.least).then_some(factors)
}

/// Multiplies every bone; directions stay and so does the root. Bones with an absent end stay as they are.
pub(super) fn stretch(topology: &Topology, factors: &[f32], poses: &mut [f32]) {
    let order = outwards(topology);
    for frame in poses
        .as_chunks_mut::<3>()
        .0
        .chunks_exact_mut(topology.joint_count())
    {
        let old = frame.to_vec();
        for &(child, parent) in &order {
            let (Some(&was), Some(&from), Some(&base), Some(&factor)) = (
                old.get(child),
                old.get(parent),
                frame.get(parent),
                factors.get(child),
            ) else {
                continue;
            };
            if was == [0.0; 3] || from == [0.0; 3] {
                continue;
            }
            if let Some(joint) = frame.get_mut(child) {
                *joint = std::array::from_fn(|axis| base[axis] + factor * (was[axis] - from[axis]));
            }
        }
    }
}
