//! One bundle at work: pose events in, recognised windows out, adaptation in between.
//!
//! Single-threaded and without clock, so that a stream gives the same answers live and in a measurement.

use crate::capture::Event;
use crate::infer::{InferConfig, Smoother};
use crate::window::{Cut, Tracks, WindowConfig};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tendon_adapt::adapter::{Adapter, Named, Places, Work};
use tendon_adapt::align::Corrected;
use tendon_adapt::candidates::LabelError;
use tendon_adapt::novelty::Familiarity;
use tendon_adapt::softmax::top;
use tendon_adapt::state::StateError;
use tendon_adapt::{AdaptConfig, Clip, Home};
pub use tendon_adapt::{StartError, WindowError};
use tendon_bundle::VerifiedBundle;
use tendon_shared::topology::TopologyId;
use tendon_shared::topology::map::retarget;

/// The pipeline's part of `configs/edge.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineConfig {
    /// Tracks and windows.
    pub window: WindowConfig,
    /// What is reported.
    pub infer: InferConfig,
    /// Adaptation.
    pub adapt: AdaptConfig,
}

/// A recognised window.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// Its number, by which a person may name it; none when the device does not learn.
    pub window: Option<u64>,
    /// Whose.
    pub track: u64,
    /// First pose, milliseconds.
    pub start_ms: u64,
    /// Last pose, milliseconds.
    pub end_ms: u64,
    /// The class that is reported.
    pub class: u16,
    /// Its calibrated confidence, 0..=1.
    pub confidence: f32,
    /// Whether the confidence reaches the class's threshold.
    pub sure: bool,
    /// Whether the adapted tail had its say.
    pub adapted: bool,
    /// What was corrected in its poses.
    pub corrected: Corrected,
    /// What the bundle as shipped says about the window by itself.
    pub base_class: u16,
    /// How near the window is to what the bundle was trained on; none without a source buffer.
    pub familiarity: Option<Familiarity>,
    /// Whether it shows no action that the bundle knows.
    pub unknown: bool,
    /// The true class, only when a recorded set is played.
    pub label: Option<u16>,
}

/// Everything between pose events and recognised windows, for one bundle.
pub struct Runner {
    home: Home,
    topology: TopologyId,
    source_topology: TopologyId,
    tracks: Tracks,
    smoother: Smoother,
    thresholds: Vec<f32>,
    /// Poses of a topology that cannot be converted.
    foreign_poses: u64,
}

impl Runner {
    /// Puts `bundle` to work. The second value says why a stored adaptation was not taken up.
    ///
    /// # Errors
    /// [`StartError`]; what served before must serve on.
    pub fn start(
        bundle: Arc<VerifiedBundle>,
        config: &PipelineConfig,
        places: Places,
        seed: u64,
    ) -> Result<(Self, Option<StateError>), StartError> {
        let topology = bundle.manifest().topology;
        let thresholds = bundle.manifest().thresholds.to_vec();
        let (home, refused) = Home::start(bundle, &config.adapt, places, seed)?;
        let runner = Self {
            home,
            topology,
            source_topology: topology,
            tracks: Tracks::new(config.window.clone(), topology.topology().joint_count()),
            smoother: Smoother::new(config.infer.smoothing, config.window.max_tracks),
            thresholds: if thresholds.is_empty() {
                vec![config.infer.min_confidence]
            } else {
                thresholds
            },
            foreign_poses: 0,
        };
        Ok((runner, refused))
    }

    /// Takes every answer for a sure one.
    #[cfg(test)]
    pub(crate) fn be_sure(&mut self) {
        self.thresholds = vec![0.0];
    }

    /// The bundle at work.
    #[must_use]
    pub fn bundle(&self) -> &VerifiedBundle {
        self.home.bundle()
    }

    /// Adaptation.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        self.home.adapter()
    }

    /// Adaptation, to change it.
    pub fn adapter_mut(&mut self) -> &mut Adapter {
        self.home.adapter_mut()
    }

    /// A person names a window; see [`Home::label`].
    ///
    /// # Errors
    /// [`LabelError`] naming the windows or classes that are known; nothing is changed.
    pub fn label(&mut self, window: u64, class: &str) -> Result<Named, LabelError> {
        self.home.label(window, class)
    }

    /// The tracks.
    #[must_use]
    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// Poses of a topology that cannot be converted to the bundle's.
    #[must_use]
    pub fn foreign_poses(&self) -> u64 {
        self.foreign_poses
    }

    /// Takes one event; gives the window that it completes, recognised. `Some(Err)` is a window without an answer.
    pub fn take(&mut self, event: Event) -> Option<Result<Recognised, WindowError>> {
        let event = self.fit(event)?;
        let cut = self.tracks.push(&event)?;
        Some(
            self.recognise(&cut, false)
                .map(|(recognised, _)| recognised),
        )
    }

    /// As [`Self::take`], and the class that the adapted tail gives the window whether it serves or not.
    pub fn take_watched(&mut self, event: Event) -> Option<Result<(Recognised, u16), WindowError>> {
        let event = self.fit(event)?;
        let cut = self.tracks.push(&event)?;
        Some(self.recognise(&cut, true))
    }

    /// As [`Self::idle`], and after an update the windows that the guard compared: number, class of the shipped and of the
    /// adapted tail.
    pub fn idle_watched(&mut self) -> (Work, Vec<(u64, u16, u16)>) {
        let work = self.idle();
        let compared = if matches!(work, Work::Updated(_)) {
            self.adapter().compared().to_vec()
        } else {
            Vec::new()
        };
        (work, compared)
    }

    /// Does one short piece of adaptation.
    pub fn idle(&mut self) -> Work {
        self.home.idle()
    }

    /// Converts poses of another topology; remembers what the source announces.
    fn fit(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Hello { topology } => {
                self.source_topology = topology;
                None
            }
            Event::Pose(mut pose) if self.source_topology != self.topology => {
                let mut joints = heapless::Vec::new();
                let wanted = self.topology.topology().joint_count();
                let fits = joints.resize_default(wanted).is_ok()
                    && retarget(
                        self.source_topology,
                        self.topology,
                        &pose.joints,
                        &mut joints,
                    )
                    .is_ok();
                if !fits {
                    self.foreign_poses += 1;
                    return None;
                }
                pose.joints = joints;
                // Confidences belong to the source's joints; absent joints stay absent by their zeros.
                pose.confidence.clear();
                Some(Event::Pose(pose))
            }
            other => Some(other),
        }
    }

    /// Recognises a window; the second value is what would have been answered, had the adapted tail served (only when `watch`ed).
    fn recognise(&mut self, cut: &Cut, watch: bool) -> Result<(Recognised, u16), WindowError> {
        let clip = Clip {
            track: cut.track,
            start_ms: cut.start_ms,
            end_ms: cut.end_ms,
            quality: cut.quality,
            poses: &cut.poses,
        };
        // A labelled window of a recorded set counts even if nobody is in it: the answer is wrong.
        let answer = self.home.answer(&clip, watch || cut.label.is_some())?;
        let mut probabilities = answer.probabilities;
        self.smoother.smooth(cut.track, &mut probabilities);
        let (class, confidence) = top(&probabilities);
        let threshold = self
            .thresholds
            .get(usize::from(class))
            .or(self.thresholds.first())
            .copied()
            .unwrap_or(0.0);
        let recognised = Recognised {
            window: answer.window,
            track: cut.track,
            start_ms: cut.start_ms,
            end_ms: cut.end_ms,
            class,
            confidence,
            sure: confidence >= threshold,
            adapted: answer.adapted,
            corrected: answer.corrected,
            base_class: answer.base_class,
            familiarity: answer.familiarity,
            unknown: answer.unknown,
            label: cut.label,
        };
        Ok((recognised, answer.unguarded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_states_the_defaults() {
        let shipped: PipelineConfig =
            toml::from_str(include_str!("../../configs/edge.toml")).unwrap();
        assert_eq!(shipped, PipelineConfig::default());
    }

    #[test]
    fn a_misspelt_value_is_an_error() {
        for text in [
            "[window]\nspam_ms = 1",
            "[infer]\nsmothing = 1",
            "[adapt.gate]\nthreshhold = 1",
        ] {
            assert!(toml::from_str::<PipelineConfig>(text).is_err(), "{text}");
        }
    }
}
