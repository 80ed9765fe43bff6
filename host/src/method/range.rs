//! Numbers of a configuration that are out of range.

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
