//! Whether two contenders computed the same.

use crate::evaluate::metrics::argmax;
use serde::Serialize;

/// How far outputs are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Largest difference of two values.
    pub largest: f64,
    /// The same as a share of the largest magnitude of the reference.
    pub relative: f64,
    /// Share of rows whose largest value stands at the same place, 0..=1; nothing when rows are no logits.
    pub agreement: Option<f64>,
}

/// Outputs that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outputs have another shape: {found} instead of {expected}")]
pub struct ShapeError {
    found: String,
    expected: String,
}

impl Difference {
    /// Compares `found` with `reference`, row by row.
    ///
    /// # Errors
    /// The shapes differ, which means that the contender did other work.
    pub fn of(found: &[Vec<f32>], reference: &[Vec<f32>]) -> Result<Self, ShapeError> {
        let shape = |rows: &[Vec<f32>]| {
            let lengths: std::collections::BTreeSet<usize> = rows.iter().map(Vec::len).collect();
            format!("{} rows of {lengths:?} values", rows.len())
        };
        let fits = |(found, expect): (&Vec<f32>, &Vec<f32>)| found.len() == expect.len();
        if found.len() != reference.len() || !found.iter().zip(reference).all(fits) {
            return Err(ShapeError {
                found: shape(found),
                expected: shape(reference),
            });
        }
        let pairs = || found.iter().flatten().zip(reference.iter().flatten());
        let most = |values: &mut dyn Iterator<Item = f32>| {
            // A value that is not a number must not disappear in a maximum.
            values.fold(0.0_f64, |most, value| {
                if value.is_nan() {
                    f64::INFINITY
                } else {
                    most.max(f64::from(value.abs()))
                }
            })
        };
        let largest = most(&mut pairs().map(|(a, b)| a - b));
        let magnitude = most(&mut reference.iter().flatten().copied()).max(1e-30);
        let same = found.iter().zip(reference);
        let same = same.filter(|(a, b)| argmax(a) == argmax(b)).count();
        Ok(Self {
            largest,
            relative: largest / magnitude,
            agreement: Some(same as f64 / found.len().max(1) as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_and_agreement_are_counted() {
        let reference = [vec![1.0, 4.0], vec![2.0, 0.0]];
        let found = [vec![1.5, 4.0], vec![2.0, 3.0]];
        let difference = Difference::of(&found, &reference).unwrap();
        assert_eq!(
            (
                difference.largest,
                difference.relative,
                difference.agreement
            ),
            (3.0, 0.75, Some(0.5))
        );
    }

    #[test]
    fn a_missing_row_is_no_small_difference() {
        let error = Difference::of(&[vec![1.0]], &[vec![1.0], vec![1.0]]).unwrap_err();
        assert!(error.to_string().contains("1 rows of {1} values"));
        let nan = Difference::of(&[vec![f32::NAN]], &[vec![1.0]]).unwrap();
        assert_eq!(nan.largest, f64::INFINITY);
    }
}
