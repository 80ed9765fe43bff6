//! One bundle at work in one home: windows of poses in, answers out, adaptation in between.
//!
//! Single-threaded and without clock, so that a stream gives the same answers on a device and in a measurement.

use crate::adapter::{Adapter, Base, Named, Observed, Places, Work};
use crate::align::{Aligner, Corrected, Look, Proof, Reference};
use crate::candidates::LabelError;
use crate::config::{AdaptConfig, ConfigError, GateConfig};
use crate::features::Features;
use crate::gate::Refusal;
use crate::habit::Habit;
use crate::keys::{Key, KeysConfig};
use crate::model::{Model, Prediction};
use crate::novelty::{Familiarity, Novelty};
use crate::prepare::{Clip, PrepareError, Prepared, Preparer};
use crate::prototypes::Prototypes;
use crate::recogniser::{InferError, Recogniser};
use crate::softmax::top;
use crate::source::SourceBuffer;
use crate::state::StateError;
use crate::steadiness::steadiness;
use crate::supports::SupportsConfig;
use std::sync::Arc;
use tendon_bundle::VerifiedBundle;
use tendon_engine::ParseError;
use tendon_model::augment::random::generator;
use tendon_model::augment::{Recipe, View};

/// Stream of random numbers for strong views.
const VIEW_STREAM: u64 = 0;

/// What is said about a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Calibrated probabilities, one a class.
    pub probabilities: Vec<f32>,
    /// The window's number, by which a person may name it; none when the device does not learn.
    pub window: Option<u64>,
    /// How near it is to what the bundle was trained on; none without a source buffer.
    pub familiarity: Option<Familiarity>,
    /// Whether it shows no action that the bundle knows.
    pub unknown: bool,
    /// Whether the adapted tail had its say.
    pub adapted: bool,
    /// What was corrected in the poses that were answered.
    pub corrected: Corrected,
    /// What the bundle as shipped says about the window by itself.
    pub base_class: u16,
    /// What would have been answered to this window alone, had the adapted tail served; only asked when watched.
    pub unguarded: u16,
}

/// The bundle cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The encoder is not one that this engine runs.
    #[error("encoder: {0}")]
    Encoder(ParseError),
    /// A value in the configuration cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
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

/// A bundle with all that adapts to its home.
pub struct Home {
    bundle: Arc<VerifiedBundle>,
    preparer: Preparer,
    recogniser: Recogniser,
    adapter: Adapter,
    /// Only for a bundle that says what it was trained on.
    aligner: Option<Aligner>,
    proof: Proof,
    prototypes: Prototypes,
    novelty: Novelty,
    gate: GateConfig,
    keys: KeysConfig,
    supports: SupportsConfig,
    habit: Habit,
    strong: Recipe,
    seed: u64,
}

impl Home {
    /// Puts `bundle` to work. The second value says why a stored adaptation was not taken up.
    ///
    /// # Errors
    /// [`StartError`]; what served before must serve on.
    pub fn start(
        bundle: Arc<VerifiedBundle>,
        config: &AdaptConfig,
        places: Places,
        seed: u64,
    ) -> Result<(Self, Option<StateError>), StartError> {
        config.check()?;
        let manifest = bundle.manifest().clone();
        let encoder = bundle.encoder().map_err(StartError::Encoder)?;
        let names = manifest.classes.iter();
        let classes: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
        let tables: Arc<VerifiedBundle> = Arc::clone(&bundle);
        let model =
            Model::new(tables, config.rank, manifest.temperature).map_err(StartError::Encoder)?;
        let base = Base {
            digest: tendon_bundle::hex::encode(&bundle.id()),
            source: SourceBuffer::new(
                bundle.source_features(),
                &bundle.source_labels(),
                model.shape(),
                classes.len(),
            ),
            model,
            classes,
        };
        let mut recogniser = Recogniser::new(
            &encoder,
            manifest.topology,
            manifest.streams.to_vec(),
            manifest.temperature,
        );
        let mut pooled = Vec::with_capacity(base.source.len());
        for window in base.source.features() {
            // Features that the encoder cannot read describe nothing.
            let (_, features) = recogniser.classify(&encoder, window).unwrap_or_default();
            pooled.push(features);
        }
        let prototypes = Prototypes::new(&pooled, base.source.labels(), base.classes.len());
        let novelty = Novelty::new(
            &prototypes,
            &pooled,
            base.source.labels(),
            config.gate.novelty,
        );
        drop(encoder);
        let topology = manifest.topology.topology();
        let reference = Reference::from_values(&bundle.source_reference(), topology.joint_count());
        let aligner =
            reference.map(|reference| Aligner::new(config.align.clone(), topology, reference));
        let (adapter, refused) = Adapter::new(base, config.clone(), places, seed);
        let home = Self {
            preparer: Preparer::new(manifest.topology, manifest.normalize),
            recogniser,
            adapter,
            aligner,
            proof: Proof::new(config.align.proof.clone()),
            prototypes,
            novelty,
            gate: config.gate.clone(),
            keys: config.keys.clone(),
            supports: config.supports.clone(),
            habit: Habit::new(config.habit.clone()),
            strong: config.strong.clone(),
            seed,
            bundle,
        };
        Ok((home, refused))
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

    /// A person says that `window` shows the class of name `class`: it teaches with that label, and answers for windows like it. Stored
    /// at once.
    ///
    /// # Errors
    /// [`LabelError`] naming the windows or classes that are known; nothing is changed.
    pub fn label(&mut self, window: u64, class: &str) -> Result<Named, LabelError> {
        let (bundle, recogniser) = (&self.bundle, &mut self.recogniser);
        let prototypes = &self.prototypes;
        self.adapter.label(window, class, |features| {
            let encoder = bundle.encoder().ok()?;
            let (_, pooled) = recogniser.classify(&encoder, features).ok()?;
            Some(prototypes.direction(&pooled)).filter(|direction| !direction.is_empty())
        })
    }

    /// Recognises a clip and keeps it for [`Self::idle`]; `watch` also asks what need not be known to answer.
    ///
    /// # Errors
    /// [`WindowError`]; a clip without an answer teaches nothing.
    pub fn answer(&mut self, clip: &Clip<'_>, watch: bool) -> Result<Answer, WindowError> {
        let (window, corrected, plain) = self.look(clip, watch)?;
        let (base_class, _) = top(plain.as_ref().unwrap_or(&window.probabilities));
        let serves = self.adapter.serves();
        let asked = serves || watch && self.adapter.updates() > 0;
        let adapted = if asked {
            self.adapter.predict(&window.trunk)
        } else {
            None
        };
        let nearest = self.prototypes.nearest(&window.pooled);
        let familiarity = nearest.map(|nearest| Familiarity {
            cosine: nearest.cosine,
            confidence: top(&window.probabilities).1,
        });
        let unknown = familiarity.is_some_and(|found| self.novelty.rejects(&found));
        let refused = self.refuse(clip, unknown);
        let (label, confidence) = top(&window.probabilities);
        let sure = self.supports.enabled
            && refused.is_none()
            && clip.quality >= self.gate.min_quality
            && confidence >= self.supports.confidence;
        let base = window.probabilities;
        let mean = adapted.map(|adapted| Prediction::mean(&base, &adapted.probabilities));
        let unguarded = mean
            .as_ref()
            .map_or_else(|| top(&base).0, |mean| mean.class);
        let mut probabilities = match mean {
            Some(mean) if serves => mean.probabilities,
            _ => base,
        };
        if !probabilities.iter().all(|value| value.is_finite()) {
            return Err(WindowError::NotFinite);
        }
        let direction = self.prototypes.direction(&window.pooled);
        let supports = self.adapter.supports();
        supports.answer(
            &self.supports,
            &self.prototypes,
            &direction,
            &mut probabilities,
        );
        let named = self.adapter.keys();
        named.recall(&self.keys, &direction, &mut probabilities);
        self.habit.lean(clip.track, &mut probabilities);
        let seen = self.adapter.observe(Observed {
            track: clip.track,
            end_ms: clip.end_ms,
            quality: clip.quality,
            presence: window.prepared.presence,
            data: window.prepared.data,
            weak: window.trunk,
            refused,
        });
        if let (true, Some(window)) = (sure, seen) {
            self.adapter.support(Key {
                window,
                label,
                direction,
            });
        }
        Ok(Answer {
            probabilities,
            window: seen,
            familiarity,
            unknown,
            adapted: serves,
            corrected,
            base_class,
            unguarded,
        })
    }

    /// Why a clip may not teach, whatever it looks like.
    fn refuse(&self, clip: &Clip<'_>, unknown: bool) -> Option<Refusal> {
        let joints = self.bundle.manifest().topology.topology().joint_count();
        let found = steadiness(clip.poses, joints, self.spacing_ms(clip));
        if found.frozen_ms > self.gate.max_frozen_ms {
            Some(Refusal::Frozen)
        } else if found.leap > self.gate.max_leap {
            Some(Refusal::Torn)
        } else {
            unknown.then_some(Refusal::Unknown)
        }
    }

    /// The window that is to be answered, what was corrected in it, and what the bundle as shipped says about the plain one, when
    /// that is another one and was asked.
    fn look(
        &mut self,
        clip: &Clip<'_>,
        watch: bool,
    ) -> Result<(Window, Corrected, Option<Vec<f32>>), WindowError> {
        let mut poses = clip.poses.to_vec();
        let spacing = self.spacing_ms(clip);
        let corrected = self
            .aligner
            .as_mut()
            .map_or_else(Corrected::default, |aligner| {
                aligner.align(clip.track, spacing, &mut poses)
            });
        if !corrected.any() {
            return Ok((self.window(clip, &poses, watch)?, corrected, None));
        }
        let (holds, due) = (self.proof.holds(), self.proof.due());
        if !due && !watch {
            // Nobody compares: one run is enough.
            let (poses, corrected) = match holds {
                true => (poses.as_slice(), corrected),
                false => (clip.poses, Corrected::default()),
            };
            return Ok((self.window(clip, poses, watch)?, corrected, None));
        }
        let plain = self.window(clip, clip.poses, watch)?;
        let aligned = self.window(clip, &poses, watch)?;
        let seen = |window: &Window| {
            let nearest = self.prototypes.nearest(&window.pooled)?;
            Some(Look {
                cosine: nearest.cosine,
                probabilities: window.probabilities.clone(),
            })
        };
        if let (true, Some(aligned), Some(plain)) = (due, seen(&aligned), seen(&plain)) {
            let lost = self.proof.add(aligned, plain);
            if let (true, Some(aligner)) = (lost, &mut self.aligner) {
                aligner.forget();
                self.adapter.forget_supports();
            }
        }
        if holds {
            Ok((aligned, corrected, Some(plain.probabilities)))
        } else {
            Ok((plain, Corrected::default(), None))
        }
    }

    /// Mean time between two poses, milliseconds; zero when there is none.
    fn spacing_ms(&self, clip: &Clip<'_>) -> f32 {
        let joints = self.bundle.manifest().topology.topology().joint_count();
        let steps = (clip.poses.len() / (3 * joints)).saturating_sub(1);
        if steps == 0 {
            return 0.0;
        }
        clip.end_ms.saturating_sub(clip.start_ms) as f32 / steps as f32
    }

    /// Does one short piece of adaptation.
    pub fn idle(&mut self) -> Work {
        let Ok(encoder) = self.bundle.encoder() else {
            return Work::Nothing;
        };
        let (recogniser, recipe, seed) = (&mut self.recogniser, &self.strong, self.seed);
        let (frames, joints) = (encoder.spec().frames, encoder.spec().joints);
        let topology = self.bundle.manifest().topology.topology();
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

    /// Runs the shipped encoder on a clip whose poses are `poses`.
    fn window(
        &mut self,
        clip: &Clip<'_>,
        poses: &[f32],
        watch: bool,
    ) -> Result<Window, WindowError> {
        let prepared = self.preparer.prepare(clip, poses)?;
        if prepared.presence.count() == 0 && !watch {
            return Err(WindowError::Empty);
        }
        // Parsing copies nothing: it only finds the tables of a blob that was checked when the bundle started.
        let encoder = self.bundle.encoder().map_err(WindowError::Encoder)?;
        let trunk = self
            .recogniser
            .trunk(&encoder, &prepared.data, prepared.presence)?;
        let (probabilities, pooled) = self.recogniser.classify(&encoder, &trunk)?;
        Ok(Window {
            prepared,
            trunk,
            probabilities,
            pooled,
        })
    }
}

/// A window that the shipped encoder has seen.
struct Window {
    prepared: Prepared,
    trunk: Features,
    /// Calibrated.
    probabilities: Vec<f32>,
    pooled: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::tests::{clip, reference, tilt};
    use tendon_bundle::testing::{Shape, random_contents, secret_key};
    use tendon_bundle::{Bundle, Floor, TrustedKeys};
    use tendon_shared::topology::TopologyId;

    fn bundle() -> Arc<VerifiedBundle> {
        let shape = Shape::small(20, 16, 5);
        let mut contents = random_contents(TopologyId::Kinect20, &shape, 1, 1);
        contents.source_reference = reference().to_values();
        let file = contents.pack(&secret_key(1)).unwrap();
        let trusted = TrustedKeys::new([secret_key(1).public()]);
        Arc::new(Bundle::verify(file, &trusted, Floor::default()).unwrap())
    }

    /// A home before a tilted camera; `margin` decides whether alignment can be proven.
    fn home(margin: f32) -> Home {
        let mut config = AdaptConfig::default();
        config.align.proof.margin = margin;
        let home = Home::start(bundle(), &config, Places::default(), 1);
        home.unwrap().0
    }

    /// What was corrected in each of a hundred windows.
    fn corrected(home: &mut Home, watch: bool) -> Vec<bool> {
        let windows = (0..100_u64).map(|number| {
            let mut poses = clip(40, number as f32);
            tilt(&mut poses, 25.0);
            let clip = Clip {
                track: number,
                start_ms: number * 2_000,
                end_ms: number * 2_000 + 1_300,
                quality: 1.0,
                poses: &poses,
            };
            home.answer(&clip, watch).unwrap().corrected.any()
        });
        windows.collect()
    }

    #[test]
    fn corrected_poses_are_never_answered_without_proof_watched_or_not() {
        // No cosine gains more than two.
        assert!(
            corrected(&mut home(2.0), false)
                .iter()
                .all(|corrected| !corrected)
        );
        assert!(
            corrected(&mut home(2.0), true)
                .iter()
                .all(|corrected| !corrected)
        );
    }

    #[test]
    fn with_proof_every_window_is_corrected_watched_or_not() {
        let watched = corrected(&mut home(-3.0), true);
        assert!(watched.iter().skip(50).all(|corrected| *corrected));
        assert_eq!(corrected(&mut home(-3.0), false), watched);
    }

    /// What a home says to one and the same clip, and the window's number.
    fn said(home: &mut Home) -> (u16, u64) {
        let poses = clip(40, 3.0);
        let clip = Clip {
            track: 1,
            start_ms: 0,
            end_ms: 1_300,
            quality: 1.0,
            poses: &poses,
        };
        let answer = home.answer(&clip, false).unwrap();
        while home.idle() == Work::More {}
        (top(&answer.probabilities).0, answer.window.unwrap())
    }

    #[test]
    fn a_window_that_a_person_named_is_recognised_from_then_on_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            let places = Places {
                state: Some(dir.path().join("adapt.state")),
                journal: None,
            };
            let mut config = AdaptConfig::default();
            // Answers lean on nothing else.
            config.habit.enabled = false;
            Home::start(bundle(), &config, places, 1).unwrap().0
        };
        let mut home = start();
        let (shipped, window) = said(&mut home);
        let other = (shipped + 1) % home.bundle().manifest().classes.len() as u16;
        let name = home.bundle().manifest().classes[usize::from(other)].to_string();
        assert_eq!(home.label(window, &name).unwrap().label, other);
        assert_eq!(said(&mut home).0, other);
        let mut again = start();
        assert_eq!(said(&mut again).0, other);
        assert!(again.adapter_mut().undo());
        assert_eq!(said(&mut again).0, shipped);
    }

    #[test]
    fn only_windows_that_may_teach_support_a_class() {
        let supports = |quality: f32, poses: &dyn Fn(u64) -> Vec<f32>| {
            let mut config = AdaptConfig::default();
            config.supports.confidence = 0.0;
            // A bundle of random numbers knows no action.
            config.gate.novelty = 0.0;
            let (mut home, _) = Home::start(bundle(), &config, Places::default(), 1).unwrap();
            for number in 0..10 {
                let poses = poses(number);
                let clip = Clip {
                    track: number,
                    start_ms: number * 2_000,
                    end_ms: number * 2_000 + 1_300,
                    quality,
                    poses: &poses,
                };
                home.answer(&clip, false).unwrap();
            }
            home.adapter().supports().as_slice().len()
        };
        let moving = |number: u64| clip(40, number as f32);
        // One pose for the whole window: the picture stands still.
        let frozen = |number: u64| clip(40, number as f32)[..60].repeat(40);
        assert_eq!(supports(1.0, &moving), 10);
        assert_eq!(supports(0.5, &moving), 0);
        assert_eq!(supports(1.0, &frozen), 0);
    }
}
