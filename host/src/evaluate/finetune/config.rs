//! What finetuning can be told.

use super::schedule::Schedule;
use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_shared::normalize::Mode;
use tendon_shared::stream::Stream;

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// SGD with Nesterov momentum; the weight decay is an L2 penalty.
    Sgd,
    /// Adam with decoupled weight decay; betas 0.9 and 0.999.
    Adamw,
}

/// Which number of epochs the final training, on all training persons, takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refit {
    /// No final training: the classifier is the one that never saw the held-out persons, at its last epoch.
    Never,
    /// The configured number of epochs.
    Last,
    /// As many epochs as were best on the held-out persons.
    Best,
}

/// Supervised training of an encoder with a linear classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Passes over the training windows.
    pub epochs: usize,
    /// Windows a step; a last, smaller batch of at least half this size is used too.
    pub batch: usize,
    /// The update rule.
    pub rule: Rule,
    /// Learning rate at the top of the schedule.
    pub learning_rate: f64,
    /// Momentum of SGD, 0..1.
    #[serde(default = "momentum")]
    pub momentum: f64,
    /// Weight decay, on all weights.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; absent means no limit.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Shape of the learning rate.
    pub schedule: Schedule,
    /// Epochs of linear warm-up.
    #[serde(default)]
    pub warmup: usize,
    /// Epochs at which `schedule = "steps"` falls to a tenth.
    #[serde(default)]
    pub steps: Vec<usize>,
    /// Share of the label spread over all classes, 0..1.
    pub label_smoothing: f64,
    /// Dropout inside the blocks, 0..1; replaces what the encoder was pretrained with.
    pub dropout: f64,
    /// Normalisation of the windows; absent, a pretrained encoder's own. Pretraining and finetuning may differ, because all
    /// weights and statistics move.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The final training on all training persons.
    pub refit: Refit,
    /// Random changes of the training windows.
    #[serde(default)]
    pub augment: Recipe,
    /// The network and its input when training starts from scratch; a pretrained encoder brings its own.
    pub scratch: Scratch,
}

/// An encoder to train from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// Frames of a window.
    pub frames: u16,
    /// Bodies of a window.
    pub bodies: u8,
    /// The normalisation, unless the configuration gives one above.
    pub mode: Mode,
    /// Inputs stacked on the channel axis.
    pub streams: Vec<Stream>,
    /// Channels of the first blocks.
    pub width: usize,
    /// Values of the embedding.
    pub dim: usize,
}

fn momentum() -> f64 {
    0.9
}

impl FinetuneConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The text is no TOML, or a value is missing, unknown or out of range; the message names the line or the value.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let share = |name, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    name,
                    value,
                    range: "0..1",
                })
            }
        };
        share("momentum", self.momentum)?;
        share("label_smoothing", self.label_smoothing)?;
        share("dropout", self.dropout)?;
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(ConfigError::Range {
                    name,
                    value,
                    range: "above 0",
                })
            }
        };
        positive("epochs", self.epochs as f64)?;
        positive("learning_rate", self.learning_rate)?;
        if self.batch < 2 {
            return Err(ConfigError::Range {
                name: "batch",
                value: self.batch as f64,
                range: "2 and above",
            });
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return Err(ConfigError::Range {
                name: "weight_decay",
                value: self.weight_decay,
                range: "0 and above",
            });
        }
        Ok(())
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or not these keys.
    #[error("the configuration cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that makes no sense.
    #[error("{name} is {value}; it must be {range}")]
    Range {
        /// The key.
        name: &'static str,
        /// The value found.
        value: f64,
        /// The values allowed.
        range: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../../configs/eval/finetune.toml");

    #[test]
    fn the_shipped_configuration_is_accepted() {
        assert!(FinetuneConfig::parse(TEXT).is_ok());
    }

    #[test]
    fn a_misspelt_key_and_a_value_out_of_range_are_named() {
        let error = FinetuneConfig::parse(&format!("momentun = 0.9\n{TEXT}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("momentun"), "{error}");
        let error = FinetuneConfig::parse(&TEXT.replacen(
            "label_smoothing = 0.1",
            "label_smoothing = 1.5",
            1,
        ))
        .unwrap_err();
        assert!(
            error.to_string().contains("label_smoothing is 1.5"),
            "{error}"
        );
    }
}
