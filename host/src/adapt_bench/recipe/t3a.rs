//! T3A: the classifier becomes the nearest prototype, and prototypes take in what was answered surely.
//!
//! # Source
//! Iwasawa and Matsuo, "Test-time classifier adjustment module for model-agnostic domain generalization", NeurIPS 2021. Each class's
//! supports are its row of the classifier and the features that got its label; the `M = 20` of lowest entropy count, its prototype is the mean of their
//! unit vectors, and the answer is `softmax(z . c_k / |c_k|)`. A window is taken in before it is answered, as in their code.
//! Deliberate difference: pooled features and first answers are those of the int8 encoder, and `z` is a unit vector times 10 for the
//! confidence only, because its length would otherwise set it.

use super::super::method::{Adapting, Said, Shown};
use super::supports::Supports;
use super::vector::{dot, softmax, unit};
use tendon_engine::TailWeights;

/// The method's memory.
#[derive(Debug, Clone)]
pub struct T3a {
    supports: Supports,
}

impl T3a {
    /// Starts from a bundle's classifier.
    #[must_use]
    pub fn new(weights: &TailWeights<'_>) -> Self {
        let spec = weights.spec();
        let rows: Vec<Vec<f32>> = (0..spec.classes)
            .map(|class| {
                (0..spec.dim)
                    .map(|dim| weights.class_weight(class, dim))
                    .collect()
            })
            .collect();
        let biases: Vec<f32> = (0..spec.classes)
            .map(|class| weights.class_bias(class))
            .collect();
        Self::from_rows(&rows, &biases)
    }

    fn from_rows(rows: &[Vec<f32>], biases: &[f32]) -> Self {
        let mut own = Self {
            supports: Supports(vec![Vec::new(); rows.len()]),
        };
        // The rows are asked about themselves: their answers have entropies, too.
        for row in rows {
            let logits: Vec<f32> = rows
                .iter()
                .zip(biases)
                .map(|(other, bias)| dot(row, other) + bias)
                .collect();
            own.supports.take(row, &softmax(&logits));
        }
        // A row that another class claims is its own class's first support all the same.
        for (class, row) in rows.iter().enumerate() {
            if own.supports.0[class].is_empty() {
                own.supports.0[class].push((0.0, unit(row)));
            }
        }
        own
    }
}

impl Adapting for T3a {
    fn answer(&mut self, windows: &[Shown<'_>], learn: bool) -> Result<Vec<Said>, String> {
        if learn {
            for shown in windows {
                self.supports.take(&shown.window.pooled, &shown.window.base);
            }
        }
        let answers = windows.iter();
        Ok(answers
            .map(|shown| Said::likeliest(&self.supports.ask(&shown.window.pooled), true))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::supports::MOST;
    use super::super::vector::largest;
    use super::*;

    fn two_classes() -> T3a {
        T3a::from_rows(&[vec![4.0, 0.0], vec![0.0, 4.0]], &[0.0, 0.0])
    }

    #[test]
    fn before_anything_is_seen_the_nearest_row_answers() {
        let method = two_classes();
        assert_eq!(largest(&method.supports.ask(&[2.0, 1.0])), 0);
        assert_eq!(largest(&method.supports.ask(&[1.0, 2.0])), 1);
    }

    #[test]
    fn prototypes_follow_a_class_that_moved() {
        let mut method = two_classes();
        // The first class has turned towards the second.
        assert_eq!(largest(&method.supports.ask(&[1.0, 1.1])), 1);
        for _ in 0..MOST {
            method.supports.take(&[1.0, 0.9], &[0.99, 0.01]);
        }
        assert_eq!(largest(&method.supports.ask(&[1.0, 1.1])), 0);
    }

    #[test]
    fn only_the_surest_supports_are_kept() {
        let mut method = two_classes();
        for _ in 0..MOST {
            method.supports.take(&[1.0, 0.9], &[0.6, 0.4]);
        }
        for _ in 0..MOST {
            method.supports.take(&[1.0, 0.0], &[0.99, 0.01]);
        }
        assert_eq!(method.supports.0[0].len(), MOST);
        assert!(method.supports.0[0].iter().all(|(_, unit)| unit[1] == 0.0));
    }
}
