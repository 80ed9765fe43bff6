//! Random changes of a window that keep its action: the views that contrastive learning compares.
//!
//! Plain `f32`, no Burn: the host runs them over a batch in parallel, the edge on single windows. They act before
//! streams are stacked, so bone and motion follow the changed joints. All bodies of a window share one draw.
//! One operation, one file; [`Recipe`] is a list of them with probabilities.

mod blur;
mod crop;
mod flip;
mod jitter;
mod limbs;
mod mask;
mod noise;
pub mod random;
mod reverse;
mod rotation;
mod sample;
mod shear;
mod warp;

pub use limbs::outwards;

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};
use tendon_shared::topology::Topology;

/// Coordinates of a joint.
pub(crate) const AXES: usize = 3;

/// One window of some bodies.
pub struct View<'a> {
    /// `[body, axis, frame, joint]`; a single body may be passed as `[axis, frame, joint]`.
    pub data: &'a mut [f32],
    /// Frames of the window.
    pub frames: usize,
    /// Joints of the topology.
    pub joints: usize,
}

impl View<'_> {
    /// Values of one axis of one body.
    fn plane(&self) -> usize {
        self.frames * self.joints
    }

    /// Each body's `[axis, frame, joint]`, without bodies that are zero throughout.
    fn bodies(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let size = AXES * self.plane();
        self.data
            .chunks_exact_mut(size)
            .filter(|body| body.iter().any(|value| *value != 0.0))
    }

    /// Replaces each joint's position by `matrix` times it.
    fn transform(&mut self, matrix: [[f32; 3]; 3]) {
        let plane = self.plane();
        for body in self.bodies() {
            let (x, rest) = body.split_at_mut(plane);
            let (y, z) = rest.split_at_mut(plane);
            for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
                let old = [*x, *y, *z];
                let row = |row: [f32; 3]| row[0] * old[0] + row[1] * old[1] + row[2] * old[2];
                (*x, *y, *z) = (row(matrix[0]), row(matrix[1]), row(matrix[2]));
            }
        }
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op", deny_unknown_fields)]
pub enum Operation {
    /// Mirrors time at both ends and cuts a window at a random place.
    TemporalCrop {
        /// The window is mirrored by `frames / ratio` frames at each end.
        ratio: u32,
    },
    /// Lets time run faster in some stretches and slower in others; start and end stay.
    TimeWarp {
        /// Stretches of the window.
        pieces: u32,
        /// Largest relative change of a stretch's duration before all are scaled to fill the window, 0..1.
        amount: f32,
    },
    /// Takes frames at random, in order, as if the recording had been longer.
    TemporalSample {
        /// Equally spaced positions of which as many are taken as a window has frames; with fewer, all frames stay.
        positions: u32,
    },
    /// Mixes the axes by a random shear.
    Shear {
        /// Largest off-diagonal entry.
        amplitude: f32,
    },
    /// Swaps left and right joints.
    Flip,
    /// Turns by a large angle about one random axis and by small ones about the others.
    Rotation {
        /// Largest angle about the chosen axis, degrees.
        large: f32,
        /// Largest angle about the other two, degrees.
        small: f32,
    },
    /// Turns by up to an angle about the vertical axis: another camera position.
    Yaw {
        /// Largest angle, degrees.
        angle: f32,
    },
    /// Gives the body other limb lengths, the same throughout the window.
    Limbs {
        /// Largest relative change of a bone's length, 0..1.
        amount: f32,
    },
    /// Adds Gaussian noise to every coordinate.
    Noise {
        /// Standard deviation, in the window's unit (metres unless scaled).
        spread: f32,
    },
    /// Smooths time with a Gaussian kernel of random width.
    Blur {
        /// Frames of the kernel, odd.
        kernel: u32,
        /// Smallest standard deviation, frames.
        low: f32,
        /// Largest standard deviation, frames.
        high: f32,
        /// Makes the kernel sum to one; `false` reproduces AimCLR's gain and dark edges.
        normalized: bool,
    },
    /// Sets one random axis to zero.
    AxisMask,
    /// Plays the window backwards.
    Reverse,
    /// Moves each of some joints by a constant offset.
    JointJitter {
        /// Chance of a joint to be moved.
        rate: f32,
        /// Standard deviation of the offset on each axis.
        spread: f32,
    },
    /// Puts some joints at the origin for the whole window.
    JointDrop {
        /// Chance of a joint to be dropped.
        rate: f32,
    },
}

impl Operation {
    /// Changes a window.
    pub fn apply(&self, view: &mut View<'_>, topology: &Topology, rng: &mut impl Rng) {
        match *self {
            Self::TemporalCrop { ratio } => crop::temporal_crop(view, ratio, rng),
            Self::TimeWarp { pieces, amount } => warp::time_warp(view, pieces, amount, rng),
            Self::TemporalSample { positions } => {
                sample::temporal_sample(view, positions, rng);
            }
            Self::Shear { amplitude } => shear::shear(view, amplitude, rng),
            Self::Flip => flip::flip(view, topology),
            Self::Rotation { large, small } => rotation::rotation(view, large, small, rng),
            Self::Yaw { angle } => rotation::yaw(view, angle, rng),
            Self::Limbs { amount } => limbs::limbs(view, topology, amount, rng),
            Self::Noise { spread } => noise::noise(view, spread, rng),
            Self::Blur {
                kernel,
                low,
                high,
                normalized,
            } => blur::blur(view, kernel, (low, high), normalized, rng),
            Self::AxisMask => mask::axis_mask(view, rng),
            Self::Reverse => reverse::reverse(view),
            Self::JointJitter { rate, spread } => jitter::jitter(view, rate, spread, rng),
            Self::JointDrop { rate } => jitter::drop(view, rate, rng),
        }
    }
}

/// An operation that happens with some probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// Probability, 0..=1.
    pub probability: f64,
    /// The operation.
    #[serde(flatten)]
    pub operation: Operation,
}

/// Operations in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recipe(pub Vec<Chance>);

impl Recipe {
    /// The normal set: temporal crop and shear, always.
    ///
    /// # Source
    /// CrosSCLR, AimCLR, SkeleMixCLR: crop ratio 6, shear amplitude 0.5.
    pub fn normal() -> Self {
        Self(vec![
            always(Operation::TemporalCrop { ratio: 6 }),
            always(Operation::Shear { amplitude: 0.5 }),
        ])
    }

    /// The extreme set: the normal one, then AimCLR's six operations.
    ///
    /// # Source
    /// AimCLR. The blur kernel is normalised here; the published code's is not.
    pub fn extreme() -> Self {
        let mut recipe = Self::normal();
        recipe.0.extend([
            half(Operation::Flip),
            always(Operation::Rotation {
                large: 30.0,
                small: 1.0,
            }),
            half(Operation::Noise { spread: 0.01 }),
            half(Operation::Blur {
                kernel: 15,
                low: 0.1,
                high: 2.0,
                normalized: true,
            }),
            half(Operation::AxisMask),
            half(Operation::Reverse),
        ]);
        recipe
    }

    /// What a teacher sees on the device: a small temporal shift and turn.
    pub fn weak() -> Self {
        Self(vec![
            always(Operation::TemporalCrop { ratio: 12 }),
            always(Operation::Shear { amplitude: 0.1 }),
        ])
    }

    /// What a student sees on the device: stronger, but still a believable recording.
    pub fn strong() -> Self {
        Self(vec![
            always(Operation::TemporalCrop { ratio: 6 }),
            always(Operation::Shear { amplitude: 0.3 }),
            always(Operation::Rotation {
                large: 20.0,
                small: 5.0,
            }),
            half(Operation::Noise { spread: 0.01 }),
            half(Operation::JointJitter {
                rate: 0.2,
                spread: 0.05,
            }),
            half(Operation::JointDrop { rate: 0.1 }),
        ])
    }

    /// Changes a window.
    pub fn apply(&self, view: &mut View<'_>, topology: &Topology, rng: &mut impl Rng) {
        for chance in &self.0 {
            // The draw happens even at probability one, so that a changed probability moves no later draw.
            if rng.random::<f64>() < chance.probability {
                chance.operation.apply(view, topology, rng);
            }
        }
    }
}

fn always(operation: Operation) -> Chance {
    Chance {
        probability: 1.0,
        operation,
    }
}

fn half(operation: Operation) -> Chance {
    Chance {
        probability: 0.5,
        operation,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::augment::random::generator;
    use tendon_shared::topology::TopologyId;

    /// A window of one or two bodies whose values all differ.
    pub(crate) fn ramp(bodies: usize, frames: usize, joints: usize) -> Vec<f32> {
        (0..bodies * AXES * frames * joints)
            .map(|index| 0.01 * (index as f32 + 1.0))
            .collect()
    }

    fn apply(operation: Operation, data: &mut [f32], seed: u64) {
        let topology = TopologyId::Kinect20.topology();
        let mut view = View {
            data,
            frames: 12,
            joints: 20,
        };
        operation.apply(&mut view, topology, &mut generator(seed, 0, 0, 0));
    }

    const ALL: [Operation; 13] = [
        Operation::TemporalCrop { ratio: 6 },
        Operation::Shear { amplitude: 0.5 },
        Operation::Flip,
        Operation::Rotation {
            large: 30.0,
            small: 1.0,
        },
        Operation::Yaw { angle: 30.0 },
        Operation::Limbs { amount: 0.2 },
        Operation::Noise { spread: 0.01 },
        Operation::Blur {
            kernel: 15,
            low: 0.1,
            high: 2.0,
            normalized: true,
        },
        Operation::AxisMask,
        Operation::Reverse,
        Operation::JointJitter {
            rate: 0.5,
            spread: 0.1,
        },
        Operation::JointDrop { rate: 0.5 },
        Operation::TemporalSample { positions: 17 },
    ];

    #[test]
    fn an_absent_body_stays_absent() {
        for operation in ALL {
            let mut data = ramp(1, 12, 20);
            data.extend(vec![0.0; AXES * 12 * 20]);
            apply(operation, &mut data, 4);
            assert!(
                data[AXES * 12 * 20..].iter().all(|value| *value == 0.0),
                "{operation:?}"
            );
        }
    }

    #[test]
    fn the_same_counter_gives_the_same_view_and_another_one_does_not() {
        let view = |seed| {
            let mut data = ramp(1, 12, 20);
            let topology = TopologyId::Kinect20.topology();
            let mut view = View {
                data: &mut data,
                frames: 12,
                joints: 20,
            };
            Recipe::extreme().apply(&mut view, topology, &mut generator(seed, 1, 2, 3));
            data
        };
        assert_eq!(view(1), view(1));
        assert_ne!(view(1), view(2));
    }

    #[test]
    fn bodies_of_one_window_share_a_draw() {
        for operation in [ALL[0], ALL[1], ALL[3], ALL[4], ALL[7], ALL[12]] {
            let mut data = ramp(1, 12, 20);
            data.extend(data.clone());
            apply(operation, &mut data, 9);
            let (first, second) = data.split_at(AXES * 12 * 20);
            assert_eq!(first, second, "{operation:?}");
        }
    }

    #[test]
    fn values_stay_finite() {
        for operation in ALL {
            for seed in 0..20 {
                let mut data = ramp(2, 12, 20);
                apply(operation, &mut data, seed);
                assert!(data.iter().all(|value| value.is_finite()), "{operation:?}");
            }
        }
    }

    #[test]
    fn a_recipe_survives_its_text_form() {
        let text = serde_json::to_string(&Recipe::extreme()).unwrap();
        assert_eq!(
            serde_json::from_str::<Recipe>(&text).unwrap(),
            Recipe::extreme()
        );
    }
}
