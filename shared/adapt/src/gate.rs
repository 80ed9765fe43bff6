//! Which windows may teach: calibrated confidence above a threshold, and enough joints.
//!
//! One threshold for all classes. FlexMatch (NeurIPS 2021) asks less of classes that are seldom confident; measured here it let two to four
//! points more wrong labels through and gained nothing (`docs/adaptation.md`).

use super::config::GateConfig;

/// Why a window may not teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The teacher is not sure enough.
    Unsure,
    /// Too few joints were seen.
    Quality,
    /// The picture stood still.
    Frozen,
    /// The body leapt within the window: two persons in one track.
    Torn,
    /// No action that the bundle knows.
    Unknown,
}

/// Whether a pseudo-label of so much `confidence`, for a window with so much `quality`, may teach; both 0..=1.
///
/// # Errors
/// The [`Refusal`], which is only counted.
pub fn check(config: &GateConfig, confidence: f32, quality: f32) -> Result<(), Refusal> {
    if quality < config.min_quality {
        Err(Refusal::Quality)
    } else if confidence >= config.threshold {
        Ok(())
    } else {
        Err(Refusal::Unsure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sure_answers_to_whole_windows_teach() {
        let config = GateConfig {
            threshold: 0.8,
            min_quality: 0.5,
            ..GateConfig::default()
        };
        assert_eq!(check(&config, 0.8, 0.5), Ok(()));
        assert_eq!(check(&config, 0.79, 1.0), Err(Refusal::Unsure));
        assert_eq!(check(&config, 1.0, 0.4), Err(Refusal::Quality));
        // No number is no answer.
        assert_eq!(check(&config, f32::NAN, 1.0), Err(Refusal::Unsure));
    }
}
