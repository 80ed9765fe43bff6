//! Numbers of a configuration that are out of range.

use crate::evaluate::labels::Amount;

/// A number that no method can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found}, it must be {expected}")]
pub struct RangeError {
    /// The field.
    pub field: &'static str,
    /// What it is.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

/// As [`check`], of the amount of labels.
///
/// # Errors
/// There would be no labelled window.
pub(super) fn check_labels(labels: &Amount) -> Result<(), RangeError> {
    let good = match labels {
        Amount::PerClass(count) => *count >= 1,
        Amount::Share(share) => *share > 0.0 && *share <= 1.0,
    };
    check(
        good,
        "method.labels",
        labels,
        "at least 1 a class, or a share above 0 and up to 1",
    )
}

/// An error that names `field` and what it may be, unless `good`.
///
/// # Errors
/// The value is not good.
pub fn check(
    good: bool,
    field: &'static str,
    found: &dyn ToString,
    expected: &'static str,
) -> Result<(), RangeError> {
    match good {
        true => Ok(()),
        false => Err(RangeError {
            field,
            found: found.to_string(),
            expected,
        }),
    }
}
