//! BatchNorm with statistics of what is seen.
//!
//! # Source
//! Statistics of the batch: Nado et al., "Evaluating prediction-time batch normalization", 2020; Schneider et al., NeurIPS 2020. Moving statistics:
//! the same authors' mixture with the trained ones, here as an average over the stream with weight 0.05 for the newest batch, which batches
//! of one need. Deliberate difference: the trunk's BatchNorm layers are folded into the int8 encoder and keep theirs.

use super::Recipe;
use super::float::{FloatTail, Input, Moments, Statistics};

/// Weight of the newest batch in moving statistics.
const NEW: f32 = 0.05;

/// Statistics of the batch alone.
pub struct BatchStatistics {
    tail: FloatTail,
    /// Statistics that carry no weight.
    unused: Vec<Moments>,
    all: Vec<f32>,
}

impl BatchStatistics {
    /// The method on a tail.
    #[must_use]
    pub fn new(tail: FloatTail) -> Self {
        Self {
            unused: tail.moments().to_vec(),
            all: vec![1.0; tail.moments().len()],
            tail,
        }
    }
}

impl Recipe for BatchStatistics {
    fn answer(&mut self, input: &Input, _: bool) -> Vec<Vec<f32>> {
        let statistics = Statistics::Mixed {
            running: &mut self.unused,
            weight: &self.all,
            keep: false,
        };
        self.tail.probabilities(input, statistics)
    }
}

/// Statistics that move with the stream.
pub struct MovingStatistics {
    tail: FloatTail,
    running: Vec<Moments>,
    new: Vec<f32>,
}

impl MovingStatistics {
    /// The method on a tail; it starts with the trained statistics.
    #[must_use]
    pub fn new(tail: FloatTail) -> Self {
        Self {
            running: tail.moments().to_vec(),
            new: vec![NEW; tail.moments().len()],
            tail,
        }
    }
}

impl Recipe for MovingStatistics {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        if !learn {
            return self
                .tail
                .probabilities(input, Statistics::Given(&self.running));
        }
        let statistics = Statistics::Mixed {
            running: &mut self.running,
            weight: &self.new,
            keep: true,
        };
        self.tail.probabilities(input, statistics)
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::*;

    #[test]
    fn an_answer_by_batch_statistics_depends_on_its_company() {
        let mut method = BatchStatistics::new(tail());
        let batch = input(4, 1);
        let alone = method.answer(&batch.select(&[0]), true);
        let together = method.answer(&batch, true);
        assert_ne!(alone[0], together[0]);
        // And on nothing that came before.
        assert_eq!(method.answer(&batch, true), together);
    }

    #[test]
    fn moving_statistics_come_close_to_a_stream_that_stays_the_same() {
        let (mut moving, mut batch) = (MovingStatistics::new(tail()), BatchStatistics::new(tail()));
        let windows = input(8, 2);
        for _ in 0..200 {
            moving.answer(&windows, true);
        }
        let (found, expect) = (
            moving.answer(&windows, false),
            batch.answer(&windows, false),
        );
        for (a, b) in found.iter().flatten().zip(expect.iter().flatten()) {
            assert!((a - b).abs() < 1e-2, "{a} {b}");
        }
        assert_eq!(
            moving.answer(&windows, false),
            found,
            "looking changes nothing"
        );
    }
}
