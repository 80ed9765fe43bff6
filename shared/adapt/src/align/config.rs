//! Switches of the alignment, with the defaults that were measured.

use serde::{Deserialize, Serialize};

/// Bringing poses to what the encoder knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlignConfig {
    /// The camera's tilt and roll.
    pub level: LevelConfig,
    /// The person's build.
    pub limbs: LimbConfig,
    /// The sensor's noise.
    pub steady: SteadyConfig,
    /// When aligned poses are answered.
    pub proof: ProofConfig,
}

/// A camera that hangs otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LevelConfig {
    /// Whether poses are turned back.
    pub enabled: bool,
    /// Windows until they are.
    pub min_windows: usize,
    /// Smaller angles are left alone, degrees.
    pub least_degrees: f32,
    /// Larger ones are not believed, degrees.
    pub most_degrees: f32,
}

impl Default for LevelConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_windows: 16,
            least_degrees: 10.0,
            most_degrees: 60.0,
        }
    }
}

/// A person of another build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimbConfig {
    /// Whether limbs get the lengths that the encoder knows.
    pub enabled: bool,
    /// Mean of the absolute logarithm of all ratios from which on they do.
    pub least: f32,
    /// Largest ratio of two lengths that is believed.
    pub most: f32,
    /// Shorter bones stay as they are, trunks.
    pub shortest: f32,
}

impl Default for LimbConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            least: 0.2,
            most: 1.6,
            shortest: 0.2,
        }
    }
}

/// A noisier sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SteadyConfig {
    /// Whether poses are smoothed.
    pub enabled: bool,
    /// Windows until they are.
    pub min_windows: usize,
    /// Less noise than this beyond what the encoder knows is left alone, metres.
    pub least: f32,
    /// Width of the smoothing for a metre of noise, milliseconds; it grows with the noise's root.
    pub slope_ms: f32,
    /// The width is never more than this, milliseconds.
    pub most_ms: f32,
}

impl Default for SteadyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_windows: 4,
            least: 0.012,
            slope_ms: 380.0,
            most_ms: 90.0,
        }
    }
}

/// When aligned poses are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProofConfig {
    /// Windows on which aligned and plain poses are compared before the first answer.
    pub min_windows: usize,
    /// How much nearer to the training windows aligned poses must be, in cosine: mean of the comparisons less its doubt.
    pub margin: f32,
    /// The doubt, in standard errors of the mean: it is looked at often, and some look by chance shows a gain.
    pub errors: f32,
    /// Or: how much more the answers to aligned poses must tell, nats.
    pub information: f32,
    /// One in so many windows is compared from then on.
    pub every: u64,
}

impl Default for ProofConfig {
    fn default() -> Self {
        Self {
            min_windows: 8,
            margin: 0.01,
            errors: 1.5,
            information: 0.25,
            every: 2,
        }
    }
}
