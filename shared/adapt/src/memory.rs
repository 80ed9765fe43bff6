//! At most 64 windows to learn from, balanced over the labels and over the persons.
//!
//! # Source
//! RoTTA (CVPR 2023): a full memory gives up a window of its fullest class, the one with the highest score of age and
//! uncertainty. Different here: likeness to the class's other windows counts too, so that a home that repeats one movement
//! does not fill its class with copies; in a class that one track fills by more than half, that track's windows go first; and
//! windows that a person named are *trusted*: they give way only to each other, and are at most half of all.

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
    /// Pseudo-label when it was taken, or what a person called it.
    pub label: u16,
    /// Whether a person gave the label.
    pub trusted: bool,
    /// The teacher's calibrated confidence then, 0..=1; 1 when a person gave the label.
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

    /// Windows that a person named.
    #[must_use]
    pub fn trusted(&self) -> usize {
        self.entries.iter().filter(|entry| entry.trusted).count()
    }

    /// The window of that number.
    #[must_use]
    pub fn find(&self, window: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.window == window)
    }

    /// Forgets windows from number `window` on, but for those that a person named.
    pub fn forget_from(&mut self, window: u64) {
        self.entries
            .retain(|entry| entry.trusted || entry.window < window);
    }

    /// Takes a window; gives up another one when full.
    pub fn insert(&mut self, entry: Entry) {
        if entry.trusted {
            self.trust(entry);
            return;
        }
        if self.entries.len() >= self.capacity {
            self.make_room(&entry);
        }
        if self.entries.len() < self.capacity {
            self.entries.push(entry);
        }
    }

    /// Takes a window that a person named: it replaces itself, or the oldest one of the class that persons named most.
    fn trust(&mut self, entry: Entry) {
        self.entries.retain(|held| held.window != entry.window);
        if self.trusted() >= self.capacity / 2 {
            let fullest = fullest(self.entries.iter().filter(|held| held.trusted));
            let class = choose(&fullest, entry.label);
            if let Some(index) = self
                .entries
                .iter()
                .position(|held| held.trusted && held.label == class)
            {
                self.entries.remove(index);
            }
        }
        if self.entries.len() >= self.capacity {
            self.make_room(&entry);
        }
        self.entries.push(entry);
    }

    /// Gives up one window that nobody named, if there is one.
    fn make_room(&mut self, entry: &Entry) {
        // Of classes that only trusted windows fill there is nothing to give up.
        let counts = counts(self.entries.iter());
        let open = self.entries.iter().filter(|held| !held.trusted);
        let most = open
            .clone()
            .map(|held| counts.get(&held.label).copied().unwrap_or(0))
            .max()
            .unwrap_or(0);
        let mut fullest: Vec<u16> = open
            .map(|held| held.label)
            .filter(|label| counts.get(label).copied().unwrap_or(0) == most)
            .collect();
        fullest.sort_unstable();
        fullest.dedup();
        // A window of a full class replaces its like, and one of a track that has half of its class its own; any other takes the place of
        // one from the fullest class.
        let class = if self.loud(entry.label, entry) == Some(entry.track) {
            entry.label
        } else {
            choose(&fullest, entry.label)
        };
        let loud = self.loud(class, entry);
        let newest = entry.window;
        let worst = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, held)| !held.trusted && held.label == class)
            .filter(|(_, held)| loud.is_none_or(|track| held.track == track))
            .max_by(|(_, a), (_, b)| self.score(a, newest).total_cmp(&self.score(b, newest)))
            .map(|(index, _)| index);
        if let Some(index) = worst {
            self.entries.remove(index);
        }
    }

    /// The track that would have more than half of the windows of `class` that nobody named once `entry` is in, while others
    /// have some, too.
    fn loud(&self, class: u16, entry: &Entry) -> Option<u64> {
        let mut tracks = std::collections::BTreeMap::<u64, usize>::new();
        for held in &self.entries {
            if !held.trusted && held.label == class {
                *tracks.entry(held.track).or_default() += 1;
            }
        }
        let all: usize = tracks.values().sum();
        let others = |track: &u64| tracks.keys().any(|other| other != track);
        let joins = |track: u64| !entry.trusted && entry.label == class && entry.track == track;
        tracks
            .iter()
            .find(|(track, count)| {
                (**count + usize::from(joins(**track))) * 2 > all && others(track)
            })
            .map(|(track, _)| *track)
    }

    /// Picks `count` windows in turn from every class, starting with class `turn`: those that a person named first, then the
    /// newest, and within a class in turn from every track.
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
            .map(|class| self.queue(*class, turn))
            .collect();
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

    /// The windows of a class, the one to be picked first at the end.
    fn queue(&self, class: u16, turn: u64) -> Vec<&Entry> {
        let of_class = self.entries.iter().filter(|entry| entry.label == class);
        let (mut trusted, mut open): (Vec<&Entry>, Vec<&Entry>) =
            of_class.partition(|entry| entry.trusted);
        // Different windows of a class come first at different turns.
        for part in [&mut trusted, &mut open] {
            if !part.is_empty() {
                let shift = usize::try_from(turn % part.len() as u64).unwrap_or(0);
                part.rotate_right(shift);
            }
        }
        // The n-th of every track comes before the n+1-th of any.
        let mut ranks = std::collections::BTreeMap::<u64, usize>::new();
        let mut ranked: Vec<(usize, &Entry)> = open
            .into_iter()
            .rev()
            .map(|entry| {
                let rank = ranks.entry(entry.track).or_default();
                *rank += 1;
                (*rank, entry)
            })
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut queue: Vec<&Entry> = ranked.into_iter().rev().map(|(_, entry)| entry).collect();
        queue.extend(trusted);
        queue
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

fn counts<'e>(entries: impl Iterator<Item = &'e Entry>) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.label).or_default() += 1;
    }
    counts
}

/// The labels with the most windows.
fn fullest<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<u16> {
    let counts = counts(entries);
    let most = counts.values().copied().max().unwrap_or(0);
    counts
        .into_iter()
        .filter(|(_, count)| *count == most)
        .map(|(label, _)| label)
        .collect()
}

/// `label` if it is among the fullest, or the first of them.
fn choose(fullest: &[u16], label: u16) -> u16 {
    if fullest.contains(&label) {
        label
    } else {
        fullest.first().copied().unwrap_or(label)
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
            trusted: false,
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

    fn of_track(window: u64, label: u16, track: u64) -> Entry {
        Entry {
            track,
            ..entry(window, label, [1.0, 0.0])
        }
    }

    fn named(window: u64, label: u16) -> Entry {
        Entry {
            trusted: true,
            confidence: 1.0,
            ..entry(window, label, [1.0, 0.0])
        }
    }

    fn trusted(memory: &Memory) -> Vec<(u64, u16)> {
        let named = memory.entries().iter().filter(|entry| entry.trusted);
        named.map(|entry| (entry.window, entry.label)).collect()
    }

    #[test]
    fn what_a_person_named_is_never_evicted_by_pseudo_labels() {
        let mut memory = Memory::new(4);
        memory.insert(named(0, 0));
        for window in 1..500 {
            memory.insert(entry(window, (window % 3) as u16, [1.0, 0.0]));
        }
        assert_eq!(trusted(&memory), [(0, 0)]);
        assert_eq!(memory.entries().len(), 4);
    }

    #[test]
    fn named_windows_are_at_most_half_and_the_newest_of_each_class_stay() {
        let mut memory = Memory::new(8);
        for window in 0..8 {
            memory.insert(entry(window, 5, [1.0, 0.0]));
        }
        for window in 10..20 {
            memory.insert(named(window, 0));
        }
        memory.insert(named(20, 1));
        assert_eq!(trusted(&memory), [(17, 0), (18, 0), (19, 0), (20, 1)]);
        assert_eq!(memory.entries().len(), 8);
    }

    #[test]
    fn naming_a_window_again_replaces_its_label() {
        let mut memory = Memory::new(8);
        memory.insert(entry(1, 5, [1.0, 0.0]));
        memory.insert(named(1, 2));
        memory.insert(named(1, 3));
        assert_eq!(trusted(&memory), [(1, 3)]);
        assert_eq!(memory.entries().len(), 1);
    }

    #[test]
    fn named_windows_are_picked_first() {
        let mut memory = Memory::new(8);
        memory.insert(named(0, 0));
        for window in 1..7 {
            memory.insert(entry(window, (window % 2) as u16, [1.0, 0.0]));
        }
        for turn in 0..20 {
            let picked = memory.pick(2, turn);
            assert!(picked.iter().any(|entry| entry.trusted), "turn {turn}");
        }
    }

    #[test]
    fn one_person_does_not_keep_more_than_half_of_a_class() {
        let mut memory = Memory::new(8);
        for window in 0..20 {
            memory.insert(of_track(window, 0, 1));
        }
        for window in 20..30 {
            memory.insert(of_track(window, 0, window % 3 + 2));
        }
        // The loud one comes back and cannot take the class again.
        for window in 30..60 {
            memory.insert(of_track(window, 0, 1));
        }
        let loud = memory.entries().iter().filter(|held| held.track == 1);
        assert_eq!((loud.count(), memory.entries().len()), (4, 8));
    }

    #[test]
    fn one_person_does_not_take_a_small_class_either() {
        let mut memory = Memory::new(8);
        for window in 0..6 {
            memory.insert(of_track(window, 0, window));
        }
        memory.insert(of_track(6, 1, 1));
        memory.insert(of_track(7, 1, 2));
        for window in 8..20 {
            memory.insert(of_track(window, 1, 1));
        }
        let of_class = memory.entries().iter().filter(|held| held.label == 1);
        let tracks: Vec<u64> = of_class.map(|held| held.track).collect();
        assert_eq!(tracks, [2, 1]);
    }

    #[test]
    fn picks_in_turn_from_every_person() {
        let mut memory = Memory::new(16);
        for window in 0..8 {
            memory.insert(of_track(window, 0, 1));
        }
        memory.insert(of_track(8, 0, 2));
        for turn in 0..9 {
            let picked = memory.pick(2, turn);
            let tracks: Vec<u64> = picked.iter().map(|entry| entry.track).collect();
            assert!(tracks == [1, 2] || tracks == [2, 1], "{tracks:?}");
        }
    }
}
