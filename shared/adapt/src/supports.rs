//! Windows of this home answer for windows like them: no weights change, and nobody named them.
//!
//! A window that the encoder was sure enough of *supports* its class: its pooled features, standardised as for the
//! [`super::prototypes`], are kept, the newest few of every class. Their mean is the class's prototype *at home*; a class without
//! supports keeps the one of the bundle's source buffer. An answer becomes the mean of what the encoder says and a softmax over the
//! cosines to these prototypes.
//!
//! People, cameras and sensors of a home move all windows of a class together, mostly; prototypes from the home move with them, while
//! a classifier's borders stay. That also says where they must be silent: a window that lies no nearer to the home's prototypes than to
//! the training set's is the encoder's own matter. So a camera that hangs as before again is answered as before, and where nothing has
//! moved nothing changes.
//!
//! # Source
//! T3A (Iwasawa and Matsuo, NeurIPS 2021). Different here: prototypes are of standardised features and stand beside the classifier
//! instead of in its place; they are not made of the classifier's weights, and begin as the training set's; supports are the newest, not
//! the surest, so that a home may change; windows of no known action are none; and they speak only of windows that are nearer to them. What
//! each is worth: `docs/adaptation.md`.

use super::keys::Key;
use super::prototypes::{Prototypes, shorten};
use super::softmax::softmax;
use serde::{Deserialize, Serialize};

/// Most supports that are kept, of all classes together.
pub const MOST_SUPPORTS: usize = 4_096;

/// How windows of the home answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupportsConfig {
    /// Whether they do at all.
    pub enabled: bool,
    /// Supports of all classes until the first answer.
    pub min_windows: usize,
    /// Supports of a class that are kept; the oldest gives way.
    pub capacity: usize,
    /// Calibrated confidence of a window that becomes one, 0..=1.
    pub confidence: f32,
    /// How much nearer than to the training set's prototypes a window must be to the home's, in cosines.
    pub nearer: f32,
    /// How fast a prototype's say falls with the distance from it.
    pub sharpness: f32,
    /// Share of the home's say in an answer, 0..=1.
    pub weight: f32,
}

impl Default for SupportsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_windows: 32,
            capacity: 20,
            confidence: 0.5,
            nearer: 0.1,
            sharpness: 20.0,
            weight: 0.5,
        }
    }
}

/// The supports of a home, oldest first, and the prototypes that they make.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Supports {
    windows: Vec<Key>,
    /// Of length one, by class; none without supports.
    prototypes: Vec<Option<Vec<f32>>>,
}

impl Supports {
    /// Takes a window that the encoder gave the class `key.label`.
    pub fn insert(&mut self, key: Key, capacity: usize) {
        let label = key.label;
        let finite = key.direction.iter().all(|value| value.is_finite());
        // A direction is of length one, but for a window without features.
        let one = key.direction.iter().any(|value| *value != 0.0);
        let first = self.windows.first();
        let fits = first.is_none_or(|held| held.direction.len() == key.direction.len());
        if !(finite && one && fits) {
            return;
        }
        self.windows.retain(|held| held.window != key.window);
        let of_class = |held: &Key| held.label == label;
        while self.windows.iter().filter(|held| of_class(held)).count() >= capacity.max(1) {
            let Some(oldest) = self.windows.iter().position(of_class) else {
                break;
            };
            self.windows.remove(oldest);
        }
        // Only a bundle of very many classes comes this far.
        if self.windows.len() >= MOST_SUPPORTS {
            let oldest = self.windows.remove(0);
            self.renew(oldest.label);
        }
        self.windows.push(key);
        self.renew(label);
    }

    /// Forgets the windows that do not pass `keep`, by number.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.windows.retain(|held| keep(held.window));
        for class in 0..self.prototypes.len() {
            self.renew(u16::try_from(class).unwrap_or(u16::MAX));
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The supports, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Key] {
        &self.windows
    }

    /// Gives the home its say in the probabilities of a window with that `direction`; `trained` are the training set's prototypes.
    /// Returns whether it had one.
    pub fn answer(
        &self,
        config: &SupportsConfig,
        trained: &Prototypes,
        direction: &[f32],
        probabilities: &mut [f32],
    ) -> bool {
        if !config.enabled || self.windows.len() < config.min_windows.max(1) {
            return false;
        }
        let before = trained.cosines(direction);
        let now: Vec<Option<f32>> = before
            .iter()
            .enumerate()
            .map(|(class, before)| {
                let own = self.prototypes.get(class).and_then(Option::as_ref);
                own.map(|own| cosine(own, direction)).or(*before)
            })
            .collect();
        let nearest = |cosines: &[Option<f32>]| {
            let known = cosines.iter().flatten().copied();
            known.max_by(f32::total_cmp)
        };
        let (Some(home), Some(training)) = (nearest(&now), nearest(&before)) else {
            return false;
        };
        // Not a number says no.
        let nearer = home - training >= config.nearer;
        if !nearer || now.len() != probabilities.len() {
            return false;
        }
        let mut said: Vec<f32> = now
            .iter()
            .map(|cosine| cosine.map_or(f32::NEG_INFINITY, |cosine| config.sharpness * cosine))
            .collect();
        softmax(&mut said, 1.0);
        for (probability, said) in probabilities.iter_mut().zip(said) {
            *probability += config.weight * (said - *probability);
        }
        true
    }

    /// Makes a class's prototype anew.
    fn renew(&mut self, label: u16) {
        let class = usize::from(label);
        if self.prototypes.len() <= class {
            self.prototypes.resize(class + 1, None);
        }
        let of_class = self.windows.iter().filter(|held| held.label == label);
        let sum = of_class.fold(None, |sum: Option<Vec<f32>>, held| {
            let mut sum = sum.unwrap_or_else(|| vec![0.0; held.direction.len()]);
            let pairs = sum.iter_mut().zip(&held.direction);
            pairs.for_each(|(sum, value)| *sum += value);
            Some(sum)
        });
        let prototype = sum.map(|mut sum| {
            shorten(&mut sum);
            sum
        });
        if let Some(place) = self.prototypes.get_mut(class) {
            *place = prototype;
        }
    }
}

/// Of directions, which have length one.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prototypes of a training set with two classes, along the first and the second feature; the third class has none.
    fn trained() -> Prototypes {
        let features = [
            [9.0, 1.0, 5.0],
            [11.0, 1.0, 5.1],
            [1.0, 9.0, 4.9],
            [1.0, 11.0, 5.0],
        ];
        Prototypes::new(&features.map(Vec::from), &[0, 0, 1, 1], 3)
    }

    fn config() -> SupportsConfig {
        SupportsConfig {
            min_windows: 4,
            ..SupportsConfig::default()
        }
    }

    fn key(window: u64, label: u16, direction: [f32; 3]) -> Key {
        Key {
            window,
            label,
            direction: direction.to_vec(),
        }
    }

    /// At home everything is moved to the third feature: class 0 a little to the first, class 1 to the second.
    const HOME: [[f32; 3]; 2] = [[0.3, 0.0, 0.954], [0.0, 0.3, 0.954]];

    fn home() -> Supports {
        let mut supports = Supports::default();
        for window in 0..8 {
            let label = (window % 2) as u16;
            supports.insert(key(window, label, HOME[usize::from(label)]), 20);
        }
        supports
    }

    fn answered(
        supports: &Supports,
        config: &SupportsConfig,
        direction: [f32; 3],
    ) -> (bool, Vec<f32>) {
        let mut probabilities = vec![0.45, 0.5, 0.05];
        let had = supports.answer(config, &trained(), &direction, &mut probabilities);
        (had, probabilities)
    }

    #[test]
    fn an_unsure_answer_follows_the_windows_of_this_home_that_it_is_like() {
        let (had, said) = answered(&home(), &config(), HOME[0]);
        assert!(had && said[0] > said[1], "{said:?}");
        assert!((said.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let (_, other) = answered(&home(), &config(), HOME[1]);
        assert!(other[1] > 0.5, "{other:?}");
    }

    #[test]
    fn a_window_as_in_training_is_answered_to_the_bit_as_the_encoder_does() {
        let trained = trained();
        let as_before = trained.direction(&[10.0, 1.0, 5.0]);
        let mut probabilities = vec![0.45, 0.5, 0.05];
        assert!(!home().answer(&config(), &trained, &as_before, &mut probabilities));
        assert_eq!(probabilities, [0.45, 0.5, 0.05]);
    }

    #[test]
    fn before_enough_was_seen_and_when_switched_off_nothing_changes() {
        let few = SupportsConfig {
            min_windows: 9,
            ..config()
        };
        let off = SupportsConfig {
            enabled: false,
            ..config()
        };
        for config in [few, off] {
            let (had, said) = answered(&home(), &config, HOME[0]);
            assert_eq!((had, said), (false, vec![0.45, 0.5, 0.05]));
        }
    }

    #[test]
    fn the_newest_of_every_class_are_kept() {
        let mut supports = Supports::default();
        for window in 0..50 {
            supports.insert(key(window, (window % 2) as u16, HOME[0]), 3);
        }
        let kept: Vec<u64> = supports.as_slice().iter().map(|held| held.window).collect();
        assert_eq!(kept, [44, 45, 46, 47, 48, 49]);
    }

    #[test]
    fn memory_is_bounded_whatever_the_bundles_classes() {
        let mut supports = Supports::default();
        for window in 0..2 * MOST_SUPPORTS as u64 {
            supports.insert(key(window, (window % 5_000) as u16, HOME[0]), 20);
        }
        assert_eq!(supports.as_slice().len(), MOST_SUPPORTS);
    }

    #[test]
    fn what_is_forgotten_does_not_answer() {
        let mut supports = home();
        supports.retain(|window| window < 2);
        assert_eq!(supports.as_slice().len(), 2);
        let mut anew = Supports::default();
        anew.insert(key(0, 0, HOME[0]), 20);
        anew.insert(key(1, 1, HOME[1]), 20);
        assert_eq!(supports, anew);
        supports.clear();
        assert_eq!(supports, Supports::default());
    }

    #[test]
    fn hostile_directions_are_left_out() {
        let mut supports = home();
        let before = supports.clone();
        supports.insert(key(90, 0, [f32::NAN, 0.0, 0.0]), 20);
        supports.insert(key(91, 0, [0.0; 3]), 20);
        let long = Key {
            direction: vec![1.0; 9],
            ..key(92, 0, HOME[0])
        };
        supports.insert(long, 20);
        assert_eq!(supports, before);
        // Nor does a window without features take an answer.
        let mut probabilities = vec![0.2, 0.8, 0.0];
        assert!(!supports.answer(&config(), &trained(), &[], &mut probabilities));
        assert!(!supports.answer(&config(), &trained(), &[f32::NAN; 3], &mut probabilities));
        assert_eq!(probabilities, [0.2, 0.8, 0.0]);
    }
}
