//! What is measured: a network with weights, and windows of people moving.
//!
//! Generated weights are random, but the network is alive: BatchNorm's averages are those of its own activations, and the
//! classifier separates the generated actions as well as random features can. So float and int8 have something to agree on.

use crate::bundle::calibrate::observe;
use crate::bundle::fold::{FoldError, fold};
use crate::bundle::inputs::Inputs;
use crate::bundle::measure::MeasureError;
use crate::bundle::quantize::Options;
use crate::bundle::refine::Target;
use crate::evaluate::features::batch;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tendon_data::synth::{SynthSpec, classes};
use tendon_data::windows::{WindowSet, window_of};
use tendon_model::augment::random::generator;
use tendon_model::classifier::Classifier;
use tendon_model::container;
use tendon_model::encoder::{ConfigError, EncoderConfig};
use tendon_model::folded::Folded;
use tendon_model::graph::{Adjacency, SUBSETS};
use tendon_model::norm::NEW_WEIGHT;
use tendon_model::parameters::{Named, RestoreError, Values, collect, restore};
use tendon_model::pass::{Pass, absorb};
use tendon_model::st_gcn::TRUNK_BLOCKS;
use tendon_model::temporal::TAPS;
use tendon_model::weights::{Description, Provenance, encode};
use tendon_shared::normalize::{Mode, NormalizeError, NormalizeSpec};
use tendon_shared::pose::Presence;

/// The files of a subject in its folder.
pub const CLASSIFIER: &str = "classifier.safetensors";
/// Windows, calibration windows and the adjacency.
pub const WINDOWS: &str = "windows.safetensors";
/// The int8 engine's blob.
pub const BLOB: &str = "encoder.int8";

/// Windows for calibration, at least.
const CALIBRATION: usize = 48;

/// A network and windows.
pub struct Subject {
    /// The encoder's shape.
    pub config: EncoderConfig,
    /// Encoder and classifier.
    pub model: Classifier,
    /// Windows that are run.
    pub windows: WindowSet,
    /// Windows that ranges for int8 are measured on.
    pub calibration: WindowSet,
}

/// A subject that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The shape is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The shape leaves no window.
    #[error("the generated recordings do not fit the window: {0}")]
    Normalize(#[from] NormalizeError),
    /// The windows do not fit the network.
    #[error(transparent)]
    Evaluate(#[from] crate::evaluate::EvaluateError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Weights are missing.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Streams cannot be stacked.
    #[error(transparent)]
    Stream(#[from] tendon_shared::stream::StreamLengthError),
    /// No int8 encoder comes out.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// A file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Subject {
    /// Random weights and `count` generated windows to run, and others for calibration.
    ///
    /// # Errors
    /// The configuration is out of range.
    pub fn generate(config: &EncoderConfig, count: usize, seed: u64) -> Result<Self, SubjectError> {
        let device = Device::flex();
        let windows = generate_windows(config, count, 0, seed)?;
        let calibration = generate_windows(config, count.max(CALIBRATION), count, seed)?;
        let encoder = config.init(seed, &device)?;
        let mut model = Classifier::new(encoder, config.dim, windows.classes.len(), seed);
        model = restore(model.clone(), &stirred(collect(&model), seed))?;

        let all: Vec<usize> = (0..calibration.len()).collect();
        let (x, presence) = batch(config, &calibration, &all, None, &device)?;
        let mut pass = Pass::train(generator(seed, 0, 0, 0));
        model.encoder.embed(x.clone(), &presence, &mut pass);
        absorb(&mut model, pass);
        model = restore(model.clone(), &settled(collect(&model)))?;

        let embedded = model.encoder.embed(x, &presence, &mut Pass::Infer);
        let embedded: Vec<f32> = embedded.into_data().try_to_vec().unwrap_or_default();
        let (weight, bias) = class_means(&embedded, &calibration.labels, windows.classes.len());
        let classes = windows.classes.len();
        let weight = TensorData::new(weight, [config.dim, classes]);
        model.classifier.weight = model
            .classifier
            .weight
            .map(|_| Tensor::from_data(weight, &device));
        let bias = Tensor::from_data(TensorData::new(bias, [classes]), &device);
        model.classifier.bias = model.classifier.bias.map(|old| old.map(|_| bias));
        Ok(Self {
            config: config.clone(),
            model,
            windows,
            calibration,
        })
    }

    /// Encoder inputs of the windows.
    ///
    /// # Errors
    /// The windows contradict their own specification.
    pub fn inputs(&self) -> Result<Inputs, SubjectError> {
        let Self {
            config, windows, ..
        } = self;
        Ok(Inputs::new(windows, &config.streams, config.body_mask)?)
    }

    /// The network with BatchNorm folded: the reference that every contender is compared with.
    ///
    /// # Errors
    /// A weight is missing.
    pub fn folded(&self) -> Result<Folded, SubjectError> {
        let mut weights = collect(&self.model.encoder);
        weights.extend(named("classifier", collect(&self.model.classifier)));
        Ok(fold(&self.config, self.windows.classes.len(), &weights)?)
    }

    /// Writes everything that contenders need into `folder`.
    ///
    /// # Errors
    /// A file cannot be written, or no int8 encoder comes out.
    pub fn write(&self, folder: &Path) -> Result<(), SubjectError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|source| SubjectError::Io { path, source })
        };
        let description = Description {
            config: self.config.clone(),
            normalize: self.windows.spec,
            classes: self.windows.classes.clone(),
            temperature: None,
            provenance: Provenance::default(),
            seen: Vec::new(),
        };
        let Classifier {
            encoder,
            classifier,
        } = &self.model;
        put(CLASSIFIER, &encode(encoder, Some(classifier), &description))?;

        let calibration = Inputs::new(
            &self.calibration,
            &self.config.streams,
            self.config.body_mask,
        )?;
        let windows = self.inputs()?;
        let mut tensors = Named::new();
        for (name, set) in [("windows", &windows), ("calibration", &calibration)] {
            let presence = match name {
                "windows" => "presence",
                _ => "calibration_presence",
            };
            tensors.insert(name.to_owned(), self.tensor(set));
            tensors.insert(presence.to_owned(), self.presence(set));
        }
        let labels = &self.windows.labels;
        tensors.insert(
            "labels".to_owned(),
            Values {
                shape: vec![labels.len()],
                data: labels.iter().map(|label| f32::from(*label)).collect(),
            },
        );
        let adjacency = Adjacency::new(self.config.topology.topology(), self.config.graph);
        tensors.insert(
            "adjacency".to_owned(),
            Values {
                shape: vec![SUBSETS, adjacency.joints, adjacency.joints],
                data: adjacency.values,
            },
        );
        put(WINDOWS, &container::encode(&tensors, &BTreeMap::new()))?;
        put(BLOB, &self.blob(&calibration)?)
    }

    fn tensor(&self, inputs: &Inputs) -> Values {
        let config = &self.config;
        let shape = [
            inputs.len(),
            config.bodies,
            config.channels(),
            config.frames,
            config.joints(),
        ];
        Values {
            shape: shape.to_vec(),
            data: inputs.data.clone(),
        }
    }

    fn presence(&self, inputs: &Inputs) -> Values {
        let bodies = self.config.bodies;
        let flag = |presence: &Presence, body| f32::from(u8::from(presence.contains(body)));
        let flags = inputs
            .presence
            .iter()
            .flat_map(|presence| (0..bodies).map(move |body| flag(presence, body)));
        Values {
            shape: vec![inputs.len(), bodies],
            data: flags.collect(),
        }
    }

    /// The int8 encoder, made as `tendon bundle` makes it.
    fn blob(&self, calibration: &Inputs) -> Result<Vec<u8>, SubjectError> {
        let network = self.folded()?;
        let bodies = (0..calibration.len()).flat_map(|number| {
            let bodies = calibration.bodies(number).into_iter();
            bodies.map(move |body| calibration.body(number, body))
        });
        let seen = observe(&network, &bodies.collect::<Vec<_>>(), &|| {});
        let options = Options {
            bodies: self.config.bodies,
            body_mask: self.config.body_mask,
            trunk_blocks: TRUNK_BLOCKS,
        };
        let compared = calibration.spread(16);
        let target = Target::new(&network, options, calibration, &compared, &|| {});
        let trials = target.choose(&seen, &|| {})?;
        let Some(best) = trials.first() else {
            return Ok(Vec::new());
        };
        Ok(target.refine(&best.ranges, &|| {})?.1)
    }
}

/// Multiplications and additions of one body's forward pass, counted as two operations each; the graph counts its entries.
#[must_use]
pub fn operations(config: &EncoderConfig) -> f64 {
    let adjacency = Adjacency::new(config.topology.topology(), config.graph).values;
    let entries = adjacency.iter().filter(|entry| **entry != 0.0).count();
    let (joints, mut frames) = (config.joints(), config.frames);
    let mut total = 0;
    for spec in config.blocks() {
        let kept = frames.div_ceil(spec.stride);
        let projected = spec.residual && (spec.input != spec.output || spec.stride != 1);
        total += frames * entries * spec.input.min(spec.output)
            + frames * joints * SUBSETS * spec.input * spec.output
            + kept * joints * TAPS * spec.output * spec.output
            + usize::from(projected) * kept * joints * spec.input * spec.output;
        frames = kept;
    }
    2.0 * total as f64
}

/// Windows of generated people, from recording `first` on: every body performs an action of its own, the first names the class.
///
/// # Errors
/// The configuration leaves no window.
pub fn generate_windows(
    config: &EncoderConfig,
    count: usize,
    first: usize,
    seed: u64,
) -> Result<WindowSet, NormalizeError> {
    let names = classes();
    let people = (first + count).div_ceil(names.len()) + 1;
    let synth = SynthSpec {
        topology: config.topology,
        seed,
        subjects: u16::try_from(people).unwrap_or(u16::MAX),
        cameras: 1,
        repetitions: 1,
        ..SynthSpec::default()
    };
    let spec = NormalizeSpec {
        mode: Mode::Product,
        frames: config.frames as u16,
        bodies: config.bodies as u8,
    };
    let body = config.joints() * 3;
    let stride = spec.window_len(config.topology.topology());
    let mut set = WindowSet {
        topology: config.topology,
        spec,
        data: vec![0.0; count * stride],
        presence: Vec::new(),
        labels: Vec::new(),
        subjects: Vec::new(),
        cameras: vec![1; count],
        classes: names,
        digests: Vec::new(),
        recordings: Vec::new(),
        names: Vec::new(),
    };
    for number in 0..count {
        let people = (0..config.bodies).map(|body| synth.recording(first + number + 7 * body));
        let people: Vec<_> = people.collect();
        let frames = people.iter().map(|person| person.frames).min().unwrap_or(0);
        let poses: Vec<f32> = (0..frames)
            .flat_map(|frame| people.iter().map(move |person| (person, frame)))
            .flat_map(|(person, frame)| &person.poses[frame * body..(frame + 1) * body])
            .copied()
            .collect();
        let out = &mut set.data[number * stride..(number + 1) * stride];
        let presence = window_of(config.topology, &spec, config.bodies, &poses, out)?;
        set.presence.push(presence);
        set.labels
            .push(people.first().map_or(0, |person| person.label));
        set.subjects
            .push(people.first().map_or(0, |person| person.subject));
    }
    Ok(set)
}

fn named(prefix: &str, values: Named) -> impl Iterator<Item = (String, Values)> {
    values
        .into_iter()
        .map(move |(name, values)| (format!("{prefix}.{name}"), values))
}

/// Moves everything off its initial value, so that a contender that forgets a bias or the edge importance is found out.
fn stirred(mut weights: Named, seed: u64) -> Named {
    let mut noise = generator(seed, 1, 0, 0);
    for (name, values) in &mut weights {
        let amplitude = match name.rsplit('.').next() {
            Some("gamma" | "edge" | "beta") => 0.3,
            Some("bias") => 0.02,
            _ => continue,
        };
        for value in &mut values.data {
            *value += amplitude * (2.0 * noise.random::<f32>() - 1.0);
        }
    }
    weights
}

/// Turns running averages after one update from (0, 1) into the statistics of that one batch.
fn settled(mut weights: Named) -> Named {
    let new = NEW_WEIGHT as f32;
    for (name, values) in &mut weights {
        for value in &mut values.data {
            match name.rsplit('.').next() {
                Some("mean") => *value /= new,
                Some("var") => *value = ((*value - (1.0 - new)) / new).max(1e-4),
                _ => {}
            }
        }
    }
    weights
}

/// The classifier of nearest class means: weights `[dim, class]` and biases.
fn class_means(embedded: &[f32], labels: &[u16], classes: usize) -> (Vec<f32>, Vec<f32>) {
    let dim = embedded.len() / labels.len().max(1);
    let mut sums = vec![0.0; classes * dim];
    let mut counts = vec![0.0_f32; classes];
    for (row, label) in embedded.chunks_exact(dim.max(1)).zip(labels) {
        let label = usize::from(*label);
        counts[label] += 1.0;
        let sum = &mut sums[label * dim..(label + 1) * dim];
        sum.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += value);
    }
    let (mut weight, mut bias) = (vec![0.0; dim * classes], vec![0.0; classes]);
    for (class, sum) in sums.chunks_exact(dim.max(1)).enumerate() {
        for (index, sum) in sum.iter().enumerate() {
            let mean = sum / counts[class].max(1.0);
            weight[index * classes + class] = mean;
            bias[class] -= mean * mean / 2.0;
        }
        // A class without a window is never the answer.
        if counts[class] == 0.0 {
            bias[class] = -10.0;
        }
    }
    (weight, bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::measure::float_logits;
    use crate::evaluate::metrics::argmax;
    use tendon_shared::topology::TopologyId;

    pub(super) fn small() -> EncoderConfig {
        EncoderConfig {
            width: 4,
            dim: 16,
            ..EncoderConfig::small(TopologyId::Ntu25, 16, 2)
        }
    }

    #[test]
    fn a_generated_network_tells_its_windows_apart() {
        let subject = Subject::generate(&small(), 24, 1).unwrap();
        let (folded, inputs) = (subject.folded().unwrap(), subject.inputs().unwrap());
        let all: Vec<usize> = (0..24).collect();
        let logits = float_logits(&folded, &inputs, &all, &|| {});
        let rows = logits.chunks_exact(subject.windows.classes.len());
        let answers: std::collections::BTreeSet<usize> = rows.map(argmax).collect();
        assert!(answers.len() >= 4, "{answers:?}");
        assert!(logits.iter().all(|logit| logit.is_finite()));
    }

    #[test]
    fn operations_are_counted_by_hand() {
        // Width 1, dim 1: 25 joints, 73 entries; 4 frames, then 2, then 1.
        let config = EncoderConfig {
            width: 1,
            dim: 1,
            ..EncoderConfig::small(TopologyId::Ntu25, 4, 1)
        };
        // Blocks 1-4 at 4 frames: entries 4*73*1, graph 4*25*3*(3 or 1), temporal 4*25*9.
        let first = 292 + 900 + 900;
        let three = 3 * (292 + 300 + 900);
        // Block 5, 1 -> 2 with stride 2: 292, 600, 2*25*9*4, residual 2*25*2.
        let five = 292 + 600 + 1800 + 100;
        // Blocks 6 and 7 at 2 frames, width 2: 2*73*2, 2*25*3*4, 2*25*9*4.
        let two = 2 * (292 + 600 + 1800);
        // Block 8, 2 -> 4 with stride 2: 2*73*2, 2*25*3*8, 25*9*16, residual 25*8.
        let eight = 292 + 1200 + 3600 + 200;
        // Block 9 at 1 frame, width 4; block 10, 4 -> 1, with residual.
        let nine = 73 * 4 + 25 * 3 * 16 + 25 * 9 * 16;
        let ten = 73 + 25 * 3 * 4 + 25 * 9 + 25 * 4;
        let sum = first + three + five + two + eight + nine + ten;
        assert_eq!(operations(&config), 2.0 * f64::from(sum));
    }
}
