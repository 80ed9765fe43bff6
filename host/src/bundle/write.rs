//! Putting a bundle together: everything between a classifier file and signed bytes.

use super::calibrate::{Method, observe};
use super::fold::{FoldError, fold};
use super::inputs::Inputs;
use super::measure::{self, MeasureError};
use super::quantize::Options;
use super::refine::{Quality, Target, Trial};
use super::source_buffer;
use crate::evaluate::metrics::{Predictions, argmax};
use crate::evaluate::temperature::fit_temperature;
use std::collections::{BTreeMap, BTreeSet};
use tendon_adapt::align::Reference;
use tendon_bundle::{Contents, PackError, SecretKey};
use tendon_engine::{BufferError, Encoder, ParseError};
use tendon_model::parameters::Values;
use tendon_model::st_gcn::TRUNK_BLOCKS;
use tendon_model::weights::Description;
use tendon_shared::manifest::{FORMAT_VERSION, Manifest};
use tendon_shared::normalize::PREPROCESSING_VERSION;

/// What the maker of a bundle decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Version of the model; rises with every release.
    pub model_version: u64,
    /// When the bundle is made, seconds since 1970 (UTC).
    pub created_s: u64,
    /// Licence of the training data.
    pub licence: String,
    /// Training windows that ranges are measured on, at most.
    pub calibration: usize,
    /// Source features of each class, at most.
    pub source_each: usize,
    /// Golden windows.
    pub golden: usize,
    /// Calibrated confidence from which a prediction counts, 0..=1.
    pub threshold: f32,
    /// Softmax temperature instead of the classifier file's; fitted on the validation windows when neither states one.
    pub temperature: Option<f64>,
}

/// What a bundle is made from.
#[derive(Debug, Clone, Copy)]
pub struct Material<'m> {
    /// Weights by their published names.
    pub weights: &'m BTreeMap<String, Values>,
    /// What the classifier file says about them.
    pub description: &'m Description,
    /// Training windows: for ranges, source features, golden windows and the prior.
    pub train: &'m Inputs,
    /// Windows of training persons that the classifier did not learn from; may be empty.
    pub validation: &'m Inputs,
    /// Windows to report on.
    pub test: &'m Inputs,
    /// How the people of the training windows stood before their cameras, if it was measured.
    pub reference: Option<&'m Reference>,
}

/// Float and int8 side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Every way to cut ranges that was tried, the least error first.
    pub trials: Vec<Trial>,
    /// What the best one came to after its ranges were refined.
    pub refined: Quality,
    /// Relative error of each block's output on calibration windows.
    pub blocks: Vec<f64>,
    /// Float logits of the test windows.
    pub float: Predictions,
    /// Int8 logits of the test windows.
    pub int8: Predictions,
    /// Share of test windows with the same class in both, 0..=1.
    pub agreement: f64,
    /// The softmax temperature.
    pub temperature: f64,
    /// Whether the temperature comes from windows that the classifier did not learn from.
    pub calibrated: bool,
    /// Source features in the bundle.
    pub sources: usize,
    /// Bytes of the encoder.
    pub encoder_bytes: usize,
}

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The weights do not fit their description.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Quantization or measuring failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The encoder cannot be run.
    #[error("the quantized encoder is invalid")]
    Encoder(#[from] ParseError),
    /// Windows do not fit the encoder.
    #[error("the windows do not fit the encoder")]
    Window(#[from] BufferError),
    /// Packing failed.
    #[error("the bundle cannot be packed")]
    Pack(#[from] PackError),
    /// A part of the material is missing.
    #[error("{0}")]
    Material(String),
}

/// One step of the work, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ranges are measured; so many windows will pass.
    Calibrate(usize),
    /// Ways to cut ranges are compared; so many windows will pass.
    Choose(usize),
    /// The best one's ranges are refined; so many windows will pass.
    Refine(usize),
    /// Test windows are run in float and int8; so many will pass.
    Report(usize),
    /// One window has passed.
    Window,
}

/// Makes the signed bytes of a bundle. `progress` may be called from several threads.
///
/// # Errors
/// [`WriteError`] says which part of the material is at fault.
pub fn make(
    material: Material<'_>,
    recipe: &Recipe,
    key: &SecretKey,
    progress: &(dyn Fn(Step) + Sync),
) -> Result<(Vec<u8>, Report), WriteError> {
    let Material {
        weights,
        description,
        train,
        validation,
        test,
        reference,
    } = material;
    if train.is_empty() || test.is_empty() {
        return Err(WriteError::Material(
            "training and test windows are needed".to_owned(),
        ));
    }
    let classes = description.classes.len();
    let network = fold(&description.config, classes, weights)?;
    let window = || progress(Step::Window);

    let chosen = train.spread(recipe.calibration);
    let bodies = chosen.iter().flat_map(|number| {
        train
            .bodies(*number)
            .into_iter()
            .map(|body| train.body(*number, body))
    });
    let bodies: Vec<&[f32]> = bodies.collect();
    progress(Step::Calibrate(bodies.len()));
    let seen = observe(&network, &bodies, &window);

    let options = Options {
        bodies: usize::from(description.normalize.bodies),
        body_mask: description.config.body_mask,
        trunk_blocks: TRUNK_BLOCKS,
    };
    let compared = spread(&chosen, recipe.calibration / 2);
    progress(Step::Choose(compared.len() * (1 + Method::ALL.len())));
    let target = Target::new(&network, options, train, &compared, &window);
    let trials = target.choose(&seen, &window)?;
    let Some(best) = trials.first() else {
        return Err(WriteError::Material(
            "no way to cut ranges was tried".to_owned(),
        ));
    };
    progress(Step::Refine(target.refining(&best.ranges)));
    let (refined, blob) = target.refine(&best.ranges, &window)?;
    let encoder = Encoder::parse(&blob)?;
    let blocks = measure::block_errors(&network, &encoder, train, &spread(&compared, 16))?;

    let all = |inputs: &Inputs| (0..inputs.len()).collect::<Vec<_>>();
    // Half as many again as are wanted: some will turn out to be unusable.
    let candidates = source_buffer::pick(train, &|_| true, recipe.source_each * 3 / 2);
    progress(Step::Report(
        2 * test.len() + validation.len() + candidates.len(),
    ));
    let float = measure::float_logits(&network, test, &all(test), &window);
    let int8 = measure::int8_logits(&encoder, test, &all(test), &window)?;
    let held = measure::int8_logits(&encoder, validation, &all(validation), &window)?;
    let held = measure::predictions(classes, held, validation, &all(validation));
    let own = measure::int8_logits(&encoder, train, &candidates, &window)?;
    let own = measure::predictions(classes, own, train, &candidates);
    let stated = recipe.temperature.or(description.temperature);
    let temperature = stated.unwrap_or_else(|| fit_temperature(&held));

    // Windows that the encoder itself gets wrong would teach the device its mistakes.
    let right: BTreeSet<usize> = candidates
        .iter()
        .zip(own.rows())
        .filter(|(_, (logits, label))| argmax(logits) == *label)
        .map(|(number, _)| *number)
        .collect();
    let sources = source_buffer::pick(train, &|number| right.contains(&number), recipe.source_each);
    let source = source_buffer::collect(&encoder, train, &sources)?;
    let golden = train.spread(recipe.golden.max(1));

    let report = Report {
        blocks,
        agreement: measure::agreement(&int8, &float, classes),
        float: measure::predictions(classes, float, test, &all(test)),
        int8: measure::predictions(classes, int8, test, &all(test)),
        temperature,
        calibrated: stated.is_some() || !held.is_empty(),
        sources: source.labels.len(),
        encoder_bytes: blob.len(),
        trials,
        refined,
    };
    drop(encoder);
    let contents = Contents {
        manifest: manifest(
            description,
            recipe,
            temperature,
            &prior(&train.labels, classes),
        )?,
        encoder: blob,
        source_features: source.features,
        source_labels: source.labels,
        source_reference: reference.map(Reference::to_values).unwrap_or_default(),
        golden_windows: golden
            .iter()
            .flat_map(|number| train.window(*number))
            .copied()
            .collect(),
        golden_presence: golden
            .iter()
            .map(|number| train.presence[*number])
            .collect(),
    };
    Ok((contents.pack(key)?, report))
}

/// At most `most` of the numbers, evenly spread.
fn spread(numbers: &[usize], most: usize) -> Vec<usize> {
    let count = numbers.len().min(most.max(1));
    (0..count)
        .map(|index| numbers[index * numbers.len() / count])
        .collect()
}

/// Share of each class.
fn prior(labels: &[u16], classes: usize) -> Vec<f32> {
    let mut counts = vec![0.0_f32; classes];
    labels
        .iter()
        .filter_map(|label| {
            counts
                .get_mut(usize::from(*label))
                .map(|count| *count += 1.0)
        })
        .for_each(drop);
    let total = labels.len().max(1) as f32;
    counts.iter().map(|count| count / total).collect()
}

fn manifest(
    description: &Description,
    recipe: &Recipe,
    temperature: f64,
    prior: &[f32],
) -> Result<Manifest, WriteError> {
    let long = |what: &str| WriteError::Material(format!("{what} is too long for a manifest"));
    let many =
        |what: &str| WriteError::Material(format!("there are too many {what} for a manifest"));
    let from = &description.provenance;
    let mut provenance = format!(
        "method {}, split {}, data {}, epochs {}, seed {}, configuration {}",
        from.method, from.split, from.data_digest, from.epochs, from.seed, from.config_digest
    );
    let end = provenance.floor_char_boundary(tendon_shared::manifest::PROVENANCE_BYTES);
    provenance.truncate(end);
    let classes = description
        .classes
        .iter()
        .map(|class| heapless::String::try_from(class.as_str()));
    Ok(Manifest {
        format: FORMAT_VERSION,
        model_version: recipe.model_version,
        created_s: recipe.created_s,
        engine_version: tendon_engine::format::VERSION,
        preprocessing_version: PREPROCESSING_VERSION,
        topology: description.config.topology,
        streams: heapless::Vec::from_slice(&description.config.streams)
            .map_err(|_| many("streams"))?,
        normalize: description.normalize,
        classes: classes
            .collect::<Result<_, _>>()
            .map_err(|_| long("a class name"))?,
        temperature: temperature as f32,
        thresholds: heapless::Vec::from_slice(&[recipe.threshold])
            .map_err(|_| many("thresholds"))?,
        prior: heapless::Vec::from_slice(prior).map_err(|_| many("classes"))?,
        tensors: heapless::Vec::new(),
        licence: heapless::String::try_from(recipe.licence.as_str())
            .map_err(|_| long("the licence"))?,
        provenance: heapless::String::try_from(provenance.as_str())
            .map_err(|_| long("the provenance"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fold::tests::{names, random_classifier};
    use super::*;
    use tendon_bundle::testing::{Numbers, secret_key};
    use tendon_bundle::{Bundle, Floor, TrustedKeys};
    use tendon_data::windows::WindowSet;
    use tendon_model::encoder::EncoderConfig;
    use tendon_model::weights::Provenance;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::pose::Presence;
    use tendon_shared::stream::Stream;
    use tendon_shared::topology::TopologyId;

    const SPEC: NormalizeSpec = NormalizeSpec {
        mode: Mode::Paper,
        frames: 8,
        bodies: 1,
    };

    fn inputs(count: u16, seed: u64) -> Inputs {
        let mut numbers = Numbers::new(seed);
        let windows = WindowSet {
            topology: TopologyId::Kinect20,
            spec: SPEC,
            data: (0..usize::from(count) * 3 * 8 * 20)
                .map(|_| numbers.unit())
                .collect(),
            presence: vec![Presence::FIRST; usize::from(count)],
            labels: (0..count).map(|window| window % 3).collect(),
            subjects: (0..count).map(|window| window % 4).collect(),
            cameras: vec![1; usize::from(count)],
            classes: vec![String::new(); 3],
            digests: Vec::new(),
            recordings: Vec::new(),
            names: Vec::new(),
        };
        Inputs::new(&windows, &[Stream::Joint], true).unwrap()
    }

    fn bundle(
        change: impl FnOnce(&mut Description, &mut Recipe),
    ) -> Result<(Vec<u8>, Report), WriteError> {
        let config = EncoderConfig {
            width: 4,
            dim: 8,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let weights = names(&random_classifier(&config, 3, 1));
        let mut description = Description {
            config,
            normalize: SPEC,
            classes: ["wave", "sit", "fall"].map(String::from).to_vec(),
            temperature: None,
            provenance: Provenance {
                method: "random".to_owned(),
                ..Provenance::default()
            },
            seen: Vec::new(),
        };
        let mut recipe = Recipe {
            model_version: 7,
            created_s: 1_700_000_000,
            licence: "CC0".to_owned(),
            calibration: 12,
            source_each: 2,
            golden: 3,
            threshold: 0.6,
            temperature: None,
        };
        change(&mut description, &mut recipe);
        let (train, validation, test) = (inputs(24, 1), inputs(9, 2), inputs(12, 3));
        let material = Material {
            weights: &weights,
            description: &description,
            train: &train,
            validation: &validation,
            test: &test,
            reference: Some(&reference()),
        };
        make(material, &recipe, &secret_key(1), &|_| {})
    }

    fn reference() -> Reference {
        Reference {
            upright: [0.0, 1.0, 0.0],
            jitter: 0.004,
            limbs: (0..20).map(|joint| joint as f32 / 10.0).collect(),
        }
    }

    #[test]
    fn a_device_accepts_the_bundle_and_finds_what_was_put_in() {
        let (bytes, report) = bundle(|_, _| {}).unwrap();
        let trusted = TrustedKeys::new([secret_key(1).public()]);
        let floor = Floor {
            version: 7,
            topology: Some(TopologyId::Kinect20),
        };
        let bundle = Bundle::verify(bytes, &trusted, floor).unwrap();
        bundle.check_golden().unwrap();
        let manifest = bundle.manifest();
        assert_eq!(
            manifest
                .classes
                .iter()
                .map(|class| class.as_str())
                .collect::<Vec<_>>(),
            ["wave", "sit", "fall"]
        );
        assert_eq!(manifest.prior.len(), 3);
        assert_eq!(manifest.threshold(2), 0.6);
        assert!((f64::from(manifest.temperature) - report.temperature).abs() < 1e-4);
        assert_eq!(bundle.source_labels().len(), report.sources);
        assert_eq!(bundle.golden().len(), 3);
        let values = bundle.source_reference();
        assert_eq!(Reference::from_values(&values, 20), Some(reference()));
        assert!(report.calibrated && report.int8.len() == 12);
        assert!(manifest.provenance.contains("method random"));
    }

    #[test]
    fn equal_material_gives_equal_bytes() {
        assert!(bundle(|_, _| {}).unwrap().0 == bundle(|_, _| {}).unwrap().0);
    }

    #[test]
    fn what_no_device_would_accept_is_refused() {
        const CLASS_NAME: usize = tendon_shared::limits::CLASS_NAME_BYTES;
        let refused =
            |change: fn(&mut Description, &mut Recipe)| bundle(change).unwrap_err().to_string();
        assert!(
            refused(|description, _| description.classes[0] = "x".repeat(CLASS_NAME + 1))
                .contains("class name")
        );
        assert!(refused(|_, recipe| recipe.licence = "x".repeat(129)).contains("licence"));
        assert!(refused(|_, recipe| recipe.threshold = 2.0).contains("packed"));
        assert!(refused(|description, _| description.normalize.frames = 9).contains("packed"));
        assert!(refused(|description, _| description.config.dim = 16).contains("blocks.9"));
    }

    #[test]
    fn a_long_provenance_is_cut_not_refused() {
        assert!(bundle(|description, _| description.provenance.split = "ä".repeat(600)).is_ok());
    }
}
