//! Label spreading: few labels travel along nearest neighbours to windows that have none.
//!
//! With one label a class, a linear classifier sees one window of each and ignores hundreds without labels that show how each class
//! varies. Here labels spread over the graph of all training windows' nearest neighbours, and a new window takes the mean of its
//! own neighbours'. It is only as good as the features: neighbours must show the same action.
//!
//! # Source
//! Zhou et al., "Learning with Local and Global Consistency", NIPS 2003, with the class mass normalisation of Zhu et al., ICML 2003
//! (equal masses: the labels are drawn class by class). New windows as in Delalleau et al., AISTATS 2005.

use super::matrix::{Features, Standard};
use super::metrics::Predictions;
use super::nearest::nearest;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How labels spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadConfig {
    /// Neighbours of each window in the graph.
    pub neighbours: usize,
    /// Temperature of the edges' weights `exp((cosine - 1) / temperature)`.
    pub temperature: f64,
    /// Share of a window's classes that comes from its neighbours in each round, 0..1; the rest from its own label.
    pub alpha: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Default for SpreadConfig {
    fn default() -> Self {
        Self {
            neighbours: 5,
            temperature: 0.1,
            alpha: 0.9,
            rounds: 30,
        }
    }
}

/// Classifies `test` by windows of `bank` of which only `labelled` show their label.
///
/// Features are brought to mean 0 and spread 1, measured on the bank; the logits are logarithms of classes' shares.
#[must_use]
pub fn spread(
    bank: &Features,
    labelled: &[usize],
    test: &Features,
    config: SpreadConfig,
    device: &Device,
) -> Predictions {
    let classes = bank.classes;
    let standard = Standard::measure(bank);
    let (bank_scaled, test_scaled) = (standard.apply(bank), standard.apply(test));
    let weight = |cosine: f32| ((f64::from(cosine) - 1.0) / config.temperature).exp();
    let graph = graph(&bank_scaled, config, weight, device);
    let mut own = vec![0.0; bank.len() * classes];
    for &window in labelled {
        own[window * classes + usize::from(bank.labels[window])] = 1.0;
    }
    let mut shares = own.clone();
    for _ in 0..config.rounds {
        let mut next: Vec<f64> = own.iter().map(|own| (1.0 - config.alpha) * own).collect();
        for (row, edges) in next.chunks_exact_mut(classes).zip(&graph) {
            for (&other, weight) in edges {
                let from = &shares[other * classes..(other + 1) * classes];
                for (share, from) in row.iter_mut().zip(from) {
                    *share += config.alpha * weight * from;
                }
            }
        }
        shares = next;
    }
    balance(&mut shares, classes);
    let near = nearest(
        &test_scaled,
        &bank_scaled,
        config.neighbours.max(1),
        |_, _| true,
        device,
    );
    let logits = near.iter().flat_map(|near| {
        let mut votes = vec![0.0; classes];
        for &(window, cosine) in near {
            let shares = &shares[window * classes..(window + 1) * classes];
            for (vote, share) in votes.iter_mut().zip(shares) {
                *vote += weight(cosine) * share;
            }
        }
        let total: f64 = votes.iter().sum();
        // Nobody votes where no label arrived.
        let share = move |vote: f64| if total > 0.0 { vote / total } else { 0.0 };
        votes
            .into_iter()
            .map(move |vote| (share(vote) + 1e-6).ln() as f32)
    });
    Predictions::new(classes, logits.collect(), test.labels.clone())
}

/// Edges of every window to its neighbours and to those whose neighbour it is, scaled by the roots of both windows' degrees.
fn graph(
    bank: &Features,
    config: SpreadConfig,
    weight: impl Fn(f32) -> f64,
    device: &Device,
) -> Vec<BTreeMap<usize, f64>> {
    let near = nearest(bank, bank, config.neighbours.max(1), |a, b| a != b, device);
    let mut graph = vec![BTreeMap::new(); bank.len()];
    for (window, near) in near.iter().enumerate() {
        for &(other, cosine) in near {
            graph[window].insert(other, weight(cosine));
            graph[other].insert(window, weight(cosine));
        }
    }
    let degrees: Vec<f64> = graph
        .iter()
        .map(|edges| edges.values().sum::<f64>())
        .collect();
    for (window, edges) in graph.iter_mut().enumerate() {
        for (&other, weight) in edges {
            *weight /= (degrees[window] * degrees[other])
                .sqrt()
                .max(f64::MIN_POSITIVE);
        }
    }
    graph
}

/// Gives all classes the same mass over the windows, then makes shares of each window's.
fn balance(shares: &mut [f64], classes: usize) {
    let mut masses = vec![0.0; classes];
    for row in shares.chunks_exact(classes) {
        for (mass, share) in masses.iter_mut().zip(row) {
            *mass += share;
        }
    }
    for row in shares.chunks_exact_mut(classes) {
        for (share, mass) in row.iter_mut().zip(&masses) {
            *share /= mass.max(1e-12);
        }
        let total: f64 = row.iter().sum();
        if total > 0.0 {
            row.iter_mut().for_each(|share| *share /= total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two crescents: class 0 from 0 to 2 rad, class 1 from 2.6 to 4.6 rad, in small steps.
    fn crescents() -> Features {
        let angles: Vec<f32> = (0..21)
            .map(|step| 0.1 * step as f32)
            .chain((0..21).map(|step| 2.6 + 0.1 * step as f32))
            .collect();
        let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]);
        let labels = (0..42).map(|window| (window / 21) as u16).collect();
        Features::new(2, values.collect(), labels, 2).unwrap()
    }

    const CONFIG: SpreadConfig = SpreadConfig {
        neighbours: 3,
        temperature: 0.1,
        alpha: 0.9,
        rounds: 200,
    };

    #[test]
    fn one_label_a_class_reaches_the_far_end_of_a_crescent() {
        let bank = crescents();
        // The labelled windows are the ends that lie next to each other's far ends.
        let predictions = spread(&bank, &[0, 21], &bank, CONFIG, &Device::flex());
        assert_eq!(predictions.top1(), 1.0);
        let nothing = SpreadConfig {
            rounds: 0,
            ..CONFIG
        };
        let without = spread(&bank, &[0, 21], &bank, nothing, &Device::flex());
        assert!(without.top1() < 0.7, "the unlabelled windows carried it");
    }

    #[test]
    fn hidden_labels_are_never_read() {
        let bank = crescents();
        let mut lied = bank.clone();
        for window in (1..21).chain(22..42) {
            lied.labels[window] = 1 - lied.labels[window];
        }
        let classify = |bank: &Features| {
            let predictions = spread(bank, &[0, 21], &crescents(), CONFIG, &Device::flex());
            predictions.top1()
        };
        assert_eq!(classify(&bank), classify(&lied));
    }

    #[test]
    fn a_class_with_more_windows_around_its_label_gains_nothing_by_their_number() {
        let mut shares = vec![0.8, 0.1, 0.6, 0.0, 0.6, 0.1];
        balance(&mut shares, 2);
        // Masses 2.0 and 0.2: the first window has 0.4 and 0.5 of them.
        assert!((shares[0] - 0.4 / 0.9).abs() < 1e-12);
        assert_eq!(shares[2..4], [1.0, 0.0]);
    }

    #[test]
    fn no_label_at_all_is_no_crash() {
        let bank = crescents();
        let predictions = spread(&bank, &[], &bank, CONFIG, &Device::flex());
        assert!(predictions.top1() <= 1.0);
    }
}
