//! At most 64 windows to learn from, balanced over the pseudo-labels.
//!
//! # Source
//! RoTTA (CVPR 2023): a full memory gives up a window of its fullest class, the one with the highest score of age and
//! uncertainty. Different here: likeness to the class's other windows counts too, so that a home that repeats one movement
//! does not fill its class with copies.

use super::features::Features;

/// One window that may teach.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Which window: number within the agent's life.
    pub window: u64,
    /// Its track.
    pub track: u64,
    /// When it ended, milliseconds.
    pub end_ms: u64,
    /// Pseudo-label when it was taken.
    pub label: u16,
    /// The teacher's calibrated confidence then, 0..=1.
    pub confidence: f32,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
    /// Weak view.
    pub weak: Features,
    /// Strong view.
    pub strong: Features,
    /// Signature of the weak view, length one.
    pub signature: Vec<f32>,
}

/// The windows, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    capacity: usize,
    entries: Vec<Entry>,
}

impl Memory {
    /// An empty memory for `capacity` windows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Vec::new(),
        }
    }

    /// The windows, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes a window; gives up another one when full.
    pub fn insert(&mut self, entry: Entry) {
        if self.entries.len() >= self.capacity {
            let fullest = self.fullest();
            // A window of a full class replaces its like; any other takes the place of one from the fullest class.
            let class = if fullest.contains(&entry.label) {
                entry.label
            } else {
                fullest.first().copied().unwrap_or(0)
            };
            let newest = entry.window;
            let worst = self
                .entries
                .iter()
                .enumerate()
                .filter(|(_, held)| held.label == class)
                .max_by(|(_, a), (_, b)| self.score(a, newest).total_cmp(&self.score(b, newest)))
                .map(|(index, _)| index);
            if let Some(index) = worst {
                self.entries.remove(index);
            }
        }
        self.entries.push(entry);
    }

    /// Picks `count` windows in turn from every class, newest first, starting with class `turn`.
    #[must_use]
    pub fn pick(&self, count: usize, turn: u64) -> Vec<Entry> {
        let mut classes: Vec<u16> = self.entries.iter().map(|entry| entry.label).collect();
        classes.sort_unstable();
        classes.dedup();
        if classes.is_empty() {
            return Vec::new();
        }
        let start = usize::try_from(turn % classes.len() as u64).unwrap_or(0);
        classes.rotate_left(start);
        let mut queues: Vec<Vec<&Entry>> = classes
            .iter()
            .map(|class| {
                self.entries
                    .iter()
                    .filter(|entry| entry.label == *class)
                    .collect()
            })
            .collect();
        // Different windows of a class come first at different turns.
        for queue in &mut queues {
            let shift = usize::try_from(turn % queue.len() as u64).unwrap_or(0);
            queue.rotate_right(shift);
        }
        let mut picked = Vec::with_capacity(count);
        while picked.len() < count && queues.iter().any(|queue| !queue.is_empty()) {
            for queue in &mut queues {
                if picked.len() < count
                    && let Some(entry) = queue.pop()
                {
                    picked.push(entry.clone());
                }
            }
        }
        picked
    }

    fn fullest(&self) -> Vec<u16> {
        let mut counts = std::collections::BTreeMap::<u16, usize>::new();
        for entry in &self.entries {
            *counts.entry(entry.label).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        counts
            .into_iter()
            .filter(|(_, count)| *count == most)
            .map(|(label, _)| label)
            .collect()
    }

    /// How dispensable a window is: age (1 after four memories' worth of windows), doubt and likeness, 0..=3.
    fn score(&self, entry: &Entry, newest: u64) -> f32 {
        let age = newest.saturating_sub(entry.window) as f32 / (4 * self.capacity.max(1)) as f32;
        let likeness = self
            .entries
            .iter()
            .filter(|other| other.label == entry.label && other.window != entry.window)
            .map(|other| {
                other
                    .signature
                    .iter()
                    .zip(&entry.signature)
                    .map(|(a, b)| a * b)
                    .sum::<f32>()
            })
            .fold(0.0, f32::max);
        age.min(1.0) + (1.0 - entry.confidence) + likeness
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(window: u64, label: u16, signature: [f32; 2]) -> Entry {
        Entry {
            window,
            track: 1,
            end_ms: window * 100,
            label,
            confidence: 0.9,
            quality: 1.0,
            weak: Features::new(&[1, 2]),
            strong: Features::new(&[3, 4]),
            signature: signature.to_vec(),
        }
    }

    fn labels(memory: &Memory) -> Vec<u16> {
        memory.entries().iter().map(|entry| entry.label).collect()
    }

    #[test]
    fn one_class_all_day_does_not_push_the_others_out() {
        let mut memory = Memory::new(4);
        memory.insert(entry(0, 1, [1.0, 0.0]));
        memory.insert(entry(1, 2, [1.0, 0.0]));
        for window in 2..40 {
            memory.insert(entry(window, 0, [1.0, 0.0]));
        }
        assert_eq!(labels(&memory), [1, 2, 0, 0]);
    }

    #[test]
    fn a_new_class_takes_its_place_from_the_fullest() {
        let mut memory = Memory::new(3);
        for window in 0..3 {
            memory.insert(entry(window, 0, [1.0, 0.0]));
        }
        memory.insert(entry(3, 5, [1.0, 0.0]));
        assert_eq!(labels(&memory), [0, 0, 5]);
    }

    #[test]
    fn the_older_and_the_more_alike_goes_first() {
        let mut memory = Memory::new(3);
        memory.insert(entry(0, 0, [0.0, 1.0]));
        memory.insert(entry(1, 0, [1.0, 0.0]));
        memory.insert(entry(2, 0, [1.0, 0.0]));
        memory.insert(entry(3, 0, [1.0, 0.0]));
        let kept: Vec<u64> = memory.entries().iter().map(|entry| entry.window).collect();
        assert_eq!(kept, [0, 2, 3]);
    }

    #[test]
    fn picks_in_turn_from_every_class() {
        let mut memory = Memory::new(8);
        for window in 0..6 {
            memory.insert(entry(window, 0, [1.0, 0.0]));
        }
        memory.insert(entry(6, 3, [1.0, 0.0]));
        let picked: Vec<u16> = memory.pick(4, 0).iter().map(|entry| entry.label).collect();
        assert_eq!(picked, [0, 3, 0, 0]);
        assert_eq!(memory.pick(99, 1).len(), 7);
        assert!(Memory::new(4).pick(3, 0).is_empty());
    }
}
