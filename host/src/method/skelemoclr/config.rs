//! Constants of SkeleMoCLR's second stage.

use serde::{Deserialize, Serialize};

use crate::contrast::Threshold;
use crate::evaluate::labels::Amount;
use crate::method::SkeletonClrConfig;
use crate::method::range::{RangeError, check, check_labels};

/// Constants of SkeleMoCLR's second stage. In `base`, `query` is the strong view and `key` the weak one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkeleMoClrConfig {
    /// Contrast, queue, teacher's average, views.
    pub base: SkeletonClrConfig,
    /// Windows of each class that keep their labels.
    pub labels: Amount,
    /// Which windows these are: another number draws others.
    pub draw: u64,
    /// Labelled windows a step.
    pub labelled: usize,
    /// Labelled and unlabelled windows pass the trained network as one batch, so that BatchNorm sees both together.
    pub together: bool,
    /// From which passes the trained network's running averages come.
    pub statistics: Statistics,
    /// When the teacher's guess is a label.
    pub threshold: Threshold,
    /// Weight of the pseudo-labels' loss.
    pub pseudo_weight: f64,
    /// Steps over which that weight rises; 0 gives it in full from the start.
    pub ramp_steps: u64,
    /// Weight of the contrastive loss.
    pub contrast_weight: f64,
    /// What known classes change in the contrast.
    pub classes: ClassRule,
    /// The classifier's learning rate, as a multiple of the rest's.
    pub classifier_rate: f64,
}

/// From which passes the trained network's running averages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// One more pass without gradients, over the weak views of the unlabelled windows.
    Weak,
    /// Those that are trained on, strong views among them.
    Trained,
}

/// What known classes change in the contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassRule {
    /// Nothing: all keys of the queue are negatives.
    Ignored,
    /// Keys of the same class are no negatives.
    NoNegatives,
    /// Keys of the same class are further positives.
    Positives,
}

impl SkeleMoClrConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        self.base.validate()?;
        check_labels(&self.labels)?;
        let labelled = self.labelled;
        check(labelled >= 1, "method.labelled", &labelled, "at least 1")?;
        let probability =
            |field, value: f64| check((0.0..=1.0).contains(&value), field, &value, "0 to 1");
        probability("method.threshold.confidence", self.threshold.confidence())?;
        if let Threshold::Flex { floor, .. } = self.threshold {
            probability("method.threshold.floor", floor)?;
        }
        for (field, value) in [
            ("method.pseudo_weight", self.pseudo_weight),
            ("method.contrast_weight", self.contrast_weight),
            ("method.classifier_rate", self.classifier_rate),
        ] {
            check(value >= 0.0, field, &value, "at least 0")?;
        }
        Ok(())
    }

    /// Weight of the pseudo-labels' loss at a step.
    ///
    /// # Source
    /// Mean Teacher's sigmoid rise, `exp(-5 (1 - t)^2)`.
    pub(super) fn pseudo_weight(&self, step: u64) -> f64 {
        let rest = match self.ramp_steps {
            0 => 0.0,
            steps => 1.0 - (step as f64 / steps as f64).min(1.0),
        };
        self.pseudo_weight * (-5.0 * rest * rest).exp()
    }
}
