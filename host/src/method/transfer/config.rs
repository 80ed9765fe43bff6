//! Constants of the transfer.

use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;

use crate::evaluate::labels::Amount;
use crate::method::range::{RangeError, check, check_labels};

/// Constants of the transfer from a vision-text model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    /// Softmax temperature at the start.
    pub temperature: f64,
    /// The temperature moves with the rest.
    pub learn_temperature: bool,
    /// It stays at or above this.
    pub least_temperature: f64,
    /// Which embeddings a window's own must stand out from.
    pub candidates: Candidates,
    /// Windows of each class that keep their labels; only these are drawn.
    pub labels: Amount,
    /// Which windows these are: another number draws others.
    pub draw: u64,
    /// How windows are augmented.
    pub view: Recipe,
}

/// Which embeddings a window's own must stand out from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Candidates {
    /// Those of all windows that are drawn: the teacher is frozen, so they are known without a queue.
    All,
    /// Those of the step's windows.
    Step,
}

impl TransferConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        check_labels(&self.labels)?;
        let (least, start) = (self.least_temperature, self.temperature);
        check(least > 0.0, "method.least_temperature", &least, "above 0")?;
        check(
            start >= least && start.is_finite(),
            "method.temperature",
            &start,
            "at least least_temperature",
        )
    }
}
