//! Retrieval: windows of the same class should come first when all windows of a bank are ordered by likeness.

use super::matrix::Features;
use super::probe::{rows, to_vec};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Windows compared at once, to bound memory.
const CHUNK: usize = 512;

/// How well a bank is ordered, mean over the queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Share of queries whose nearest window has their class, 0..=1.
    pub recall_1: f64,
    /// Share of queries with a window of their class among the five nearest, 0..=1.
    pub recall_5: f64,
    /// Mean average precision over the whole order, 0..=1; queries whose class is not in the bank are left out.
    pub mean_average_precision: f64,
}

/// Orders `bank` by cosine for each of `queries`. The bank must not be augmented.
#[must_use]
pub fn retrieve(bank: &Features, queries: &Features, device: &Device) -> Retrieval {
    let bank_rows = rows(&bank.unit_rows(), device).transpose();
    let unit = queries.unit_rows();
    let (mut sums, mut answerable) = (Retrieval::default(), 0_usize);
    let all: Vec<usize> = (0..queries.len()).collect();
    for indices in all.chunks(CHUNK) {
        let similarity = to_vec(rows(&unit.select(indices), device).matmul(bank_rows.clone()));
        for (row, query) in similarity.chunks_exact(bank.len().max(1)).zip(indices) {
            let mut order: Vec<usize> = (0..bank.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            let label = queries.labels[*query];
            let right = order.iter().map(|&window| bank.labels[window] == label);
            if let Some((first, precision)) = judge(right) {
                answerable += 1;
                sums.recall_1 += f64::from(u8::from(first < 1));
                sums.recall_5 += f64::from(u8::from(first < 5));
                sums.mean_average_precision += precision;
            }
        }
    }
    let count = answerable.max(1) as f64;
    Retrieval {
        recall_1: sums.recall_1 / count,
        recall_5: sums.recall_5 / count,
        mean_average_precision: sums.mean_average_precision / count,
    }
}

/// Place of the first right one and the average precision of one order; nothing when nothing is right.
fn judge(right: impl Iterator<Item = bool>) -> Option<(usize, f64)> {
    let (mut first, mut found, mut sum) = (None, 0_usize, 0.0);
    for (place, right) in right.enumerate() {
        if right {
            first.get_or_insert(place);
            found += 1;
            sum += found as f64 / (place + 1) as f64;
        }
    }
    first.map(|first| (first, sum / found as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_counts_how_early_right_ones_come() {
        // Right at places 1 and 3: (1/1 + 2/3) / 2.
        let (first, precision) = judge([true, false, true].into_iter()).unwrap();
        assert_eq!(first, 0);
        assert!((precision - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(judge([false, true].into_iter()), Some((1, 0.5)));
        assert_eq!(judge([false, false].into_iter()), None);
    }

    #[test]
    fn nearest_windows_of_the_class_come_first() {
        let bank = Features::new(2, vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.1], vec![0, 1, 0], 3).unwrap();
        let queries = Features::new(2, vec![2.0, 0.0, 0.9, 1.0], vec![0, 1], 3).unwrap();
        let found = retrieve(&bank, &queries, &Device::flex());
        assert_eq!((found.recall_1, found.recall_5), (1.0, 1.0));
        assert!((found.mean_average_precision - 1.0).abs() < 1e-9);
        // A class that the bank does not have cannot be found, whatever the encoder.
        let unknown = Features::new(2, vec![1.0, 0.0, 1.0, 0.0], vec![0, 2], 3).unwrap();
        assert_eq!(retrieve(&bank, &unknown, &Device::flex()).recall_1, 1.0);
    }
}
