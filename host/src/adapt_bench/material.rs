//! What a plan names, opened: bundles, classifiers, sets, and their windows as a device sees them.

use super::plan::{DomainPlan, Plan, SourcePlan};
use super::windows::{Played, play};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tendon_adapt::{Features, InferError, Recogniser};
use tendon_bundle::{Bundle, Floor, TrustedKeys, VerifiedBundle, VerifyError, hex};
use tendon_data::dataset::{Dataset, StoreError};
use tendon_data::split::{Split, SplitError};
use tendon_data::windows::window_of;
use tendon_engine::ParseError;
use tendon_model::augment::random::generator;
use tendon_model::weights::{Loaded, WeightsError, decode};
use tendon_shared::normalize::NormalizeError;
use tendon_shared::topology::TopologyId;
use tendon_shared::topology::map::RetargetError;

/// Lists of windows that are kept for the next job.
const KEPT: usize = 16;
/// Streams of random numbers: the shift, as in `tendon replay`; which source windows are looked at.
const SHIFT_STREAM: u64 = 1;
const OWN_STREAM: u64 = 7;

/// A part of the material is not usable.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A bundle is refused.
    #[error("source {name}: {}: {source}", path.display())]
    Bundle {
        /// The source.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifyError,
    },
    /// A classifier cannot be read.
    #[error("source {name}: {}: {why}", path.display())]
    Classifier {
        /// The source.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A set cannot be opened.
    #[error(transparent)]
    Set(#[from] StoreError),
    /// A split or selection does not fit its set.
    #[error("{name}: {source}")]
    Split {
        /// The source or domain.
        name: String,
        /// Why.
        source: SplitError,
    },
    /// A class that is not there.
    #[error("{name}: {why}")]
    Classes {
        /// The source or domain.
        name: String,
        /// Why.
        why: String,
    },
    /// A recording cannot become a window.
    #[error("recording {name}: {why}")]
    Window {
        /// The recording.
        name: String,
        /// Why.
        why: String,
    },
    /// The engine does not run the bundle's encoder.
    #[error("encoder: {0}")]
    Encoder(ParseError),
}

/// A window as every method gets it.
#[derive(Debug)]
pub struct Window {
    /// What the device is shown.
    pub played: Played,
    /// Trunk features of the shipped encoder.
    pub trunk: Features,
    /// Calibrated probabilities of the bundle as shipped.
    pub base: Vec<f32>,
    /// The shipped encoder's pooled features.
    pub pooled: Vec<f32>,
}

/// A window with what only the measurement knows.
#[derive(Debug)]
pub struct Labelled {
    /// The window.
    pub window: Window,
    /// Its class in the bundle; none of them for an unknown action.
    pub label: Option<u16>,
}

/// A source, opened.
pub struct Source {
    /// Its plan.
    pub plan: SourcePlan,
    /// Its bundle.
    pub bundle: Arc<VerifiedBundle>,
    /// The classifier that the bundle was made from.
    pub classifier: Option<Loaded>,
    /// Digest of bundle and classifier.
    pub digest: String,
    /// The set that it learnt from.
    pub data: Arc<Dataset>,
    /// Recordings that it learnt from with their classes, some of them.
    own: Vec<(usize, Option<u16>)>,
}

/// A domain, opened.
pub struct Domain {
    /// Its plan.
    pub plan: DomainPlan,
    /// Its set.
    pub data: Arc<Dataset>,
    chosen: Vec<usize>,
}

/// A list of windows: source, domain unless it is the source's own, seed and pass of the shift's random numbers.
type Key = (usize, Option<usize>, u64, u64);
type Kept = VecDeque<(Key, Arc<Vec<Labelled>>)>;

/// Everything that a plan names.
pub struct Material {
    /// Sources in the order of the plan.
    pub sources: Vec<Source>,
    /// Domains in the order of the plan.
    pub domains: Vec<Domain>,
    kept: Mutex<Kept>,
}

/// Where things are.
#[derive(Debug, Clone, Copy)]
pub struct Places<'p> {
    /// The folder of bundles and classifiers.
    pub bundles: &'p Path,
    /// The folder of the sets.
    pub sets: &'p Path,
}

impl Material {
    /// Opens everything that `plan` names; bundles must be signed with one of the `trusted` keys.
    ///
    /// # Errors
    /// [`MaterialError`] names the part.
    pub fn open(
        plan: &Plan,
        places: Places<'_>,
        trusted: &TrustedKeys,
    ) -> Result<Self, MaterialError> {
        let mut sets: BTreeMap<&Path, Arc<Dataset>> = BTreeMap::new();
        let named = plan.sources.iter().map(|source| &source.data);
        for file in named.chain(plan.domains.iter().map(|domain| &domain.data)) {
            if !sets.contains_key(file.as_path()) {
                sets.insert(file, Arc::new(Dataset::open(places.sets.join(file))?));
            }
        }
        let mut sources = Vec::new();
        for one in &plan.sources {
            let data = Arc::clone(&sets[one.data.as_path()]);
            let source = Source::open(one, data, places, trusted, plan.source_windows)?;
            sources.push(source);
        }
        let mut domains = Vec::new();
        for one in &plan.domains {
            let data = Arc::clone(&sets[one.data.as_path()]);
            let chosen = one.windows.indices(&data);
            let chosen = chosen.map_err(|source| MaterialError::Split {
                name: format!("domain {}", one.name),
                source,
            })?;
            domains.push(Domain {
                plan: one.clone(),
                data,
                chosen,
            });
        }
        let material = Self {
            sources,
            domains,
            kept: Mutex::default(),
        };
        // A class that does not fit is told now and not after hours.
        for (number, domain) in material.domains.iter().enumerate() {
            for source in material.meeting(number) {
                let source = &material.sources[source];
                domain.labelled(&source.bundle)?;
            }
        }
        Ok(material)
    }

    /// Numbers of the sources that meet a domain.
    pub fn meeting(&self, domain: usize) -> impl Iterator<Item = usize> {
        let names = &self.domains[domain].plan.sources;
        (0..self.sources.len()).filter(|source| names.contains(&self.sources[*source].plan.name))
    }

    /// The windows of a domain, in the order of its set. `seed` and `pass` choose the shift's random numbers.
    ///
    /// # Errors
    /// A recording cannot become a window.
    pub fn of_domain(
        &self,
        (source, domain): (usize, usize),
        seed: u64,
        pass: u64,
    ) -> Result<Arc<Vec<Labelled>>, MaterialError> {
        let shift = &self.domains[domain].plan.shift;
        // Without chance, one pass is like any other.
        let chance = shift.noise_metres > 0.0 || shift.absent > 0.0;
        let (seed, pass) = if chance { (seed, pass) } else { (0, 0) };
        self.kept((source, Some(domain), seed, pass), || {
            let (source, domain) = (&self.sources[source], &self.domains[domain]);
            let numbers = domain.labelled(&source.bundle)?;
            look(
                &source.bundle,
                &domain.data,
                &numbers,
                |recording, number| {
                    let mut rng = generator(seed, SHIFT_STREAM, pass, number as u64);
                    let both = (domain.data.topology(), source.bundle.manifest().topology);
                    play(recording, both, shift, &mut rng)
                },
            )
        })
    }

    /// Windows that a source learnt from, as they were.
    ///
    /// # Errors
    /// A recording cannot become a window.
    pub fn of_source(&self, source: usize) -> Result<Arc<Vec<Labelled>>, MaterialError> {
        self.kept((source, None, 0, 0), || {
            let source = &self.sources[source];
            look(&source.bundle, &source.data, &source.own, |recording, _| {
                let both = (source.data.topology(), source.bundle.manifest().topology);
                let none = crate::replay::shift::Shift::default();
                play(recording, both, &none, &mut generator(0, 0, 0, 0))
            })
        })
    }

    /// Takes a list from those that are kept, or makes it.
    fn kept(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Vec<Labelled>, MaterialError>,
    ) -> Result<Arc<Vec<Labelled>>, MaterialError> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|(own, _)| *own == key).cloned();
        if let Some((_, windows)) = known {
            return Ok(windows);
        }
        // Two threads may make the same list at the same time; it is the same list.
        let windows = Arc::new(make()?);
        let mut kept = lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&windows)));
        Ok(windows)
    }
}

impl Source {
    fn open(
        plan: &SourcePlan,
        data: Arc<Dataset>,
        places: Places<'_>,
        trusted: &TrustedKeys,
        windows: usize,
    ) -> Result<Self, MaterialError> {
        let path = places.bundles.join(&plan.bundle);
        let bundle = Bundle::open(&path, trusted, Floor::default());
        let bundle = bundle.map_err(|source| MaterialError::Bundle {
            name: plan.name.clone(),
            path,
            source,
        })?;
        let mut digest = hex::encode(&bundle.id());
        let classifier = match &plan.classifier {
            Some(file) => {
                let path = places.bundles.join(file);
                let (loaded, own) =
                    classifier(&path, &bundle).map_err(|why| MaterialError::Classifier {
                        name: plan.name.clone(),
                        path,
                        why,
                    })?;
                digest += &own;
                Some(loaded)
            }
            None => None,
        };
        let name = format!("source {}", plan.name);
        let split = Split::parse(&plan.split).and_then(|split| split.apply(&data));
        let (mut own, _) = split.map_err(|source| MaterialError::Split {
            name: name.clone(),
            source,
        })?;
        // The same windows for every job, classes as often as they come.
        let order = crate::replay::order::arrange(
            &vec![0; own.len()],
            crate::replay::order::Order::Iid,
            &mut generator(0, OWN_STREAM, 0, 0),
        );
        own = order
            .iter()
            .take(windows)
            .map(|place| own[*place])
            .collect();
        let own = labelled(&name, &data, &own, &bundle, &BTreeMap::new(), false)?;
        Ok(Self {
            plan: plan.clone(),
            bundle: Arc::new(bundle),
            classifier,
            digest,
            data,
            own,
        })
    }
}

/// Reads a classifier and checks that its last blocks go on where the bundle's trunk ends; with its digest.
fn classifier(path: &Path, bundle: &VerifiedBundle) -> Result<(Loaded, String), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let device = burn::tensor::Device::flex();
    let loaded = decode(&bytes, &device).map_err(|error: WeightsError| error.to_string())?;
    let encoder = bundle.encoder().map_err(|error| error.to_string())?;
    let (spec, config) = (encoder.spec(), &loaded.description.config);
    let own = (config.joints(), config.feature_frames(), config.dim);
    let shipped = (spec.joints, spec.frames_out, spec.dim);
    let classes = bundle.manifest().classes.iter().map(|class| class.as_str());
    if own != shipped
        || 4 * config.width != spec.trunk_channels
        || !classes.eq(loaded.description.classes.iter().map(String::as_str))
        || loaded.classifier.is_none()
    {
        return Err("is not the classifier that the bundle was made from".to_owned());
    }
    Ok((loaded, hex::encode(&Sha256::digest(&bytes))))
}

impl Domain {
    /// The recordings that are played to a bundle, with its classes.
    fn labelled(
        &self,
        bundle: &VerifiedBundle,
    ) -> Result<Vec<(usize, Option<u16>)>, MaterialError> {
        let name = format!("domain {}", self.plan.name);
        let (classes, unknown) = (&self.plan.classes, self.plan.unknown);
        labelled(&name, &self.data, &self.chosen, bundle, classes, unknown)
    }
}

/// Numbers of recordings with the bundle's classes. `names` has the bundle's name for each of the set's classes, unless they
/// have the same names; recordings of other classes are left out, or have no class if `unknown`.
fn labelled(
    name: &str,
    data: &Dataset,
    numbers: &[usize],
    bundle: &VerifiedBundle,
    names: &BTreeMap<String, String>,
    unknown: bool,
) -> Result<Vec<(usize, Option<u16>)>, MaterialError> {
    let error = |why: String| MaterialError::Classes {
        name: name.to_owned(),
        why,
    };
    let known = &bundle.manifest().classes;
    let find = |class: &str| known.iter().position(|own| own.as_str() == class);
    for (from, to) in names {
        if !data.classes().contains(from) {
            let all = data.classes().join(", ");
            return Err(error(format!(
                "classes: the set has no class {from:?}, it has {all}"
            )));
        }
        if find(to).is_none() {
            return Err(error(format!("classes: the bundle has no class {to:?}")));
        }
    }
    let mut chosen = Vec::new();
    for &number in numbers {
        let class = &data.classes()[usize::from(data.recording(number).label)];
        let label = if names.is_empty() {
            let own = find(class);
            Some(own.ok_or_else(|| {
                error(format!(
                    "the bundle has no class {class:?}: say with `classes` which ones are the same"
                ))
            })?)
        } else {
            names.get(class).and_then(|class| find(class))
        };
        if label.is_some() || unknown {
            chosen.push((number, label.and_then(|label| u16::try_from(label).ok())));
        }
    }
    if chosen.iter().all(|(_, label)| label.is_none()) {
        return Err(error("no recording is left".to_owned()));
    }
    Ok(chosen)
}

/// Plays recordings and asks the shipped encoder about each.
fn look(
    bundle: &VerifiedBundle,
    data: &Dataset,
    numbers: &[(usize, Option<u16>)],
    play: impl Fn(&tendon_data::dataset::Recording<'_>, usize) -> Result<Played, RetargetError>,
) -> Result<Vec<Labelled>, MaterialError> {
    let encoder = bundle.encoder().map_err(MaterialError::Encoder)?;
    let manifest = bundle.manifest();
    let mut recogniser = Recogniser::new(
        &encoder,
        manifest.topology,
        manifest.streams.to_vec(),
        manifest.temperature,
    );
    let topology: TopologyId = manifest.topology;
    let mut data_of = vec![0.0; manifest.normalize.window_len(topology.topology())];
    let mut windows = Vec::with_capacity(numbers.len());
    for &(number, label) in numbers {
        let recording = data.recording(number);
        let wrong = |why: String| MaterialError::Window {
            name: recording.name.to_owned(),
            why,
        };
        let played = play(&recording, number).map_err(|error| wrong(format!("{error:?}")))?;
        let presence = window_of(
            topology,
            &manifest.normalize,
            1,
            &played.poses,
            &mut data_of,
        )
        .map_err(|error: NormalizeError| wrong(error.to_string()))?;
        let asked = |error: InferError| wrong(error.to_string());
        let trunk = recogniser
            .trunk(&encoder, &data_of, presence)
            .map_err(asked)?;
        let (base, pooled) = recogniser.classify(&encoder, &trunk).map_err(asked)?;
        windows.push(Labelled {
            window: Window {
                played,
                trunk,
                base,
                pooled,
            },
            label,
        });
    }
    Ok(windows)
}
