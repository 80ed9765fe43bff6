//! Orders that depend on the seed and the epoch alone, so that a resumed run draws what an unbroken one would.

use rand::seq::SliceRandom as _;
use tendon_model::augment::random::generator;

/// The numbers `0..count` in the order of one epoch.
#[must_use]
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    // Windows are counted from 0 in the third place, so the largest number belongs to orders alone.
    order.shuffle(&mut generator(seed, epoch, u64::MAX, 0));
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
