//! In which order recordings are played.

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use tendon_model::augment::random::normal;

/// The order of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    /// As in the set.
    AsIs,
    /// Shuffled: every class at any time.
    Iid,
    /// One activity at a time, as in a home. The set is played in as many sections as there are classes; how a class is spread
    /// over the sections is drawn from a Dirichlet distribution with this concentration, and within a section the classes
    /// follow one another.
    ///
    /// # Source
    /// The temporally correlated streams of NOTE (NeurIPS 2022) and RoTTA (CVPR 2023), concentration 0.1.
    Correlated(f32),
}

/// Numbers `0..labels.len()` in the order of the stream.
pub fn arrange(labels: &[u16], order: Order, rng: &mut impl Rng) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..labels.len()).collect();
    match order {
        Order::AsIs => numbers,
        Order::Iid => {
            numbers.shuffle(rng);
            numbers
        }
        Order::Correlated(concentration) => correlated(labels, concentration, rng),
    }
}

fn correlated(labels: &[u16], concentration: f32, rng: &mut impl Rng) -> Vec<usize> {
    let mut classes: Vec<u16> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let sections = classes.len().max(1);
    // One list a section, of one run a class.
    let mut played: Vec<Vec<Vec<usize>>> = vec![Vec::new(); sections];
    for class in &classes {
        let mut members: Vec<usize> = (0..labels.len())
            .filter(|number| labels[*number] == *class)
            .collect();
        members.shuffle(rng);
        let shares = dirichlet(sections, concentration, rng);
        let (mut start, mut passed) = (0, 0.0);
        for (section, share) in played.iter_mut().zip(&shares) {
            passed += share;
            let end =
                ((passed * members.len() as f64).round() as usize).clamp(start, members.len());
            section.push(members[start..end].to_vec());
            start = end;
        }
        // Rounding may leave the last one over.
        if let Some(run) = played.last_mut().and_then(|section| section.last_mut()) {
            run.extend_from_slice(&members[start..]);
        }
    }
    for section in &mut played {
        section.shuffle(rng);
    }
    played.into_iter().flatten().flatten().collect()
}

/// Shares of `count` sections; they sum to 1.
fn dirichlet(count: usize, concentration: f32, rng: &mut impl Rng) -> Vec<f64> {
    let mut shares: Vec<f64> = (0..count)
        .map(|_| gamma(f64::from(concentration), rng))
        .collect();
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        shares.iter_mut().for_each(|share| *share /= sum);
    } else {
        // Every draw was too small for a number: one section then has it all.
        shares[rng.random_range(0..count)] = 1.0;
    }
    shares
}

/// A draw from the gamma distribution with scale 1.
///
/// # Source
/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), with their boost below shape 1.
fn gamma(shape: f64, rng: &mut impl Rng) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - rng.random::<f64>()).powf(1.0 / shape);
        return gamma(shape + 1.0, rng) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(normal(rng));
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.random::<f64>()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;

    fn labels() -> Vec<u16> {
        (0..300).map(|number| number % 10).collect()
    }

    /// How often the class changes from one recording to the next.
    fn changes(order: &[usize]) -> usize {
        order
            .windows(2)
            .filter(|pair| pair[0] % 10 != pair[1] % 10)
            .count()
    }

    #[test]
    fn every_recording_is_played_once() {
        for order in [Order::AsIs, Order::Iid, Order::Correlated(0.1)] {
            for seed in 0..5 {
                let mut played = arrange(&labels(), order, &mut generator(seed, 0, 0, 0));
                played.sort_unstable();
                assert!(played.into_iter().eq(0..300), "{order:?}");
            }
        }
    }

    #[test]
    fn a_correlated_stream_stays_with_a_class() {
        let play = |order| changes(&arrange(&labels(), order, &mut generator(1, 0, 0, 0)));
        // Independent draws change nine times of ten: about 270 of 299.
        assert!(play(Order::Iid) > 240);
        assert!(play(Order::Correlated(0.1)) < 60);
    }

    #[test]
    fn one_seed_gives_one_order() {
        let play = |seed| {
            arrange(
                &labels(),
                Order::Correlated(0.1),
                &mut generator(seed, 0, 0, 0),
            )
        };
        assert_eq!(play(3), play(3));
        assert_ne!(play(3), play(4));
    }

    #[test]
    fn gamma_draws_have_the_shape_as_their_mean() {
        for shape in [0.1, 2.5] {
            let mut rng = generator(5, 0, 0, 0);
            let mean = (0..20_000).map(|_| gamma(shape, &mut rng)).sum::<f64>() / 20_000.0;
            assert!((mean / shape - 1.0).abs() < 0.06, "{shape} {mean}");
        }
    }
}
