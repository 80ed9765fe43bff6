//! Constants of PSP Learning.

use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_model::encoder::EncoderConfig;

use crate::evaluate::labels::Amount;
use crate::method::range::{RangeError, check, check_labels};

/// Constants of PSP Learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PspConfig {
    /// Windows of each class that keep their labels.
    pub labels: Amount,
    /// Which windows these are: another number draws others.
    pub draw: u64,
    /// Labelled windows a step.
    pub labelled: usize,
    /// Both streams pass encoder and attention as one batch, so that BatchNorm sees what its running averages will say of
    /// either; otherwise a pass each.
    pub together: bool,
    /// Softmax scale of cosines.
    pub temperature: f64,
    /// Weight of the contrast, the sum over all three levels.
    pub contrast_weight: f64,
    /// Both views, each drawn anew.
    pub view: Recipe,
}

impl PspConfig {
    /// Checks every number, and that the encoder is one for this method.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self, encoder: &EncoderConfig) -> Result<(), RangeError> {
        check_labels(&self.labels)?;
        let labelled = self.labelled;
        check(labelled >= 1, "method.labelled", &labelled, "at least 1")?;
        let temperature = self.temperature;
        check(
            temperature > 0.0,
            "method.temperature",
            &temperature,
            "above 0",
        )?;
        let weight = self.contrast_weight;
        check(
            weight >= 0.0,
            "method.contrast_weight",
            &weight,
            "at least 0",
        )?;
        let streams = encoder.streams.iter().map(|stream| stream.name());
        let streams: Vec<&str> = streams.collect();
        check(
            matches!(streams[..], [first, second] if first != second),
            "encoder.streams",
            &streams.join(", "),
            "two different ones, such as joint and motion",
        )?;
        let dim = encoder.dim;
        check(
            dim.is_multiple_of(4),
            "encoder.dim",
            &dim,
            "a multiple of the attention's 4 heads",
        )
    }
}
