//! The configuration of a pretraining run: one TOML file, no hidden defaults.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tendon_model::encoder::{ConfigError, EncoderConfig, EncoderKind};
use tendon_model::graph::GraphKind;
use tendon_model::optimizer::OptimizerConfig;
use tendon_shared::normalize::{Mode, NormalizeSpec};
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

use super::layers::{Layer, LayerError, Layers};
use super::partners::PartnersConfig;
use super::schedule::Schedule;
use crate::evaluate::labels::Amount;
use crate::method::{
    AimClrConfig, CmcsConfig, MsMclrConfig, PspConfig, RangeError, SkeleMixClrConfig,
    SkeleMoClrConfig, SkeletonClrConfig, TransferConfig, check,
};

/// Everything that determines a run's result, apart from the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Seed of weights, views and order.
    pub seed: u64,
    /// Windows of a step.
    pub batch: usize,
    /// Passes over the training windows.
    pub epochs: u64,
    /// Steps between checkpoints.
    pub checkpoint_steps: u64,
    /// Epochs between encoder files that are kept, to draw a curve; 0 keeps only the last.
    pub snapshot_epochs: u64,
    /// What a window looks like.
    pub window: WindowConfig,
    /// The encoder.
    pub encoder: EncoderSection,
    /// The method and its constants.
    pub method: MethodConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// Views of other persons' windows; nothing takes both views of the same window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partners: Option<PartnersConfig>,
    /// The nearest-neighbour monitor.
    pub monitor: MonitorConfig,
}

/// What a window looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Normalisation: `paper` or `product`.
    pub mode: Mode,
    /// Frames.
    pub frames: u16,
    /// Bodies.
    pub bodies: u8,
}

/// The encoder, but for what data and window decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSection {
    /// ST-GCN, which need not be named, or DSTA.
    #[serde(default, skip_serializing_if = "EncoderKind::is_default")]
    pub kind: EncoderKind,
    /// Adjacency matrices of an ST-GCN.
    pub graph: GraphKind,
    /// Streams stacked on the channel axis, or passing the encoder one after the other if the method is such.
    pub streams: Vec<Stream>,
    /// Channels of the first blocks.
    pub width: usize,
    /// Dimensions of the features.
    pub dim: usize,
    /// Dropout rate, 0..1.
    pub dropout: f64,
    /// Leaves absent bodies out.
    pub body_mask: bool,
}

/// The method and its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum MethodConfig {
    /// MoCo v2 on skeletons.
    SkeletonClr(SkeletonClrConfig),
    /// Regions of other windows, pasted in.
    SkeleMixClr(SkeleMixClrConfig),
    /// Networks that agree, and streams that vote.
    Cmcs(CmcsConfig),
    /// Extreme views that learn from normal ones.
    AimClr(AimClrConfig),
    /// AimCLR with motion at several scales.
    MsMclr(MsMclrConfig),
    /// A teacher's labels for what has none.
    SkeleMoClr(SkeleMoClrConfig),
    /// A vision-text model's embeddings as a teacher.
    Transfer(TransferConfig),
    /// Few labels, and joints that agree with their motion at three scales.
    Psp(PspConfig),
}

impl MethodConfig {
    /// The method's name in files and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SkeletonClr(_) => "skeletonclr",
            Self::SkeleMixClr(_) => "skelemixclr",
            Self::Cmcs(_) => "cmcs",
            Self::AimClr(_) => "aimclr",
            Self::MsMclr(_) => "msmclr",
            Self::SkeleMoClr(_) => "skelemoclr",
            Self::Transfer(_) => "transfer",
            Self::Psp(_) => "psp",
        }
    }

    /// How many labels the method uses, and which draw of them; nothing if it uses none.
    pub fn labels(&self) -> Option<(Amount, u64)> {
        match self {
            Self::SkeleMoClr(method) => Some((method.labels, method.draw)),
            Self::Transfer(method) => Some((method.labels, method.draw)),
            Self::Psp(method) => Some((method.labels, method.draw)),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn labels_mut(&mut self) -> Option<(&mut Amount, &mut u64)> {
        match self {
            Self::SkeleMoClr(method) => Some((&mut method.labels, &mut method.draw)),
            Self::Transfer(method) => Some((&mut method.labels, &mut method.draw)),
            Self::Psp(method) => Some((&mut method.labels, &mut method.draw)),
            _ => None,
        }
    }

    /// Checks the method's own numbers.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self, encoder: &EncoderConfig) -> Result<(), RangeError> {
        match self {
            Self::SkeletonClr(method) => method.validate(),
            Self::SkeleMixClr(method) => method.validate(encoder.feature_frames()),
            Self::Cmcs(method) => method.validate(encoder.streams.len()),
            Self::AimClr(method) => method.validate(),
            Self::MsMclr(method) => method.validate(),
            Self::SkeleMoClr(method) => method.validate(),
            Self::Transfer(method) => method.validate(),
            Self::Psp(method) => method.validate(encoder),
        }
    }
}

/// The nearest-neighbour monitor; it uses labels of training windows, only to report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorConfig {
    /// Epochs between evaluations; 0 turns the monitor off.
    pub epochs: u64,
    /// Training subjects (the highest numbers) whose windows are classified by the others'.
    pub subjects: usize,
    /// Neighbours that vote.
    pub neighbours: usize,
}

/// A configuration that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PretrainConfigError {
    /// Not TOML, or a field is missing, unknown or of the wrong type.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// The encoder is out of range.
    #[error(transparent)]
    Encoder(#[from] ConfigError),
    /// A number is out of range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// A change cannot be made.
    #[error(transparent)]
    Change(#[from] LayerError),
    /// What the file says for one split or set; for which, and what is wrong.
    #[error("{0}{1}")]
    Layer(String, Box<PretrainConfigError>),
}

impl PretrainConfig {
    /// Reads and checks a configuration; what it says for some splits or sets is checked, too, and not used.
    ///
    /// # Errors
    /// The text is not a configuration or a value is out of range; the message names line or field.
    pub fn parse(text: &str) -> Result<Self, PretrainConfigError> {
        Layers::parse(text)?.config(None, &Layer::default())
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), PretrainConfigError> {
        // Any topology will do to check the encoder's own fields.
        let encoder = self.encoder(TopologyId::Kinect20);
        encoder.validate()?;
        check(self.batch >= 2, "batch", &self.batch, "at least 2")?;
        check(self.epochs >= 1, "epochs", &self.epochs, "at least 1")?;
        check(
            self.checkpoint_steps >= 1,
            "checkpoint_steps",
            &self.checkpoint_steps,
            "at least 1",
        )?;
        check(
            self.schedule.rate > 0.0,
            "schedule.rate",
            &self.schedule.rate,
            "above 0",
        )?;
        if let Some(partners) = self.partners {
            partners.validate()?;
        }
        Ok(self.method.validate(&encoder)?)
    }

    /// The encoder for a data set's topology.
    pub fn encoder(&self, topology: TopologyId) -> EncoderConfig {
        EncoderConfig {
            kind: self.encoder.kind,
            topology,
            graph: self.encoder.graph,
            streams: self.encoder.streams.clone(),
            shared_streams: matches!(self.method, MethodConfig::Psp(_)),
            frames: usize::from(self.window.frames),
            bodies: usize::from(self.window.bodies),
            width: self.encoder.width,
            dim: self.encoder.dim,
            dropout: self.encoder.dropout,
            body_mask: self.encoder.body_mask,
        }
    }

    /// The normalisation of windows.
    pub fn normalize(&self) -> NormalizeSpec {
        let WindowConfig {
            mode,
            frames,
            bodies,
        } = self.window;
        NormalizeSpec {
            mode,
            frames,
            bodies,
        }
    }

    /// SHA-256 of all values, as hexadecimal text.
    pub fn digest(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Objective;
    use std::path::Path;

    fn shipped() -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/pretrain");
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .map(|path| {
                (
                    path.display().to_string(),
                    std::fs::read_to_string(&path).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn every_shipped_configuration_parses() {
        assert!(!shipped().is_empty());
        for (path, text) in shipped() {
            PretrainConfig::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    /// Methods whose `-paper.toml` says what is otherwise on each set.
    const METHODS: [&str; 8] = [
        "skeletonclr",
        "skelemixclr",
        "cmcs",
        "aimclr",
        "msmclr",
        "skelemoclr",
        "skelemoclr-transfer",
        "psp",
    ];

    /// Sets and splits that papers report.
    const PUBLISHED: [&str; 8] = [
        "ntu60-xsub",
        "ntu60-xview",
        "ntu120-xsub",
        "ntu120-xset",
        "pku-mmd-1",
        "pku-mmd-2",
        "nw-ucla",
        "utd-mhad",
    ];

    #[test]
    fn every_published_method_has_values_for_every_published_set() {
        for method in METHODS {
            let file = format!("/{method}-paper.toml");
            let shipped = shipped();
            let (path, text) = shipped
                .iter()
                .find(|(path, _)| path.ends_with(&file))
                .unwrap();
            let layers = Layers::parse(text).unwrap();
            for name in PUBLISHED {
                let config = layers.config(Some(name), &Layer::default());
                let config = config.unwrap_or_else(|error| panic!("{path}: {error}"));
                let single = ["nw-ucla", "utd-mhad"].contains(&name);
                assert_eq!(config.window.bodies, if single { 1 } else { 2 }, "{path}");
            }
        }
    }

    // CMCS's code: the only method whose epochs are another set's own.
    #[test]
    fn cmcs_has_the_published_epochs_of_each_set() {
        let text = include_str!("../../../configs/pretrain/cmcs-paper.toml");
        let layers = Layers::parse(text).unwrap();
        for (name, epochs) in [
            ("ntu60-xsub", [100, 60]),
            ("ntu60-xview", [100, 60]),
            ("ntu120-xsub", [80, 40]),
            ("ntu120-xset", [80, 40]),
            ("pku-mmd-1", [150, 100]),
            ("pku-mmd-2", [250, 200]),
        ] {
            let config = layers.config(Some(name), &Layer::default()).unwrap();
            let MethodConfig::Cmcs(CmcsConfig {
                objective: Objective::Cscl { from_epoch, .. },
                ..
            }) = config.method
            else {
                panic!("{name} has another objective");
            };
            assert_eq!([config.epochs, from_epoch], epochs, "{name}");
        }
    }

    #[test]
    fn every_shipped_value_has_a_comment() {
        for (path, text) in shipped() {
            for line in text
                .lines()
                .filter(|line| line.contains('=') && !line.trim_start().starts_with('#'))
            {
                assert!(line.contains('#'), "{path}: no unit or source: {line}");
            }
        }
    }

    #[test]
    fn a_misspelt_field_is_refused_by_name() {
        let (_, text) = shipped().remove(0);
        let error = PretrainConfig::parse(&format!("epocs = 3\n{text}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("epocs"), "{error}");
    }

    #[test]
    fn the_digest_depends_on_every_value() {
        let (_, text) = shipped().remove(0);
        let config = PretrainConfig::parse(&text).unwrap();
        let other = PretrainConfig {
            seed: config.seed + 1,
            ..config.clone()
        };
        assert_ne!(config.digest(), other.digest());
        assert_eq!(config.digest().len(), 64);
    }
}
