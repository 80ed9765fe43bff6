//! One bundle at work: pose events in, recognised windows out, adaptation in between.
//!
//! Single-threaded and without clock, so that a stream gives the same answers live and in a measurement.

use crate::adapt::adapter::{Adapter, Base, Observed, Places, Work};
use crate::adapt::model::{Model, Prediction};
use crate::adapt::source::SourceBuffer;
use crate::adapt::state::StateError;
use crate::adapt::{AdaptConfig, Features};
use crate::capture::Event;
use crate::infer::softmax::top;
use crate::infer::{InferConfig, InferError, Recogniser, Smoother};
use crate::window::{Cut, PrepareError, Preparer, Tracks, WindowConfig};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tendon_bundle::VerifiedBundle;
use tendon_engine::ParseError;
use tendon_model::augment::random::generator;
use tendon_model::augment::{Recipe, View};
use tendon_shared::topology::TopologyId;
use tendon_shared::topology::map::retarget;

/// Stream of random numbers for strong views.
const VIEW_STREAM: u64 = 0;

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
    /// What the shipped tail says about the window by itself.
    pub base_class: u16,
    /// The true class, only when a recorded set is played.
    pub label: Option<u16>,
}

/// The bundle cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The encoder is not one that this engine runs.
    #[error("encoder: {0}")]
    Encoder(ParseError),
    /// A value in the configuration cannot be meant.
    #[error(transparent)]
    Config(#[from] crate::adapt::config::ConfigError),
}

/// A window could not be recognised.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Normalisation refused it.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The encoder could not run.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Nobody is in the window.
    #[error("nobody is in the window")]
    Empty,
    /// The encoder's tables are gone.
    #[error("encoder: {0}")]
    Encoder(ParseError),
    /// A probability is not finite.
    #[error("the encoder's answer is not finite")]
    NotFinite,
}

/// Everything between pose events and recognised windows, for one bundle.
pub struct Runner {
    bundle: Arc<VerifiedBundle>,
    topology: TopologyId,
    source_topology: TopologyId,
    tracks: Tracks,
    preparer: Preparer,
    recogniser: Recogniser,
    smoother: Smoother,
    adapter: Adapter,
    strong: Recipe,
    thresholds: Vec<f32>,
    seed: u64,
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
        config.adapt.check()?;
        let manifest = bundle.manifest().clone();
        let encoder = bundle.encoder().map_err(StartError::Encoder)?;
        let classes: Vec<String> = manifest
            .classes
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect();
        let tables: Arc<VerifiedBundle> = Arc::clone(&bundle);
        let model = Model::new(tables, config.adapt.rank, manifest.temperature)
            .map_err(StartError::Encoder)?;
        let prior = if manifest.prior.len() == classes.len() {
            manifest.prior.to_vec()
        } else {
            vec![1.0 / classes.len().max(1) as f32; classes.len()]
        };
        let base = Base {
            digest: tendon_bundle::hex::encode(&bundle.id()),
            source: SourceBuffer::new(
                bundle.source_features(),
                &bundle.source_labels(),
                model.shape(),
                classes.len(),
            ),
            model,
            prior,
            classes,
        };
        let recogniser = Recogniser::new(
            &encoder,
            manifest.topology,
            manifest.streams.to_vec(),
            manifest.temperature,
        );
        drop(encoder);
        let (adapter, refused) = Adapter::new(base, config.adapt.clone(), places, seed);
        let thresholds = manifest.thresholds.to_vec();
        let runner = Self {
            topology: manifest.topology,
            source_topology: manifest.topology,
            tracks: Tracks::new(
                config.window.clone(),
                manifest.topology.topology().joint_count(),
            ),
            preparer: Preparer::new(manifest.topology, manifest.normalize),
            recogniser,
            smoother: Smoother::new(config.infer.smoothing, config.window.max_tracks),
            adapter,
            strong: config.adapt.strong.clone(),
            thresholds: if thresholds.is_empty() {
                vec![config.infer.min_confidence]
            } else {
                thresholds
            },
            seed,
            foreign_poses: 0,
            bundle,
        };
        Ok((runner, refused))
    }

    /// The bundle at work.
    #[must_use]
    pub fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// Adaptation.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Adaptation, to change it.
    pub fn adapter_mut(&mut self) -> &mut Adapter {
        &mut self.adapter
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
            self.adapter.compared().to_vec()
        } else {
            Vec::new()
        };
        (work, compared)
    }

    /// Does one short piece of adaptation.
    pub fn idle(&mut self) -> Work {
        let Ok(encoder) = self.bundle.encoder() else {
            return Work::Nothing;
        };
        let (recogniser, recipe, seed) = (&mut self.recogniser, &self.strong, self.seed);
        let (frames, joints) = (encoder.spec().frames, encoder.spec().joints);
        let topology = self.topology.topology();
        self.adapter.work(|window, observed: &mut Observed| {
            let mut rng = generator(seed, VIEW_STREAM, window, 0);
            recipe.apply(
                &mut View {
                    data: &mut observed.data,
                    frames,
                    joints,
                },
                topology,
                &mut rng,
            );
            recogniser
                .trunk(&encoder, &observed.data, observed.presence)
                .ok()
        })
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
        let prepared = self.preparer.prepare(cut)?;
        if prepared.presence.count() == 0 && cut.label.is_none() {
            return Err(WindowError::Empty);
        }
        // Parsing copies nothing: it only finds the tables of a blob that was checked when the bundle started.
        let encoder = self.bundle.encoder().map_err(WindowError::Encoder)?;
        let weak: Features = self
            .recogniser
            .trunk(&encoder, &prepared.data, prepared.presence)?;
        let base = self.recogniser.classify(&encoder, &weak)?;
        let (base_class, _) = top(&base);
        let serves = self.adapter.serves();
        let asked = serves || watch && self.adapter.updates() > 0;
        let adapted = if asked {
            self.adapter.predict(&weak)
        } else {
            None
        };
        let mean = adapted.map(|adapted| Prediction::mean(&base, &adapted.probabilities));
        let unguarded = mean.as_ref().map_or(base_class, |mean| mean.class);
        let mut probabilities = match mean {
            Some(mean) if serves => mean.probabilities,
            _ => base,
        };
        if !probabilities.iter().all(|value| value.is_finite()) {
            return Err(WindowError::NotFinite);
        }
        self.smoother.smooth(cut.track, &mut probabilities);
        let (class, confidence) = top(&probabilities);
        let threshold = self
            .thresholds
            .get(usize::from(class))
            .or(self.thresholds.first())
            .copied()
            .unwrap_or(0.0);
        self.adapter.observe(Observed {
            track: cut.track,
            end_ms: cut.end_ms,
            quality: cut.quality,
            presence: prepared.presence,
            data: prepared.data,
            weak,
        });
        let recognised = Recognised {
            track: cut.track,
            start_ms: cut.start_ms,
            end_ms: cut.end_ms,
            class,
            confidence,
            sure: confidence >= threshold,
            adapted: serves,
            base_class,
            label: cut.label,
        };
        Ok((recognised, unguarded))
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
