//! Orders that depend on the seed and the epoch alone, so that a resumed run draws what an unbroken one would.

use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A generator for one purpose: the same for the same three numbers, unrelated for others.
#[must_use]
pub fn generator(seed: u64, epoch: u64, item: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (part, value) in key
        .chunks_exact_mut(8)
        .zip([seed, epoch, item, 0x7465_6e64_6f6e])
    {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The numbers `0..count` in the order of one epoch.
#[must_use]
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let random: &mut dyn Rng = &mut generator(seed, epoch, u64::MAX);
    order.shuffle(&mut *random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_complete_and_depends_on_seed_and_epoch_only() {
        let order = shuffled(50, 3, 4);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_eq!(order, shuffled(50, 3, 4));
        assert_ne!(order, shuffled(50, 3, 5));
        assert_ne!(order, shuffled(50, 4, 4));
    }
}
