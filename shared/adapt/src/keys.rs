//! Windows that persons named answer for windows that look like them: no weights change, and one named window counts at once.
//!
//! The pooled features of a named window, standardised as for the [`super::prototypes`], are a *key*. An answer's probabilities
//! become `p + weight * sum over keys exp(-sharpness (1 - cosine)) onehot(label)`, divided by their sum: a window that looks like a
//! named one is drawn to its name, one that looks like none is left alone.
//!
//! # Source
//! Tip-Adapter (Zhang et al., ECCV 2022): a cache of few labelled features beside a frozen classifier, with the same kernel. Different
//! here: probabilities are mixed instead of logits, so that a key's weight is the same for every bundle.

use serde::{Deserialize, Serialize};

/// Most keys that a configuration may ask for.
pub const MOST_KEYS: usize = 1_024;

/// How named windows answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// Whether they do at all.
    pub enabled: bool,
    /// Named windows that are kept, 1..=1024; the class with most of them gives up its oldest.
    pub capacity: usize,
    /// How fast a key's say falls with the distance from it.
    pub sharpness: f32,
    /// Say of a key in windows just like it, in probabilities.
    pub weight: f32,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            capacity: 256,
            sharpness: 10.0,
            weight: 1.0,
        }
    }
}

/// A window that a person named.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its number.
    pub window: u64,
    /// Its class.
    pub label: u16,
    /// Its standardised pooled features, of length one.
    pub direction: Vec<f32>,
}

/// The named windows of a home, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Takes a named window. A window that is named again has its last name; when there are `capacity` keys, the class with most of
    /// them gives up its oldest.
    pub fn insert(&mut self, key: Key, capacity: usize) {
        self.0.retain(|held| held.window != key.window);
        while self.0.len() >= capacity.max(1) {
            let of_class = |label| self.0.iter().filter(|held| held.label == label).count();
            // Of classes with equally many the one with the oldest key.
            let fullest = self.0.iter().rev().max_by_key(|held| of_class(held.label));
            let label = fullest.map(|held| held.label);
            let Some(oldest) = self.0.iter().position(|held| Some(held.label) == label) else {
                break;
            };
            self.0.remove(oldest);
        }
        self.0.push(key);
    }

    /// Draws the probabilities of a window with that `direction` to the names of the windows that it looks like.
    pub fn recall(&self, config: &KeysConfig, direction: &[f32], probabilities: &mut [f32]) {
        if !config.enabled || self.0.is_empty() {
            return;
        }
        for key in &self.0 {
            let cosine: f32 = key
                .direction
                .iter()
                .zip(direction)
                .map(|(a, b)| a * b)
                .sum();
            let fits = key.direction.len() == direction.len() && cosine.is_finite();
            if let Some(probability) = probabilities.get_mut(usize::from(key.label))
                && fits
            {
                *probability += config.weight * (config.sharpness * (cosine.min(1.0) - 1.0)).exp();
            }
        }
        let sum: f32 = probabilities.iter().sum();
        if sum > 0.0 {
            probabilities.iter_mut().for_each(|value| *value /= sum);
        }
    }

    /// The keys, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Key] {
        &self.0
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(window: u64, label: u16, direction: [f32; 2]) -> Key {
        Key {
            window,
            label,
            direction: direction.to_vec(),
        }
    }

    fn recalled(keys: &Keys, direction: [f32; 2], mut probabilities: Vec<f32>) -> Vec<f32> {
        keys.recall(&KeysConfig::default(), &direction, &mut probabilities);
        probabilities
    }

    #[test]
    fn one_named_window_decides_what_looks_like_it_and_nothing_else() {
        let mut keys = Keys::default();
        keys.insert(key(1, 2, [1.0, 0.0]), 8);
        let unsure = vec![0.5, 0.4, 0.1];
        assert!(recalled(&keys, [1.0, 0.0], unsure.clone())[2] > 0.5);
        let far = recalled(&keys, [0.0, 1.0], unsure.clone());
        assert!(far.iter().zip(&unsure).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn without_named_windows_answers_stay_as_they_are_to_the_bit() {
        let plain = vec![0.3, 0.3, 0.4];
        assert_eq!(recalled(&Keys::default(), [1.0, 0.0], plain.clone()), plain);
        let mut keys = Keys::default();
        keys.insert(key(1, 0, [1.0, 0.0]), 8);
        let mut off = plain.clone();
        let config = KeysConfig {
            enabled: false,
            ..KeysConfig::default()
        };
        keys.recall(&config, &[1.0, 0.0], &mut off);
        assert_eq!(off, plain);
    }

    #[test]
    fn the_last_name_of_a_window_counts() {
        let mut keys = Keys::default();
        keys.insert(key(1, 0, [1.0, 0.0]), 8);
        keys.insert(key(1, 1, [1.0, 0.0]), 8);
        assert_eq!(keys.as_slice(), [key(1, 1, [1.0, 0.0])]);
    }

    #[test]
    fn the_class_with_most_keys_gives_up_its_oldest() {
        let mut keys = Keys::default();
        for (window, label) in [(0, 5), (1, 3), (2, 3), (3, 3), (4, 5)] {
            keys.insert(key(window, label, [1.0, 0.0]), 4);
        }
        let left: Vec<u64> = keys.as_slice().iter().map(|key| key.window).collect();
        assert_eq!(left, [0, 2, 3, 4]);
    }

    #[test]
    fn keys_of_another_encoder_or_of_no_class_say_nothing() {
        let mut keys = Keys::default();
        keys.insert(key(1, 9, [1.0, 0.0]), 8);
        keys.insert(
            Key {
                direction: vec![1.0; 3],
                ..key(2, 0, [0.0, 0.0])
            },
            8,
        );
        keys.insert(key(3, 1, [f32::NAN, 0.0]), 8);
        let found = recalled(&keys, [1.0, 0.0], vec![0.25, 0.75]);
        assert_eq!(found, [0.25, 0.75]);
    }
}
