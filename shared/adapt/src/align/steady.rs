//! A sensor that is noisier than those of the training data: poses are smoothed in time, as much as the noise asks for.
//!
//! An encoder that reads motion, differences of frames, sees twice the noise and little of the movement. How noisy the sensor is
//! shows in second differences ([`super::measure::jitter`]), without labels and within a few windows.

use super::config::SteadyConfig;
use super::measure::median;
use std::collections::VecDeque;
use tendon_shared::topology::Topology;

/// Clips whose jitter is remembered.
const MEMORY: usize = 64;
/// Weights beyond this many widths are left out.
const REACH: f32 = 3.0;

/// Remembered jitter.
#[derive(Debug, Clone, Default)]
pub(super) struct Steady {
    jitters: VecDeque<f32>,
}

impl Steady {
    /// Takes the jitter of one clip, metres.
    pub(super) fn see(&mut self, jitter: f32) {
        if self.jitters.len() >= MEMORY {
            self.jitters.pop_front();
        }
        self.jitters.push_back(jitter);
    }

    /// Width of the smoothing of a clip, milliseconds; `None` while too little was seen or the sensor is good enough. `own` is the clip's
    /// own jitter, where it has one: a clip with less than is usual here, as after the sensor was replaced, is smoothed less at once.
    ///
    /// Noise that the encoder knows is no concern: what counts is the rest, `sqrt(found^2 - known^2)`.
    pub(super) fn width(&self, config: &SteadyConfig, known: f32, own: Option<f32>) -> Option<f32> {
        if !config.enabled || self.jitters.len() < config.min_windows {
            return None;
        }
        let mut jitters: Vec<f32> = self.jitters.iter().copied().collect();
        let usual = median(&mut jitters)?;
        let found = own.map_or(usual, |own| own.min(usual));
        let excess = (found * found - known * known).max(0.0).sqrt();
        if excess < config.least {
            return None;
        }
        Some((config.slope_ms * excess.sqrt()).min(config.most_ms))
    }
}

/// Replaces every joint that is there by a mean over the frames around, with weights that fall off as a bell of `width_ms`.
pub(super) fn smooth(topology: &Topology, poses: &mut [f32], spacing_ms: f32, width_ms: f32) {
    let joints = topology.joint_count();
    if !(spacing_ms > 0.0 && width_ms > 0.0) {
        return;
    }
    let reach = (REACH * width_ms / spacing_ms).floor() as usize;
    let weights: Vec<f32> = (0..=reach)
        .map(|step| (-0.5 * (step as f32 * spacing_ms / width_ms).powi(2)).exp())
        .collect();
    let old: Vec<[f32; 3]> = poses.as_chunks::<3>().0.to_vec();
    let frames = old.len() / joints.max(1);
    let new = poses.as_chunks_mut::<3>().0;
    for (index, joint) in new.iter_mut().enumerate() {
        if *joint == [0.0; 3] {
            continue;
        }
        let (frame, number) = (index / joints, index % joints);
        let (mut sum, mut total) = ([0.0_f32; 3], 0.0_f32);
        let first = frame.saturating_sub(reach);
        let last = (frame + reach).min(frames.saturating_sub(1));
        for other in first..=last {
            let Some(seen) = old.get(other * joints + number) else {
                continue;
            };
            if *seen == [0.0; 3] {
                continue;
            }
            let weight = weights
                .get(frame.abs_diff(other))
                .copied()
                .unwrap_or_default();
            total += weight;
            for (sum, value) in sum.iter_mut().zip(seen) {
                *sum += weight * value;
            }
        }
        if total > 0.0 {
            *joint = sum.map(|value| value / total);
        }
    }
}
