//! What a device recognised, against what people did.

use std::collections::BTreeMap;

/// Counts of a stream of tracks.
pub(super) struct Tally {
    /// `[true class][recognised class]`.
    pub(super) counts: Vec<Vec<u32>>,
    /// Tracks of which the device said nothing.
    pub(super) missed: usize,
}

impl Tally {
    /// Compares the class recognised for each track with the true one.
    pub(super) fn new(truth: &BTreeMap<u64, usize>, found: &BTreeMap<u64, usize>) -> Self {
        let classes = truth
            .values()
            .chain(found.values())
            .max()
            .map_or(0, |class| class + 1);
        let mut counts = vec![vec![0; classes]; classes];
        let mut missed = 0;
        for (track, class) in truth {
            match found.get(track) {
                Some(recognised) => counts[*class][*recognised] += 1,
                None => missed += 1,
            }
        }
        Self { counts, missed }
    }

    /// Tracks that were recognised.
    pub(super) fn windows(&self) -> u32 {
        self.counts.iter().flatten().sum()
    }

    /// Share of the tracks that were recognised rightly, 0..=1; a missed track is not right.
    pub(super) fn accuracy(&self) -> f64 {
        let right: u32 = self
            .counts
            .iter()
            .enumerate()
            .map(|(class, row)| row[class])
            .sum();
        f64::from(right) / (f64::from(self.windows()) + self.missed as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_track_counts_as_wrong() {
        let truth = BTreeMap::from([(1, 0), (2, 1), (3, 1), (4, 0)]);
        let found = BTreeMap::from([(1, 0), (2, 1), (3, 0), (9, 1)]);
        let tally = Tally::new(&truth, &found);
        assert_eq!((tally.windows(), tally.missed), (3, 1));
        assert_eq!(tally.counts, [[1, 0], [1, 1]]);
        assert_eq!(tally.accuracy(), 0.5);
    }
}
