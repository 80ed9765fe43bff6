//! Encoder files: weights with the configuration, normalisation, classes and origin that they need to be used.
//!
//! Names are the module's own paths (`blocks.0.graph.weight`), so a file is readable from Python.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::nn::Linear;
use burn::tensor::Device;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tendon_shared::normalize::NormalizeSpec;

use crate::container::{self, ContainerError};
use crate::encoder::{ConfigError, Encoder, EncoderConfig};
use crate::init::Initializer;
use crate::parameters::{RestoreError, collect, restore};

/// Largest encoder file that is read, in bytes; the largest allowed configuration needs less.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// Where weights come from: enough to repeat the run and to refuse an evaluation on data they have seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Digest of the data set.
    pub data_digest: String,
    /// Split or selection that was trained on.
    pub split: String,
    /// Subjects that were trained on, sorted.
    pub subjects: Vec<u16>,
    /// Training method, such as `skeletonclr`.
    pub method: String,
    /// Passes over the data.
    pub epochs: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Version of the normalisation code.
    pub preprocessing_version: u32,
    /// Digest of the run's configuration.
    pub config_digest: String,
    /// Which labels this stage has used, in words; empty for none.
    pub labels: String,
    /// The stage before, for weights that did not start from scratch.
    pub base: Option<Box<Provenance>>,
}

impl Provenance {
    /// Which labels any stage has used, the last stage first.
    pub fn all_labels(&self) -> Vec<&str> {
        let stages = std::iter::successors(Some(self), |stage| stage.base.as_deref());
        let used = stages.map(|stage| stage.labels.as_str());
        used.filter(|labels| !labels.is_empty()).collect()
    }
}

/// What stands beside the weights in an encoder file.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Shape of the encoder.
    pub config: EncoderConfig,
    /// Normalisation its windows need.
    pub normalize: NormalizeSpec,
    /// Class names in the classifier's order; empty without a classifier.
    pub classes: Vec<String>,
    /// Softmax temperature of the classifier, chosen on held-out persons.
    pub temperature: Option<f64>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// Fingerprints of all recordings that any stage has learnt from, sorted, none twice; empty when nobody knows.
    pub seen: Vec<u64>,
}

/// An encoder file in memory.
#[derive(Debug)]
pub struct Loaded {
    /// The encoder.
    pub encoder: Encoder,
    /// Its classifier, if the file has one.
    pub classifier: Option<Linear>,
    /// What the file says about them.
    pub description: Description,
}

/// An encoder file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Larger than any encoder can be.
    #[error("{path}: {bytes} bytes are more than the {MAX_FILE_BYTES} an encoder can have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Damaged, or not an encoder file.
    #[error("{0}")]
    Container(#[from] ContainerError),
    /// A metadata entry is missing or unreadable.
    #[error(
        "metadata entry `{entry}` is missing or unreadable ({reason}); is this an encoder file?"
    )]
    Metadata {
        /// Name of the entry.
        entry: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The described encoder is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is missing or has another shape.
    #[error(transparent)]
    Tensor(#[from] RestoreError),
    /// Classifier and class names disagree.
    #[error("the classifier has {outputs} outputs, the file names {classes} classes")]
    Classes {
        /// Columns of the classifier.
        outputs: usize,
        /// Class names.
        classes: usize,
    },
}

/// The bytes of an encoder file. Equal weights give equal bytes.
pub fn encode(
    encoder: &Encoder,
    classifier: Option<&Linear>,
    description: &Description,
) -> Vec<u8> {
    let mut tensors = collect(encoder);
    if let Some(classifier) = classifier {
        tensors.extend(
            collect(classifier)
                .into_iter()
                .map(|(name, values)| (format!("classifier.{name}"), values)),
        );
    }
    let mut metadata = BTreeMap::from([
        ("config".to_string(), text(&description.config)),
        ("normalize".to_string(), text(&description.normalize)),
        ("classes".to_string(), text(&description.classes)),
        ("provenance".to_string(), text(&description.provenance)),
        ("seen".to_string(), to_hex(&description.seen)),
    ]);
    if let Some(temperature) = description.temperature {
        metadata.insert("temperature".to_string(), text(&temperature));
    }
    container::encode(&tensors, &metadata)
}

/// The encoder in the bytes of an encoder file.
///
/// # Errors
/// The bytes are damaged or describe no usable encoder.
pub fn decode(bytes: &[u8], device: &Device) -> Result<Loaded, WeightsError> {
    let (tensors, metadata) = container::decode(bytes)?;
    let config: EncoderConfig = entry(&metadata, "config")?;
    let description = Description {
        normalize: entry(&metadata, "normalize")?,
        classes: entry(&metadata, "classes")?,
        temperature: metadata
            .contains_key("temperature")
            .then(|| entry(&metadata, "temperature"))
            .transpose()?,
        provenance: entry(&metadata, "provenance")?,
        seen: metadata
            .get("seen")
            .map_or(Ok(Vec::new()), |text| from_hex(text))?,
        config: config.clone(),
    };
    let encoder = restore(config.init(0, device)?, &tensors)?;
    let classifier = match tensors.get("classifier.bias") {
        None => None,
        Some(bias) => {
            let (outputs, classes) = (bias.data.len(), description.classes.len());
            if outputs != classes {
                return Err(WeightsError::Classes { outputs, classes });
            }
            let own = tensors
                .iter()
                .filter_map(|(name, values)| {
                    Some((
                        name.strip_prefix("classifier.")?.to_string(),
                        values.clone(),
                    ))
                })
                .collect();
            Some(restore(
                Initializer::new(0, device).linear(config.dim, outputs),
                &own,
            )?)
        }
    };
    Ok(Loaded {
        encoder,
        classifier,
        description,
    })
}

/// Writes an encoder file; a kill leaves the old file or the new one.
///
/// # Errors
/// The file cannot be written.
pub fn save(
    path: &Path,
    encoder: &Encoder,
    classifier: Option<&Linear>,
    description: &Description,
) -> Result<(), WeightsError> {
    tendon_files::write(path, &encode(encoder, classifier, description)).map_err(|source| {
        WeightsError::Io {
            path: path.to_path_buf(),
            source,
        }
    })
}

/// Reads an encoder file.
///
/// # Errors
/// The file cannot be read, is damaged or describes no usable encoder.
pub fn load(path: &Path, device: &Device) -> Result<Loaded, WeightsError> {
    let io = |source| WeightsError::Io {
        path: path.to_path_buf(),
        source,
    };
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(WeightsError::TooLarge {
            path: path.to_path_buf(),
            bytes,
        });
    }
    decode(&fs::read(path).map_err(io)?, device)
}

/// Sixteen digits a number: a list of numbers in JSON would be longer.
fn to_hex(numbers: &[u64]) -> String {
    let mut text = String::with_capacity(numbers.len() * 16);
    for number in numbers {
        // Writing into a String cannot fail.
        let _ = write!(text, "{number:016x}");
    }
    text
}

fn from_hex(text: &str) -> Result<Vec<u64>, WeightsError> {
    let error = || WeightsError::Metadata {
        entry: "seen",
        reason: "not sixteen hexadecimal digits a recording".to_string(),
    };
    let (digits, rest) = text.as_bytes().as_chunks::<16>();
    if !rest.is_empty() {
        return Err(error());
    }
    let number = |digits: &[u8; 16]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u64::from_str_radix(digits, 16).ok()
    };
    let numbers: Option<Vec<u64>> = digits.iter().map(number).collect();
    numbers.ok_or_else(error)
}

fn text(value: &impl Serialize) -> String {
    // None of the described types has a map with keys other than text, so this cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn entry<T: DeserializeOwned>(
    metadata: &BTreeMap<String, String>,
    entry: &'static str,
) -> Result<T, WeightsError> {
    let error = |reason: String| WeightsError::Metadata { entry, reason };
    let text = metadata
        .get(entry)
        .ok_or_else(|| error("missing".to_string()))?;
    serde_json::from_str(text).map_err(|reason| error(reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use proptest::prelude::*;
    use tendon_shared::normalize::Mode;
    use tendon_shared::topology::TopologyId;

    fn example() -> (Classifier, Description) {
        let config = EncoderConfig {
            width: 2,
            dim: 4,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let encoder = config.init(3, &Device::flex()).unwrap();
        let description = Description {
            config,
            normalize: NormalizeSpec {
                mode: Mode::Product,
                frames: 8,
                bodies: 1,
            },
            classes: vec!["sit".to_string(), "stand".to_string()],
            temperature: Some(1.5),
            provenance: Provenance {
                method: "test".to_string(),
                ..Provenance::default()
            },
            seen: vec![1, u64::MAX],
        };
        (Classifier::new(encoder, 4, 2, 5), description)
    }

    fn bytes() -> Vec<u8> {
        let (model, description) = example();
        encode(&model.encoder, Some(&model.classifier), &description)
    }

    #[test]
    fn labels_of_earlier_stages_are_not_forgotten() {
        let stage = |labels: &str, base| Provenance {
            labels: labels.to_string(),
            base,
            ..Provenance::default()
        };
        let first = stage("class names", None);
        let last = stage(
            "5 a class",
            Some(Box::new(stage("", Some(Box::new(first))))),
        );
        assert_eq!(last.all_labels(), ["5 a class", "class names"]);
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        let (model, description) = example();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoder.safetensors");
        save(&path, &model.encoder, Some(&model.classifier), &description).unwrap();
        let loaded = load(&path, &Device::flex()).unwrap();
        assert_eq!(collect(&loaded.encoder), collect(&model.encoder));
        assert_eq!(
            collect(&loaded.classifier.unwrap()),
            collect(&model.classifier)
        );
        assert_eq!(loaded.description, description);
    }

    #[test]
    fn the_same_weights_give_the_same_bytes() {
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn names_are_the_published_ones() {
        let (tensors, _) = container::decode(&bytes()).unwrap();
        for name in [
            "input_norm.gamma",
            "blocks.0.graph.weight",
            "blocks.0.graph.bias",
            "blocks.0.edge",
            "blocks.9.norm1.mean",
            "blocks.4.temporal.weight",
            "blocks.4.temporal.bias",
            "blocks.4.residual.weight",
            "blocks.4.residual.bias",
            "blocks.4.residual_norm.var",
            "blocks.9.norm2.beta",
            "classifier.weight",
            "classifier.bias",
        ] {
            assert!(tensors.contains_key(name), "{name}");
        }
        assert_eq!(tensors["blocks.4.temporal.weight"].shape, [9, 4, 4]);
        assert_eq!(tensors["input_norm.var"].shape, [60]);
    }

    #[test]
    fn refuses_a_missing_tensor_a_wrong_shape_and_nan() {
        let check = |change: fn(&mut crate::parameters::Named), expect: &str| {
            let (mut tensors, metadata) = container::decode(&bytes()).unwrap();
            change(&mut tensors);
            let error =
                decode(&container::encode(&tensors, &metadata), &Device::flex()).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        check(
            |tensors| {
                tensors.remove("blocks.3.edge");
            },
            "tensor blocks.3.edge is missing",
        );
        check(
            |tensors| tensors.get_mut("input_norm.beta").unwrap().shape = vec![30, 2],
            "tensor input_norm.beta has shape [30, 2], the configuration asks for [60]",
        );
        check(
            |tensors| tensors.get_mut("input_norm.beta").unwrap().data[7] = f32::NAN,
            "tensor input_norm.beta holds a value that is not finite at index 7",
        );
    }

    #[test]
    fn refuses_a_truncated_file() {
        let bytes = bytes();
        let error = decode(&bytes[..bytes.len() - 1], &Device::flex()).unwrap_err();
        assert!(
            matches!(error, WeightsError::Container(ContainerError::Malformed(_))),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &Device::flex());
        }

        #[test]
        fn any_change_of_the_header_never_panics(at in 8_usize..2000, byte in any::<u8>()) {
            let mut bytes = bytes();
            bytes[at] = byte;
            let _ = decode(&bytes, &Device::flex());
        }
    }
}
