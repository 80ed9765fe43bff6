//! The nearest rows of a table by cosine: what neighbours, partners and label spreading are made of.

use super::matrix::Features;
use super::probe::{rows, to_vec};
use burn::tensor::Device;

/// Rows compared with the whole bank at once, to bound memory.
const CHUNK: usize = 256;

/// For each row of `asked` the `count` rows of `bank` with the largest cosine, largest first, among those that are `allowed`
/// (given the numbers of both rows); equal cosines keep the bank's order.
pub fn nearest(
    asked: &Features,
    bank: &Features,
    count: usize,
    allowed: impl Fn(usize, usize) -> bool,
    device: &Device,
) -> Vec<Vec<(usize, f32)>> {
    let unit = asked.unit_rows();
    let bank_rows = rows(&bank.unit_rows(), device).transpose();
    let all: Vec<usize> = (0..asked.len()).collect();
    let mut found = Vec::with_capacity(all.len());
    for chunk in all.chunks(CHUNK) {
        let cosines = to_vec(rows(&unit.select(chunk), device).matmul(bank_rows.clone()));
        for (row, &asking) in cosines.chunks_exact(bank.len().max(1)).zip(chunk) {
            let nearer = |a: &usize, b: &usize| row[*b].total_cmp(&row[*a]).then(a.cmp(b));
            let others = 0..bank.len();
            let mut near: Vec<usize> = others.filter(|&other| allowed(asking, other)).collect();
            if 0 < count && count < near.len() {
                near.select_nth_unstable_by(count - 1, nearer);
            }
            near.truncate(count);
            near.sort_unstable_by(nearer);
            found.push(near.into_iter().map(|other| (other, row[other])).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(angles: &[f32]) -> Features {
        let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]);
        Features::new(2, values.collect(), vec![0; angles.len()], 1).unwrap()
    }

    #[test]
    fn the_nearest_come_first_and_forbidden_ones_not_at_all() {
        let bank = features(&[0.0, 0.5, 1.0, 0.5]);
        let asked = features(&[0.4]);
        let find = |count, forbidden: usize| {
            let found = nearest(
                &asked,
                &bank,
                count,
                |_, other| other != forbidden,
                &Device::flex(),
            );
            found[0].iter().map(|(other, _)| *other).collect::<Vec<_>>()
        };
        assert_eq!(find(4, 9), [1, 3, 0, 2]);
        assert_eq!(find(2, 9), [1, 3]);
        assert_eq!(find(2, 1), [3, 0]);
        assert!(find(0, 9).is_empty());
    }

    #[test]
    fn lengths_do_not_matter() {
        let bank = Features::new(2, vec![100.0, 1.0, 0.0, 0.1], vec![0; 2], 1).unwrap();
        let asked = Features::new(2, vec![0.0, 3.0], vec![0], 1).unwrap();
        let found = nearest(&asked, &bank, 1, |_, _| true, &Device::flex());
        assert_eq!(found[0][0].0, 1);
        assert!((found[0][0].1 - 1.0).abs() < 1e-6);
    }
}
