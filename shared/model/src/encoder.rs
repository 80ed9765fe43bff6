//! An encoder of either kind, [`StGcn`] or [`Dsta`], and the configuration that names its kind and shape.
//!
//! Windows come from `tendon_shared::normalize` and `stream::stack`; features go to heads, classifiers
//! and, after quantization of an ST-GCN, to the int8 engine. Pooling and the mean over bodies are in [`crate::bodies`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tendon_shared::limits::{MAX_BODIES, MAX_STREAMS, MAX_WINDOW_FRAMES};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

use crate::block::BlockSpec;
use crate::bodies::Bodies;
use crate::dsta::{Dsta, HEADS, LAYERS, LayerSpec};
use crate::graph::GraphKind;
use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};
use crate::st_gcn::{BLOCKS, StGcn};

/// What an encoder is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// Convolutions along the skeleton's graph and time. Files that name no kind hold one of these.
    #[default]
    StGcn,
    /// Attention among joints, convolutions along time. The device's int8 engine does not run it.
    Dsta,
}

impl EncoderKind {
    /// Whether it is the kind that files need not name.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that determines an encoder's shape and its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// ST-GCN or DSTA.
    #[serde(default, skip_serializing_if = "EncoderKind::is_default")]
    pub kind: EncoderKind,
    /// Skeleton standard of the windows.
    pub topology: TopologyId,
    /// Adjacency matrices of an ST-GCN; a DSTA learns who looks at whom.
    pub graph: GraphKind,
    /// Streams stacked on the channel axis, three channels each.
    pub streams: Vec<Stream>,
    /// The streams are not one input: each passes the same encoder of three channels by itself, and their embeddings are
    /// averaged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shared_streams: bool,
    /// Frames of a window.
    pub frames: usize,
    /// Bodies of a window.
    pub bodies: usize,
    /// Channels of the first blocks or layers (ST-GCN: 16 in the contrastive papers, 64 in the supervised one; DSTA: 64).
    pub width: usize,
    /// Channels of the features.
    pub dim: usize,
    /// Dropout rate of blocks 2 to 10 of an ST-GCN, of all layers of a DSTA, 0..1.
    pub dropout: f64,
    /// Leaves absent bodies out of BatchNorm and of the mean (product mode) instead of feeding zeros (paper mode).
    pub body_mask: bool,
}

/// For fields that stored files name only when they are set.
fn is_false(value: &bool) -> bool {
    !value
}

/// An encoder that only the host can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {remedy}")]
pub struct HostOnly {
    what: &'static str,
    remedy: &'static str,
}

/// A configuration that describes no usable encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encoder: {field} is {found}, it must be {expected}")]
pub struct ConfigError {
    field: &'static str,
    found: String,
    expected: String,
}

impl EncoderConfig {
    /// The small default: joints only, true graph distances, width 16, 256 features, no dropout, absent bodies masked.
    pub fn small(topology: TopologyId, frames: usize, bodies: usize) -> Self {
        Self {
            kind: EncoderKind::StGcn,
            topology,
            graph: GraphKind::SpatialHop1 {
                true_distances: true,
            },
            streams: vec![Stream::Joint],
            shared_streams: false,
            frames,
            bodies,
            width: 16,
            dim: 256,
            dropout: 0.0,
            body_mask: true,
        }
    }

    /// Joints of the topology.
    pub fn joints(&self) -> usize {
        self.topology.topology().joint_count()
    }

    /// The same encoder for other streams; a single one shares with nobody.
    #[must_use]
    pub fn with_streams(self, streams: Vec<Stream>) -> Self {
        Self {
            shared_streams: self.shared_streams && streams.len() > 1,
            streams,
            ..self
        }
    }

    /// Channels of a window: three a stream.
    pub fn window_channels(&self) -> usize {
        3 * self.streams.len()
    }

    /// Input channels of the encoder: those of a window, unless its streams pass apart.
    pub fn channels(&self) -> usize {
        match self.shared_streams {
            true => 3,
            false => self.window_channels(),
        }
    }

    /// Whether the int8 engine and ONNX can express this encoder.
    ///
    /// # Errors
    /// It is a DSTA, or its streams pass apart; the message says what to do instead.
    pub fn check_stacked_st_gcn(&self) -> Result<(), HostOnly> {
        let refused = |what, remedy| Err(HostOnly { what, remedy });
        match (self.kind, self.shared_streams) {
            (EncoderKind::StGcn, false) => Ok(()),
            (EncoderKind::Dsta, _) => refused(
                "this encoder is a DSTA, and only ST-GCN encoders have an int8 and an ONNX form",
                "pretrain one with kind = \"st_gcn\" in [encoder] (psp can, see configs/pretrain/psp-small.toml), then finetune its \
                 encoder-joint.safetensors",
            ),
            (EncoderKind::StGcn, true) => refused(
                "this encoder sees its streams one after the other, and the int8 and the ONNX form see them stacked",
                "finetune the encoder-joint.safetensors of the same run",
            ),
        }
    }

    /// Frames of the features, a quarter of the window's.
    pub fn feature_frames(&self) -> usize {
        self.frames.div_ceil(2).div_ceil(2)
    }

    /// Checks every field against the limits of the engine and of memory.
    ///
    /// # Errors
    /// Names the first field out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let within = |field, found: usize, low: usize, high: usize| {
            if (low..=high).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError {
                    field,
                    found: found.to_string(),
                    expected: format!("{low} to {high}"),
                })
            }
        };
        within("streams", self.streams.len(), 1, MAX_STREAMS)?;
        within("frames", self.frames, 4, MAX_WINDOW_FRAMES)?;
        within("bodies", self.bodies, 1, MAX_BODIES)?;
        within("width", self.width, 1, 128)?;
        within("dim", self.dim, 1, 1024)?;
        if self.kind == EncoderKind::Dsta {
            for (field, found) in [("width", self.width), ("dim", self.dim)] {
                if !found.is_multiple_of(HEADS) {
                    return Err(ConfigError {
                        field,
                        found: found.to_string(),
                        expected: format!("a multiple of {HEADS} in a dsta encoder"),
                    });
                }
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let expected = "at least 0 and below 1".to_string();
            return Err(ConfigError {
                field: "dropout",
                found: self.dropout.to_string(),
                expected,
            });
        }
        Ok(())
    }

    /// The shapes of the ten blocks.
    ///
    /// # Source
    /// ST-GCN as in CrosSCLR, AimCLR, SkeleMixCLR and CMCS: widths h, 2h, 4h, then the feature dimension.
    pub fn blocks(&self) -> [BlockSpec; BLOCKS] {
        let (h, channels) = (self.width, self.channels());
        let spec = |input, output, stride| BlockSpec {
            input,
            output,
            stride,
            residual: true,
        };
        [
            BlockSpec {
                input: channels,
                output: h,
                stride: 1,
                residual: false,
            },
            spec(h, h, 1),
            spec(h, h, 1),
            spec(h, h, 1),
            spec(h, 2 * h, 2),
            spec(2 * h, 2 * h, 1),
            spec(2 * h, 2 * h, 1),
            spec(2 * h, 4 * h, 2),
            spec(4 * h, 4 * h, 1),
            spec(4 * h, self.dim, 1),
        ]
    }

    /// The shapes of a DSTA's eight layers.
    ///
    /// # Source
    /// PSP Learning's code: widths 64, 128 and, from the fifth layer on, 256, which are `width`, twice that, and `dim`.
    pub fn layers(&self) -> [LayerSpec; LAYERS] {
        let (h, dim) = (self.width, self.dim);
        [
            (h, h, 1),
            (h, h, 1),
            (h, 2 * h, 2),
            (2 * h, 2 * h, 1),
            (2 * h, dim, 2),
            (dim, dim, 1),
            (dim, dim, 1),
            (dim, dim, 1),
        ]
        .map(|(input, output, stride)| LayerSpec {
            input,
            output,
            stride,
        })
    }

    /// A new encoder; the same seed gives the same weights on every backend.
    ///
    /// # Errors
    /// The configuration is out of range.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Encoder, ConfigError> {
        self.validate()?;
        let mut init = Initializer::new(seed, device);
        Ok(match self.kind {
            EncoderKind::StGcn => Encoder::StGcn(StGcn::new(self, &mut init)),
            EncoderKind::Dsta => Encoder::Dsta(Dsta::new(self, &mut init)),
        })
    }
}

/// An encoder of either kind. Parameters have the names that they have in the kind's own module.
#[derive(Module, Debug)]
pub enum Encoder {
    /// Along the skeleton's graph.
    StGcn(StGcn),
    /// By attention among joints.
    Dsta(Dsta),
}

impl Encoder {
    /// Has several devices share the rows of every training pass (see [`StGcn::share`]); whether this kind can.
    pub fn share(&mut self, devices: &[Device]) -> bool {
        match self {
            Self::StGcn(encoder) => {
                encoder.share(devices);
                true
            }
            Self::Dsta(_) => false,
        }
    }

    /// Where the weights live.
    pub fn device(&self) -> Device {
        match self {
            Self::StGcn(encoder) => encoder.input_norm.gamma.val().device(),
            Self::Dsta(encoder) => encoder.input.norm.gamma.val().device(),
        }
    }

    /// Sets the dropout rate of all layers that have dropout.
    pub fn set_dropout(&mut self, rate: f64) {
        match self {
            // The first block stays without.
            Self::StGcn(encoder) => {
                for block in encoder.blocks.iter_mut().skip(1) {
                    block.dropout = rate;
                }
            }
            Self::Dsta(encoder) => {
                for layer in &mut encoder.layers {
                    layer.dropout = rate;
                }
            }
        }
    }

    /// Features at inference.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, dim, frame / 4, joint]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.features(x, &mut Pass::Infer).permute([0, 3, 2, 1])
    }

    /// Features in the internal layout.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame / 4, dim]`
    pub fn features(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        match self {
            Self::StGcn(encoder) => encoder.features(x, pass),
            Self::Dsta(encoder) => encoder.features(x, pass),
        }
    }

    /// Pooled features of whole windows: mean over joints and frames, then over bodies and over streams that pass apart.
    ///
    /// # Shapes
    /// - `x`: `[batch, body, channel, frame, joint]`
    /// - `presence`: one for each window; ignored in paper mode
    /// - output: `[batch, dim]`
    pub fn embed(&self, x: Tensor<5>, presence: &[Presence], pass: &mut Pass) -> Tensor<2> {
        let (rows, bodies) = self.fold(x, presence);
        bodies.mean(match self {
            Self::StGcn(encoder) => encoder.pooled(rows, pass),
            Self::Dsta(encoder) => pool(encoder.features(rows, pass)),
        })
    }

    /// Puts bodies on the batch axis, without the absent ones if the encoder masks them. Windows with several times the
    /// encoder's channels hold several streams (see [`EncoderConfig::shared_streams`]), each of which becomes a row, too.
    ///
    /// # Shapes
    /// `[batch, body, stream * channel, frame, joint] -> [row, channel, frame, joint]`
    pub fn fold(&self, x: Tensor<5>, presence: &[Presence]) -> (Tensor<4>, Bodies) {
        let (channels, masked) = match self {
            Self::StGcn(encoder) => (encoder.blocks[0].graph.weight.dims()[1], encoder.body_mask),
            Self::Dsta(encoder) => (encoder.input.linear.weight.dims()[0], encoder.body_mask),
        };
        let [batch, body, channel, frame, joint] = x.dims();
        let streams = (channel / channels).max(1);
        let x = x.reshape([batch, body * streams, channel / streams, frame, joint]);
        Bodies::fold(x, presence, streams, masked)
    }
}

impl From<StGcn> for Encoder {
    fn from(encoder: StGcn) -> Self {
        Self::StGcn(encoder)
    }
}

impl Normalized for Encoder {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        match self {
            Self::StGcn(encoder) => encoder.norms(),
            Self::Dsta(encoder) => encoder.norms(),
        }
    }
}

/// Mean over joints and frames.
///
/// # Shapes
/// `[batch, joint, frame, channel] -> [batch, channel]`
pub fn pool(features: Tensor<4>) -> Tensor<2> {
    let [batch, joint, frame, channel] = features.dims();
    features
        .reshape([batch, joint * frame, channel])
        .mean_dim(1)
        .reshape([batch, channel])
}

/// Number of trained values of a module; buffers do not count.
pub fn parameter_count(module: &impl Module) -> usize {
    crate::parameters::collect(module)
        .iter()
        .filter(|(name, _)| !crate::parameters::is_buffer(name))
        .map(|(_, values)| values.data.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn config() -> EncoderConfig {
        EncoderConfig {
            width: 4,
            dim: 8,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 2)
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    // Golden counts of the published network on the 25-joint skeleton.
    #[test]
    fn last_blocks_have_the_published_number_of_parameters() {
        let config = EncoderConfig::small(TopologyId::Ntu25, 50, 2);
        let Encoder::StGcn(encoder) = config.init(0, &Device::flex()).unwrap() else {
            unreachable!("the small encoder is an ST-GCN")
        };
        assert_eq!(parameter_count(&encoder.blocks[9]), 660_051);
        assert_eq!(parameter_count(&encoder.blocks[8]), 51_539);
    }

    #[test]
    fn features_keep_a_quarter_of_the_frames() {
        for frames in [16, 30, 50] {
            let config = EncoderConfig { frames, ..config() };
            let device = Device::flex();
            let encoder = config.init(0, &device).unwrap();
            let x = Tensor::random([2, 3, frames, 20], Distribution::Default, &device);
            assert_eq!(
                encoder.forward(x).dims(),
                [2, 8, config.feature_frames(), 20]
            );
        }
    }

    #[test]
    fn an_absent_body_changes_nothing_when_masked() {
        let device = Device::flex();
        let encoder = config().init(1, &device).unwrap();
        let one = Tensor::random([2, 1, 3, 16, 20], Distribution::Default, &device);
        let two = Tensor::cat(
            vec![one.clone(), Tensor::zeros([2, 1, 3, 16, 20], &device)],
            1,
        );
        let alone = encoder.embed(one, &[Presence::FIRST; 2], &mut Pass::Infer);
        let padded = encoder.embed(two, &[Presence::FIRST; 2], &mut Pass::Infer);
        for (a, b) in values(alone).into_iter().zip(values(padded)) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn a_window_without_bodies_embeds_to_zero() {
        let device = Device::flex();
        let encoder = config().init(1, &device).unwrap();
        let x = Tensor::random([2, 2, 3, 16, 20], Distribution::Default, &device);
        let embedded = encoder.embed(x, &[Presence::NONE, Presence::FIRST], &mut Pass::Infer);
        let embedded = values(embedded);
        assert!(embedded[..8].iter().all(|value| *value == 0.0));
        assert!(embedded[8..].iter().any(|value| *value != 0.0));
    }

    #[test]
    fn refuses_configurations_out_of_range() {
        let check = |config: EncoderConfig, expect: &str| {
            assert_eq!(config.validate().unwrap_err().to_string(), expect);
        };
        check(
            EncoderConfig {
                frames: 3,
                ..config()
            },
            &format!("encoder: frames is 3, it must be 4 to {MAX_WINDOW_FRAMES}"),
        );
        check(
            EncoderConfig {
                streams: vec![],
                ..config()
            },
            "encoder: streams is 0, it must be 1 to 3",
        );
        check(
            EncoderConfig {
                dropout: 1.0,
                ..config()
            },
            "encoder: dropout is 1, it must be at least 0 and below 1",
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        let first = crate::parameters::collect(&config().init(7, &Device::flex()).unwrap());
        let second = crate::parameters::collect(&config().init(7, &Device::flex()).unwrap());
        assert_eq!(first, second);
        assert_ne!(
            first,
            crate::parameters::collect(&config().init(8, &Device::flex()).unwrap())
        );
    }

    #[test]
    fn streams_that_pass_apart_embed_to_their_mean() {
        let device = Device::flex();
        for kind in [EncoderKind::StGcn, EncoderKind::Dsta] {
            let config = EncoderConfig {
                kind,
                streams: vec![Stream::Joint, Stream::Motion],
                shared_streams: true,
                ..config()
            };
            let encoder = config.init(1, &device).unwrap();
            let x = Tensor::<5>::random([2, 2, 6, 16, 20], Distribution::Default, &device);
            let presence = [Presence::FIRST, Presence(3)];
            let embed = |x| encoder.embed(x, &presence, &mut Pass::Infer);
            let stream = |start| embed(x.clone().narrow(2, start, 3));
            let mean = (stream(0) + stream(3)) / 2.0;
            let largest = mean.clone().abs().max().into_scalar::<f32>();
            let apart = (embed(x.clone()) - mean).abs().max().into_scalar::<f32>();
            assert!(apart < 1e-5 * largest, "{kind:?}: {apart} of {largest}");
        }
    }

    // Files of earlier versions have neither field, and files of ordinary encoders are to stay readable by those.
    #[test]
    fn an_ordinary_configuration_names_neither_kind_nor_sharing() {
        let text = serde_json::to_string(&config()).unwrap();
        assert!(
            !text.contains("kind\":\"") && !text.contains("shared"),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<EncoderConfig>(&text).unwrap(),
            config()
        );
    }

    #[test]
    fn what_only_the_host_can_run_says_what_to_do() {
        let dsta = EncoderConfig {
            kind: EncoderKind::Dsta,
            ..config()
        };
        let error = dsta.check_stacked_st_gcn().unwrap_err().to_string();
        assert!(error.contains("kind = \"st_gcn\""), "{error}");
        let shared = EncoderConfig {
            shared_streams: true,
            ..config()
        };
        let error = shared.check_stacked_st_gcn().unwrap_err().to_string();
        assert!(error.contains("encoder-joint.safetensors"), "{error}");
        assert_eq!(config().check_stacked_st_gcn(), Ok(()));
    }
}
