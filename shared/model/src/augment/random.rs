//! Random numbers by counter: the same (seed, epoch, sample, view) gives the same draw on any thread, in any order.

use rand::{Rng, RngExt as _};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The generator of one view of one sample in one epoch.
pub fn generator(seed: u64, epoch: u64, sample: u64, view: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, value) in key.chunks_exact_mut(8).zip([seed, epoch, sample, view]) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// One draw from the standard normal distribution (Box-Muller).
pub fn normal(rng: &mut impl Rng) -> f32 {
    // 1 - u is in (0, 1], so the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

/// One draw from the uniform distribution over `low..high`; `low` when the range is empty.
pub fn uniform(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_own_stream() {
        let first =
            |seed, epoch, sample, view| generator(seed, epoch, sample, view).random::<u64>();
        let draws = [
            first(0, 0, 0, 0),
            first(1, 0, 0, 0),
            first(0, 1, 0, 0),
            first(0, 0, 1, 0),
            first(0, 0, 0, 1),
        ];
        for (index, draw) in draws.iter().enumerate() {
            assert!(!draws[..index].contains(draw));
        }
        assert_eq!(first(3, 1, 4, 1), first(3, 1, 4, 1));
    }

    #[test]
    fn normal_draws_have_mean_zero_and_spread_one() {
        let mut rng = generator(1, 0, 0, 0);
        let draws: Vec<f32> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        let spread =
            draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f32>() / draws.len() as f32;
        assert!(
            mean.abs() < 0.03 && (spread - 1.0).abs() < 0.05,
            "{mean} {spread}"
        );
    }
}
