//! How much a window looks like the training windows: by its pooled features, against the mean of every class of the source buffer.
//!
//! Features are standardised by the buffer's mean and spread first, because a ReLU's outputs all point the same way otherwise. Over
//! camera tilt, roll, body size, noise and frame rate the mean cosine falls as the accuracy does (`docs/adaptation.md`).

/// The classes' prototypes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prototypes {
    mean: Vec<f32>,
    spread: Vec<f32>,
    /// Of length one; a class without windows has none.
    classes: Vec<Option<Vec<f32>>>,
    /// Sum of the directions of each class's windows, and how many there are.
    sums: Vec<(Vec<f32>, usize)>,
}

/// A window's nearest prototype.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// Its class.
    pub class: u16,
    /// The cosine, -1..=1.
    pub cosine: f32,
}

impl Prototypes {
    /// The prototypes of labelled pooled features, `[window, dim]`, of `classes` classes.
    #[must_use]
    pub fn new(features: &[Vec<f32>], labels: &[u16], classes: usize) -> Self {
        let dim = features.first().map_or(0, Vec::len);
        let count = features.len().max(1) as f32;
        let mut mean = vec![0.0_f32; dim];
        let mut spread = vec![0.0_f32; dim];
        for window in features {
            add(&mut mean, window, 1.0 / count);
        }
        for window in features {
            for ((spread, value), mean) in spread.iter_mut().zip(window).zip(&mean) {
                *spread += (value - mean) * (value - mean) / count;
            }
        }
        spread
            .iter_mut()
            .for_each(|value| *value = value.sqrt().max(1e-6));
        let mut found = Self {
            mean,
            spread,
            classes: Vec::new(),
            sums: Vec::new(),
        };
        let mut sums: Vec<Option<Vec<f32>>> = vec![None; classes];
        for (window, label) in features.iter().zip(labels) {
            if let Some(sum) = sums.get_mut(usize::from(*label)) {
                add(
                    sum.get_or_insert_with(|| vec![0.0; dim]),
                    &found.direction(window),
                    1.0,
                );
            }
        }
        found.sums = sums
            .iter()
            .enumerate()
            .map(|(class, sum)| {
                let of_class = labels.iter().filter(|label| usize::from(**label) == class);
                (sum.clone().unwrap_or_default(), of_class.count())
            })
            .collect();
        found.classes = sums
            .into_iter()
            .map(|sum| {
                sum.map(|mut sum| {
                    shorten(&mut sum);
                    sum
                })
            })
            .collect();
        found
    }

    /// The prototype nearest to a window's pooled features; `None` without prototypes or for another number of features.
    #[must_use]
    pub fn nearest(&self, features: &[f32]) -> Option<Nearest> {
        if features.len() != self.mean.len() || features.is_empty() {
            return None;
        }
        let cosines = self.cosines(&self.direction(features));
        let known = cosines.iter().enumerate().filter_map(|(class, cosine)| {
            Some(Nearest {
                class: u16::try_from(class).ok()?,
                cosine: (*cosine)?,
            })
        });
        known.max_by(|a, b| a.cosine.total_cmp(&b.cosine))
    }

    /// The cosine to every class's prototype of a window with that `direction`; none for a class without windows, or for another number
    /// of features.
    #[must_use]
    pub fn cosines(&self, direction: &[f32]) -> Vec<Option<f32>> {
        let fits = direction.len() == self.mean.len() && !direction.is_empty();
        let classes = self.classes.iter();
        classes
            .map(|known| {
                let known = known.as_ref().filter(|_| fits)?;
                Some(known.iter().zip(direction).map(|(a, b)| a * b).sum())
            })
            .collect()
    }

    /// As [`Self::nearest`], for one of the very windows that the prototypes were made of: its class's prototype is taken without it.
    /// A class of one window has none then.
    #[must_use]
    pub fn nearest_without(&self, features: &[f32], label: u16) -> Option<Nearest> {
        let (sum, count) = self.sums.get(usize::from(label))?;
        let mut others = self.clone();
        let own = others.classes.get_mut(usize::from(label))?;
        *own = (*count > 1).then(|| {
            let mut rest = sum.clone();
            add(&mut rest, &self.direction(features), -1.0);
            shorten(&mut rest);
            rest
        });
        others.nearest(features)
    }

    /// Pooled features, standardised, of length one.
    #[must_use]
    pub fn direction(&self, features: &[f32]) -> Vec<f32> {
        let mut direction: Vec<f32> = features
            .iter()
            .zip(self.mean.iter().zip(&self.spread))
            .map(|(value, (mean, spread))| (value - mean) / spread)
            .collect();
        shorten(&mut direction);
        direction
    }
}

fn add(sum: &mut [f32], values: &[f32], weight: f32) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += weight * value);
}

/// Makes the length one.
pub(crate) fn shorten(vector: &mut [f32]) {
    let norm = vector
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(1e-9);
    vector.iter_mut().for_each(|value| *value /= norm);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prototypes() -> Prototypes {
        let features = [[9.0, 1.0], [11.0, 1.0], [1.0, 9.0], [1.0, 11.0]].map(Vec::from);
        Prototypes::new(&features, &[0, 0, 2, 2], 3)
    }

    #[test]
    fn a_training_window_is_near_its_own_class() {
        let near = prototypes().nearest(&[10.0, 1.0]).unwrap();
        assert_eq!(near.class, 0);
        assert!(near.cosine > 0.99);
        assert_eq!(prototypes().nearest(&[1.0, 10.0]).unwrap().class, 2);
    }

    #[test]
    fn what_lies_between_the_classes_is_near_none() {
        assert!(prototypes().nearest(&[10.0, 10.0]).unwrap().cosine < 0.2);
    }

    #[test]
    fn nothing_is_near_without_windows_or_with_other_features() {
        assert!(Prototypes::new(&[], &[], 3).nearest(&[]).is_none());
        assert!(prototypes().nearest(&[1.0]).is_none());
    }
}
