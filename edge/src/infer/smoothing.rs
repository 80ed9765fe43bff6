//! Steadies what is reported: an average of each track's probabilities over time.

use serde::{Deserialize, Serialize};

/// How recognitions are reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Weight of the track's past in the reported probabilities, 0..1; 0 reports each window by itself.
    pub smoothing: f32,
    /// Recognitions below this calibrated confidence are reported as unsure, 0..=1.
    pub min_confidence: f32,
    /// Whether windows of no known action are reported as `unknown`.
    pub report_unknown: bool,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self {
            smoothing: 0.0,
            min_confidence: 0.0,
            report_unknown: false,
        }
    }
}

/// Averages for a bounded number of tracks.
#[derive(Debug)]
pub struct Smoother {
    weight: f32,
    capacity: usize,
    /// Oldest use first.
    tracks: Vec<(u64, Vec<f32>)>,
}

impl Smoother {
    /// Gives the past `weight` (0..1) in each of at most `capacity` tracks.
    #[must_use]
    pub fn new(weight: f32, capacity: usize) -> Self {
        Self {
            weight: weight.clamp(0.0, 0.99),
            capacity: capacity.max(1),
            tracks: Vec::new(),
        }
    }

    /// Replaces `probabilities` of `track` by their average with the track's past.
    pub fn smooth(&mut self, track: u64, probabilities: &mut [f32]) {
        if self.weight == 0.0 {
            return;
        }
        let past = self
            .tracks
            .iter()
            .position(|(id, _)| *id == track)
            .map(|index| self.tracks.remove(index).1);
        if let Some(past) = past {
            for (now, then) in probabilities.iter_mut().zip(past) {
                *now = self.weight * then + (1.0 - self.weight) * *now;
            }
        }
        if self.tracks.len() >= self.capacity {
            self.tracks.remove(0);
        }
        self.tracks.push((track, probabilities.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_a_track_with_its_own_past() {
        let mut smoother = Smoother::new(0.5, 1);
        smoother.smooth(1, &mut [1.0, 0.0]);
        let mut now = [0.0, 1.0];
        smoother.smooth(1, &mut now);
        assert_eq!(now, [0.5, 0.5]);
        smoother.smooth(2, &mut [1.0, 0.0]);
        let mut forgotten = [0.0, 1.0];
        smoother.smooth(1, &mut forgotten);
        assert_eq!(forgotten, [0.0, 1.0]);
    }
}
