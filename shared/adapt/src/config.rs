//! Every switch of the adaptation, with the defaults that were measured to be safe.

use crate::align::AlignConfig;
use crate::habit::HabitConfig;
use crate::keys::{KeysConfig, MOST_KEYS};
use crate::supports::SupportsConfig;
use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;

/// The whole adaptation. `configs/edge.toml` says for each value what it does and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptConfig {
    /// Whether the device adapts at all.
    pub enabled: bool,
    /// Windows kept for learning.
    pub memory: usize,
    /// Accepted windows between two updates.
    pub accumulate: usize,
    /// Seconds of the stream between two updates, at least: windows that overlap are little more than one.
    pub min_interval_s: u64,
    /// Hours of the stream after which the tail begins anew from the shipped one; 0 never.
    pub reset_hours: u64,
    /// Rank of the correction that is learnt beside the last temporal convolution.
    pub rank: usize,
    /// Gradient steps an update.
    pub steps: usize,
    /// Windows computed at once: bounds how long recognition waits.
    pub micro_batch: usize,
    /// Gradient steps over the memory while nothing new comes, an update; 0 waits for new windows.
    pub idle_steps: usize,
    /// What is corrected before a window is recognised.
    pub align: AlignConfig,
    /// How far answers lean on those before.
    pub habit: HabitConfig,
    /// How windows that persons named answer for windows like them.
    pub keys: KeysConfig,
    /// How windows of the home that the encoder was sure of answer for windows like them.
    pub supports: SupportsConfig,
    /// Which windows may teach.
    pub gate: GateConfig,
    /// How the student learns.
    pub student: StudentConfig,
    /// How the teacher follows.
    pub teacher: TeacherConfig,
    /// When the adapted tail serves.
    pub guard: GuardConfig,
    /// The strong view that the student sees.
    pub strong: Recipe,
    /// Updates between two saves of the state.
    pub save_every: u64,
    /// Updates that can be undone one by one.
    pub keep_updates: usize,
}

impl Default for AdaptConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            memory: 64,
            accumulate: 16,
            min_interval_s: 30,
            reset_hours: 0,
            rank: 8,
            steps: 4,
            micro_batch: 4,
            idle_steps: 0,
            align: AlignConfig::default(),
            habit: HabitConfig::default(),
            keys: KeysConfig::default(),
            supports: SupportsConfig::default(),
            gate: GateConfig::default(),
            student: StudentConfig::default(),
            teacher: TeacherConfig::default(),
            guard: GuardConfig::default(),
            strong: Recipe::strong(),
            save_every: 1,
            keep_updates: 8,
        }
    }
}

/// Which windows may teach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Calibrated confidence of a pseudo-label, 0..=1.
    pub threshold: f32,
    /// Share of present joints that a window needs, 0..=1.
    pub min_quality: f32,
    /// A window in which the picture stands still for longer does not teach, milliseconds.
    pub max_frozen_ms: f32,
    /// A window in which the body leaps farther than it can run does not teach, body sizes.
    pub max_leap: f32,
    /// Windows less familiar than this share of what the bundle's own least familiar windows are, are of no known action and do not
    /// teach, 0..=1; 0 lets all.
    pub novelty: f32,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            threshold: 0.8,
            min_quality: 0.7,
            max_frozen_ms: 1_000.0,
            max_leap: 0.5,
            novelty: 0.7,
        }
    }
}

/// Rule that turns a gradient into a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Stochastic gradient descent with momentum 0.9.
    Sgd,
    /// Adam with decays 0.9 and 0.999.
    Adam,
}

/// How the student learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudentConfig {
    /// Learning rate, at most [`MAX_LEARNING_RATE`].
    pub learning_rate: f32,
    /// How a gradient becomes a step.
    pub rule: Rule,
    /// Largest gradient norm; longer gradients are shortened to it.
    pub clip_norm: f32,
    /// Pseudo-labelled windows a step.
    pub batch: usize,
    /// Source windows from the bundle replayed a step.
    pub replay: usize,
    /// Weight of a window that a person named, where a pseudo-labelled one has 1.
    pub trusted_weight: f32,
    /// Weight of the replayed windows' cross-entropy.
    pub replay_weight: f32,
    /// No step is made when the student already gives at least this share of the teacher's labels, 0..=1; above 1 never skips.
    pub skip_agreement: f32,
    /// Share of weights set back to the shipped ones after each step, 0..=1.
    pub restore: f32,
}

/// Largest learning rate that is accepted: ten times more destroys the model (design measurements: 71 % to 36 %).
pub const MAX_LEARNING_RATE: f32 = 1e-3;

impl Default for StudentConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            rule: Rule::Sgd,
            clip_norm: 1.0,
            batch: 16,
            replay: 8,
            trusted_weight: 1.0,
            replay_weight: 1.0,
            skip_agreement: 0.98,
            restore: 0.01,
        }
    }
}

/// How the teacher follows the student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherConfig {
    /// Weight of the old teacher while there are tens of updates, 0..1.
    pub decay: f32,
    /// Weight of the old teacher after thousands of updates, 0..1.
    pub final_decay: f32,
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self {
            decay: 0.95,
            final_decay: 0.999,
        }
    }
}

/// When the adapted tail serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Whether the guard decides; without it the adapted tail always serves.
    pub enabled: bool,
    /// Recent windows on which both tails are compared.
    pub recent: usize,
    /// Windows that a comparison needs; until then the shipped tail serves.
    pub min_recent: usize,
    /// How much more answers must tell with the adapted tail, as a share of what they could, 0..=1, at one look; in the mean of several
    /// by the root of their number less.
    pub margin: f32,
    /// Accuracy on the bundle's source buffer, 0..=1: a tail that loses more is discarded at once; one that loses any does not serve.
    pub max_source_loss: f32,
    /// Share of recent windows on which both tails may disagree, 0..=1.
    pub max_disagreement: f32,
    /// Comparisons in a row that the adapted tail may fail before it is discarded; it does not serve meanwhile. Lost accuracy on
    /// the source buffer discards at once.
    pub patience: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            recent: 64,
            min_recent: 32,
            margin: 0.02,
            max_source_loss: 0.05,
            max_disagreement: 0.25,
            patience: 8,
        }
    }
}

/// A value in the configuration that cannot be meant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("adapt.{field} = {value}: {rule}")]
pub struct ConfigError {
    /// The field's path below `adapt`.
    pub field: &'static str,
    /// What was given.
    pub value: f32,
    /// What is allowed.
    pub rule: &'static str,
}

impl AdaptConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first field outside its limits.
    pub fn check(&self) -> Result<(), ConfigError> {
        let check = |field, value: f32, low: f32, high: f32, rule| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError { field, value, rule })
            }
        };
        let unit = "must be between 0 and 1";
        check(
            "memory",
            self.memory as f32,
            16.0,
            64.0,
            "must be between 16 and 64 windows",
        )?;
        check(
            "accumulate",
            self.accumulate as f32,
            16.0,
            1e6,
            "must be at least 16 windows",
        )?;
        check(
            "student.batch",
            self.student.batch as f32,
            16.0,
            64.0,
            "must be between 16 and 64 windows",
        )?;
        check(
            "micro_batch",
            self.micro_batch as f32,
            1.0,
            64.0,
            "must be between 1 and 64 windows",
        )?;
        check(
            "rank",
            self.rank as f32,
            1.0,
            64.0,
            "must be between 1 and 64",
        )?;
        check(
            "steps",
            self.steps as f32,
            1.0,
            64.0,
            "must be between 1 and 64",
        )?;
        check(
            "idle_steps",
            self.idle_steps as f32,
            0.0,
            64.0,
            "must be between 0 and 64",
        )?;
        check(
            "guard.recent",
            self.guard.recent as f32,
            1.0,
            256.0,
            "must be between 1 and 256 windows",
        )?;
        check(
            "save_every",
            self.save_every as f32,
            1.0,
            1e6,
            "must be at least 1 update",
        )?;
        check(
            "student.replay",
            self.student.replay as f32,
            0.0,
            64.0,
            "must be between 0 and 64 windows",
        )?;
        check(
            "student.learning_rate",
            self.student.learning_rate,
            0.0,
            MAX_LEARNING_RATE,
            "must be at most 0.001",
        )?;
        check(
            "student.clip_norm",
            self.student.clip_norm,
            1e-6,
            1.0,
            "must be above 0 and at most 1",
        )?;
        check(
            "student.trusted_weight",
            self.student.trusted_weight,
            0.0,
            16.0,
            "must be between 0 and 16",
        )?;
        check(
            "keep_updates",
            self.keep_updates as f32,
            0.0,
            32.0,
            "must be between 0 and 32 updates",
        )?;
        check("student.restore", self.student.restore, 0.0, 1.0, unit)?;
        check(
            "student.skip_agreement",
            self.student.skip_agreement,
            0.0,
            2.0,
            "must be between 0 and 2",
        )?;
        check("gate.threshold", self.gate.threshold, 0.0, 1.0, unit)?;
        check(
            "align.level.most_degrees",
            self.align.level.most_degrees,
            0.0,
            90.0,
            "must be between 0 and 90 degrees",
        )?;
        check(
            "align.limbs.most",
            self.align.limbs.most,
            1.0,
            3.0,
            "must be between 1 and 3",
        )?;
        check(
            "align.steady.most_ms",
            self.align.steady.most_ms,
            0.0,
            500.0,
            "must be between 0 and 500 milliseconds",
        )?;
        check(
            "align.proof.errors",
            self.align.proof.errors,
            0.0,
            10.0,
            "must be between 0 and 10 standard errors",
        )?;
        check(
            "align.proof.information",
            self.align.proof.information,
            0.0,
            100.0,
            "must be between 0 and 100 nats",
        )?;
        check("habit.rate", self.habit.rate, 0.0, 1.0, unit)?;
        check(
            "habit.most",
            self.habit.most,
            0.0,
            0.99,
            "must be between 0 and 0.99",
        )?;
        check("habit.clear", self.habit.clear, 0.0, 1.0, unit)?;
        check(
            "keys.capacity",
            self.keys.capacity as f32,
            1.0,
            MOST_KEYS as f32,
            "must be between 1 and 1,024 windows",
        )?;
        check(
            "keys.sharpness",
            self.keys.sharpness,
            0.0,
            100.0,
            "must be between 0 and 100",
        )?;
        check(
            "keys.weight",
            self.keys.weight,
            0.0,
            16.0,
            "must be between 0 and 16",
        )?;
        check(
            "supports.min_windows",
            self.supports.min_windows as f32,
            1.0,
            1e6,
            "must be at least 1 window",
        )?;
        check(
            "supports.capacity",
            self.supports.capacity as f32,
            1.0,
            256.0,
            "must be between 1 and 256 windows a class",
        )?;
        check(
            "supports.confidence",
            self.supports.confidence,
            0.0,
            1.0,
            unit,
        )?;
        check(
            "supports.nearer",
            self.supports.nearer,
            -2.0,
            2.0,
            "must be between -2 and 2",
        )?;
        check(
            "supports.sharpness",
            self.supports.sharpness,
            0.0,
            100.0,
            "must be between 0 and 100",
        )?;
        check("supports.weight", self.supports.weight, 0.0, 1.0, unit)?;
        check("gate.novelty", self.gate.novelty, 0.0, 1.0, unit)?;
        check("teacher.decay", self.teacher.decay, 0.0, 1.0, unit)?;
        check(
            "teacher.final_decay",
            self.teacher.final_decay,
            0.0,
            1.0,
            unit,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_limits() {
        assert_eq!(AdaptConfig::default().check(), Ok(()));
    }

    #[test]
    fn a_dangerous_learning_rate_is_refused() {
        let mut config = AdaptConfig::default();
        config.student.learning_rate = 1e-2;
        assert_eq!(config.check().unwrap_err().field, "student.learning_rate");
        config.student.learning_rate = f32::NAN;
        assert!(config.check().is_err());
    }
}
