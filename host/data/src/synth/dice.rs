//! Random numbers by counter: a draw depends on the seed and on what it is for, never on what was drawn before elsewhere.

use super::vector::V3;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What numbers are drawn for; separates the sequences of one seed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    Person = 1,
    Performance = 2,
    Sensor = 3,
}

/// A sequence of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The sequence of `seed` for the thing numbered `key` (16 bits of each).
    pub(super) fn new(seed: u64, purpose: Use, key: [usize; 4]) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8] = purpose as u8;
        for (slot, number) in bytes[16..].chunks_exact_mut(4).zip(key) {
            slot.copy_from_slice(&(number as u32).to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// Uniform in `0..1`.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform between `low` and `high`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// A whole number from `low` to `high`, both included.
    pub(super) fn whole(&mut self, low: u8, high: u8) -> u8 {
        low + (self.unit() * f32::from(high - low + 1)) as u8
    }

    /// Standard normal, by Box and Muller's method.
    pub(super) fn normal(&mut self) -> f32 {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.unit()));
        radius * libm::cosf(core::f32::consts::TAU * self.unit())
    }

    /// Three standard normals.
    pub(super) fn normal3(&mut self) -> V3 {
        [self.normal(), self.normal(), self.normal()]
    }
}
