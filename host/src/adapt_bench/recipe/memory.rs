//! RoTTA's memory: balanced over classes, of windows that are sure and not old.
//!
//! # Source
//! Yuan, Xie and Li, "Robust test-time adaptation in dynamic scenarios", CVPR 2023 (RoTTA), category-balanced sampling with timeliness and
//! uncertainty: a window's score is `1 / (1 + exp(-age / capacity)) + H / ln C`; the highest score of the fullest classes, or of the own class when
//! its share is used up, gives way to a new window with a lower one.

use super::float::Input;
use super::vector::{entropy, largest};

/// A window that is kept.
#[derive(Debug, Clone)]
struct Kept {
    window: Input,
    class: usize,
    uncertainty: f32,
    age: f32,
}

/// The memory.
#[derive(Debug, Clone)]
pub struct Memory {
    capacity: usize,
    kept: Vec<Kept>,
}

impl Memory {
    /// Keeps at most `capacity` windows.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            kept: Vec::new(),
        }
    }

    /// Offers a window with what was said about it; all others become older.
    pub fn offer(&mut self, window: Input, probabilities: &[f32]) {
        let classes = probabilities.len().max(2);
        let new = Kept {
            window,
            class: largest(probabilities),
            uncertainty: entropy(probabilities) / (classes as f32).ln(),
            age: 0.0,
        };
        if self.has_room(&new, classes) {
            self.kept.push(new);
        }
        for kept in &mut self.kept {
            kept.age += 1.0;
        }
    }

    /// Windows with their ages as shares of the capacity, classes mixed as they came.
    #[must_use]
    pub fn all(&self) -> Option<(Input, Vec<f32>)> {
        let windows: Vec<&Input> = self.kept.iter().map(|kept| &kept.window).collect();
        let ages = self.kept.iter().map(|kept| kept.age / self.capacity as f32);
        Some((Input::together(&windows)?, ages.collect()))
    }

    /// Makes room for a window if it deserves it.
    fn has_room(&mut self, new: &Kept, classes: usize) -> bool {
        let of = |class: usize| self.kept.iter().filter(|kept| kept.class == class).count();
        let share = self.capacity as f32 / classes as f32;
        let from: Vec<usize> = if (of(new.class) as f32) < share {
            if self.kept.len() < self.capacity {
                return true;
            }
            let most = (0..classes).map(of).max().unwrap_or(0);
            (0..classes).filter(|class| of(*class) == most).collect()
        } else {
            vec![new.class]
        };
        let score =
            |kept: &Kept| 1.0 / (1.0 + (-kept.age / self.capacity as f32).exp()) + kept.uncertainty;
        let worst = self
            .kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| from.contains(&kept.class))
            .max_by(|a, b| score(a.1).total_cmp(&score(b.1)));
        match worst {
            None => true,
            Some((place, worst)) if score(worst) > score(new) => {
                self.kept.remove(place);
                true
            }
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(value: f32) -> Input {
        Input {
            values: vec![value],
            shape: [1, 1, 1, 1],
        }
    }

    fn values(memory: &Memory) -> Vec<f32> {
        memory
            .all()
            .map(|(input, _)| input.values)
            .unwrap_or_default()
    }

    #[test]
    fn a_class_that_comes_all_day_keeps_its_share_only() {
        let mut memory = Memory::new(8);
        for number in 0..50 {
            memory.offer(window(number as f32), &[0.9, 0.1]);
        }
        assert_eq!(memory.kept.len(), 4);
        for number in 0..50 {
            memory.offer(window(-(number as f32)), &[0.1, 0.9]);
        }
        let first = memory.kept.iter().filter(|kept| kept.class == 0).count();
        assert_eq!((memory.kept.len(), first), (8, 4));
    }

    #[test]
    fn an_old_window_gives_way_to_a_new_one_but_not_to_an_unsure_one() {
        let mut memory = Memory::new(2);
        memory.offer(window(1.0), &[0.9, 0.1]);
        memory.offer(window(2.0), &[0.55, 0.45]);
        assert_eq!(values(&memory), [1.0]);
        memory.offer(window(3.0), &[0.9, 0.1]);
        assert_eq!(values(&memory), [3.0]);
    }

    #[test]
    fn ages_are_shares_of_the_capacity() {
        let mut memory = Memory::new(4);
        assert!(memory.all().is_none());
        memory.offer(window(1.0), &[0.9, 0.1]);
        memory.offer(window(2.0), &[0.9, 0.1]);
        assert_eq!(memory.all().unwrap().1, [0.5, 0.25]);
    }
}
