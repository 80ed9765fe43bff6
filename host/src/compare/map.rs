//! Embeddings in two dimensions, to look at: t-SNE.
//!
//! # Source
//! van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008, by the crate `bhtsne`. It starts from a seeded cloud, so that
//! the same features give the same map on one thread; neighbours in it mean something, distances and directions do not.

use crate::evaluate::matrix::Features;
use rand::RngExt as _;
use tendon_model::augment::random::generator;

/// About how many neighbours a point has.
const PERPLEXITY: f32 = 20.0;
/// Steps of the descent.
const EPOCHS: usize = 500;
/// Fewer points are no map.
const FEWEST: usize = 8;

/// One place a window, `(x, y)`; nothing for a handful of windows.
#[must_use]
pub fn map(features: &Features, seed: u64) -> Vec<(f64, f64)> {
    let count = features.len();
    if count < FEWEST {
        return Vec::new();
    }
    let unit = features.unit_rows();
    let rows: Vec<&[f32]> = (0..count).map(|index| unit.row(index)).collect();
    let mut rng = generator(seed, u64::MAX, u64::MAX, 2);
    let start: Vec<f32> = (0..2 * count)
        .map(|_| 1e-3 * (rng.random::<f32>() - 0.5))
        .collect();
    // Points beyond three times the perplexity have no neighbours left to tell apart.
    let perplexity = PERPLEXITY.min((count - 1) as f32 / 3.0 - 0.1);
    let distance = |a: &&[f32], b: &&[f32]| {
        let square: f32 = a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum();
        square.sqrt()
    };
    let mut places: bhtsne::tSNE<'_, f32, &[f32]> = bhtsne::tSNE::new(&rows);
    places
        .initial_embedding(start)
        .perplexity(perplexity)
        .epochs(EPOCHS)
        .exact(distance);
    places
        .embedding()
        .chunks_exact(2)
        .map(|place| (f64::from(place[0]), f64::from(place[1])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_apart_stay_apart() {
        let values: Vec<f32> = (0..40)
            .flat_map(|window| {
                let group = (window % 2) as f32;
                [1.0 - group, group, 0.01 * (window as f32).sin()]
            })
            .collect();
        let labels: Vec<u16> = (0..40).map(|window| window % 2).collect();
        let features = Features::new(3, values, labels, 2).unwrap();
        let places = map(&features, 1);
        let middle = |group: usize| {
            let own = places.iter().skip(group).step_by(2);
            let (x, y) = own.fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
            (x / 20.0, y / 20.0)
        };
        let apart = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).hypot(a.1 - b.1);
        let middles = [middle(0), middle(1)];
        let own = |(index, place): (usize, &(f64, f64))| {
            apart(*place, middles[index % 2]) < apart(*place, middles[1 - index % 2])
        };
        assert!(places.iter().enumerate().all(own));
        assert!(map(&features.select(&[0, 1, 2]), 1).is_empty());
    }
}
