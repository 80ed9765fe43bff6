//! A table of features: one row a window, with labels.

use super::EvaluateError;

/// Features `[window, dim]` with one label a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Values a window.
    pub dim: usize,
    /// Row-major values.
    pub values: Vec<f32>,
    /// Class index a window.
    pub labels: Vec<u16>,
    /// Number of classes.
    pub classes: usize,
}

impl Features {
    /// Features from rows that all have the same length.
    ///
    /// # Errors
    /// The sizes do not fit together, a label is not below `classes` or a value is not finite.
    pub fn new(
        dim: usize,
        values: Vec<f32>,
        labels: Vec<u16>,
        classes: usize,
    ) -> Result<Self, EvaluateError> {
        if dim == 0 || values.len() != dim * labels.len() {
            let (values, windows) = (values.len(), labels.len());
            return Err(EvaluateError::Shape(format!(
                "{values} feature values for {windows} windows of {dim}"
            )));
        }
        if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(EvaluateError::Shape(format!(
                "label {label} with {classes} classes"
            )));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(EvaluateError::NotFinite {
                window: index / dim,
            });
        }
        Ok(Self {
            dim,
            values,
            labels,
            classes,
        })
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One window's features.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// The windows at `indices`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let values = indices
            .iter()
            .flat_map(|&index| self.row(index))
            .copied()
            .collect();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Self {
            dim: self.dim,
            values,
            labels,
            classes: self.classes,
        }
    }

    /// These windows, then the others.
    ///
    /// # Panics
    /// The features have another length: a programmer's error.
    #[must_use]
    pub fn join(&self, others: &Self) -> Self {
        assert_eq!(self.dim, others.dim, "features of one kind");
        let values = [self.values.as_slice(), &others.values].concat();
        let labels = [self.labels.as_slice(), &others.labels].concat();
        Self {
            dim: self.dim,
            values,
            labels,
            classes: self.classes,
        }
    }

    /// Rows scaled to unit length; a row of zeros stays.
    #[must_use]
    pub fn unit_rows(&self) -> Self {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.dim) {
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter_mut().for_each(|value| *value /= norm.max(1e-12));
        }
        Self {
            values,
            ..self.clone()
        }
    }
}

/// Mean and spread of every column of a training set, to bring columns to a common scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Standard {
    /// Measures the columns. A constant column is only centred.
    #[must_use]
    pub fn measure(features: &Features) -> Self {
        let count = features.len().max(1) as f64;
        let mut mean = vec![0f64; features.dim];
        let mut square = vec![0f64; features.dim];
        for row in features.values.chunks_exact(features.dim) {
            for ((value, mean), square) in row.iter().zip(&mut mean).zip(&mut square) {
                *mean += f64::from(*value) / count;
                *square += f64::from(*value).powi(2) / count;
            }
        }
        let scale = mean.iter().zip(&square).map(|(mean, square)| {
            let spread = (square - mean * mean).max(0.0).sqrt();
            // Less is the rounding of f32; an untrained encoder's features are small but not constant.
            if spread > 1e-6 * mean.abs() + 1e-20 {
                (1.0 / spread) as f32
            } else {
                1.0
            }
        });
        Self {
            scale: scale.collect(),
            mean: mean.iter().map(|&mean| mean as f32).collect(),
        }
    }

    /// Brings the columns of other features to the measured set's scale.
    #[must_use]
    pub fn apply(&self, features: &Features) -> Features {
        let mut scaled = features.clone();
        for row in scaled.values.chunks_exact_mut(features.dim) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = (*value - mean) * scale;
            }
        }
        scaled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_columns_have_mean_zero_and_spread_one() {
        let features = Features::new(2, vec![1.0, 5.0, 3.0, 5.0], vec![0, 1], 2).unwrap();
        assert_eq!(
            Standard::measure(&features).apply(&features).values,
            vec![-1.0, 0.0, 1.0, 0.0]
        );
    }

    #[test]
    fn tiny_columns_are_scaled_too() {
        let features = Features::new(1, vec![1e-9, 3e-9], vec![0, 1], 2).unwrap();
        let scaled = Standard::measure(&features).apply(&features).values;
        assert!(
            (scaled[0] + 1.0).abs() < 1e-4 && (scaled[1] - 1.0).abs() < 1e-4,
            "{scaled:?}"
        );
    }

    #[test]
    fn names_the_window_that_is_not_finite() {
        let error = Features::new(2, vec![1.0, 5.0, 3.0, f32::NAN], vec![0, 1], 2).unwrap_err();
        assert!(error.to_string().contains("window 1"), "{error}");
    }
}
