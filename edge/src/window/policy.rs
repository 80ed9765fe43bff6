//! When a window is cut from a track, and how much of it.

use serde::{Deserialize, Serialize};

/// When windows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The last `span_ms` of a track, every `hop_ms`: live cameras.
    Sliding,
    /// A whole track when it ends: recordings that are played, one performance a track.
    Track,
}

/// How tracks are kept and cut. Every field has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowConfig {
    /// When windows are cut.
    pub policy: Policy,
    /// Length of a sliding window, milliseconds.
    pub span_ms: u64,
    /// Time between two sliding windows of a track, milliseconds.
    pub hop_ms: u64,
    /// Persons followed at the same time; the one that was silent longest gives way.
    pub max_tracks: usize,
    /// Poses that a window needs at least.
    pub min_poses: usize,
    /// A joint below this confidence is absent, 0..=1.
    pub min_joint_confidence: f32,
    /// Windows with a smaller share of present joints are not recognised, 0..=1.
    pub min_quality: f32,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self {
            policy: Policy::Sliding,
            span_ms: 2_000,
            hop_ms: 500,
            max_tracks: 16,
            min_poses: 8,
            min_joint_confidence: 0.1,
            min_quality: 0.3,
        }
    }
}
