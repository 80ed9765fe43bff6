//! The ST-GCN encoder: ten blocks over the skeleton's graph and time, shared by all bodies.
//!
//! Windows come from `tendon_shared::normalize` and `stream::stack`; features go to heads, classifiers
//! and, after quantization, to the int8 engine. Pooling and the mean over bodies are in [`crate::bodies`].

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use tendon_shared::limits::{MAX_BODIES, MAX_STREAMS, MAX_WINDOW_FRAMES};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

use crate::block::{Block, BlockSpec};
use crate::bodies::Bodies;
use crate::graph::{Adjacency, GraphKind, SUBSETS};
use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};
use crate::shards;

/// Number of blocks.
pub const BLOCKS: usize = 10;
/// Blocks that the device keeps frozen in int8; the rest is the adaptable tail.
pub const TRUNK_BLOCKS: usize = 8;

/// Everything that determines an encoder's shape and its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Skeleton standard of the windows.
    pub topology: TopologyId,
    /// Adjacency matrices.
    pub graph: GraphKind,
    /// Streams stacked on the channel axis, three channels each.
    pub streams: Vec<Stream>,
    /// Frames of a window.
    pub frames: usize,
    /// Bodies of a window.
    pub bodies: usize,
    /// Channels of the first blocks (16 in the contrastive papers, 64 in the supervised one).
    pub width: usize,
    /// Channels of the features.
    pub dim: usize,
    /// Dropout rate of blocks 2 to 10, 0..1.
    pub dropout: f64,
    /// Leaves absent bodies out of BatchNorm and of the mean (product mode) instead of feeding zeros (paper mode).
    pub body_mask: bool,
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
            topology,
            graph: GraphKind::SpatialHop1 {
                true_distances: true,
            },
            streams: vec![Stream::Joint],
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

    /// Input channels: three a stream.
    pub fn channels(&self) -> usize {
        3 * self.streams.len()
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

    /// A new encoder; the same seed gives the same weights on every backend.
    ///
    /// # Errors
    /// The configuration is out of range.
    pub fn init(&self, seed: u64, device: &Device) -> Result<StGcn, ConfigError> {
        self.validate()?;
        let mut init = Initializer::new(seed, device);
        let joints = self.joints();
        let adjacency = Adjacency::new(self.topology.topology(), self.graph);
        let shape = [SUBSETS, joints, joints];
        Ok(StGcn {
            input_norm: BatchNorm::new(joints * self.channels(), &mut init),
            blocks: self
                .blocks()
                .map(|spec| Block::new(spec, joints, self.dropout, &mut init))
                .into(),
            adjacency: Tensor::from_data(TensorData::new(adjacency.values, shape), device),
            body_mask: self.body_mask,
            devices: Vec::new(),
        })
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct StGcn {
    /// BatchNorm of the input; channel index `joint * channels + channel`.
    pub input_norm: BatchNorm,
    /// The ten blocks.
    pub blocks: Vec<Block>,
    adjacency: Tensor<3>,
    body_mask: bool,
    /// See [`StGcn::share`].
    #[module(skip)]
    devices: Vec<Device>,
}

impl StGcn {
    /// Shares the rows of every training pass among `devices`. The first is the encoder's own and keeps the weights; the
    /// others get copies in each pass, and their gradients flow back. BatchNorm and dropout see one batch, so the
    /// result is that of one device but for rounding. Fewer than two devices, and inference, mean the own device alone.
    pub fn share(&mut self, devices: &[Device]) {
        self.devices = devices.to_vec();
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
        let x = self.normalized(x, pass);
        shards::join(self.run(&self.blocks, x, pass))
    }

    /// Input normalisation and blocks 1 to 8: what the device keeps frozen.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame / 4, 4 * width]`
    pub fn trunk(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let x = self.normalized(x, pass);
        shards::join(self.run(&self.blocks[..TRUNK_BLOCKS], x, pass))
    }

    /// Blocks 9 and 10.
    ///
    /// # Shapes
    /// `[batch, joint, frame, 4 * width] -> [batch, joint, frame, dim]`
    pub fn tail(&self, trunk: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        shards::join(self.run(&self.blocks[TRUNK_BLOCKS..], trunk, pass))
    }

    /// Pooled features of whole windows: mean over joints and frames, then over bodies.
    ///
    /// # Shapes
    /// - `x`: `[batch, body, channel, frame, joint]`
    /// - `presence`: one for each window; ignored in paper mode
    /// - output: `[batch, dim]`
    pub fn embed(&self, x: Tensor<5>, presence: &[Presence], pass: &mut Pass) -> Tensor<2> {
        let (rows, bodies) = self.fold(x, presence);
        let x = self.normalized(rows, pass);
        let parts = self.run(&self.blocks, x, pass);
        bodies.mean(shards::join(parts.into_iter().map(pool).collect()))
    }

    /// Puts bodies on the batch axis, without the absent ones if the encoder masks them.
    pub fn fold(&self, x: Tensor<5>, presence: &[Presence]) -> (Tensor<4>, Bodies) {
        Bodies::fold(x, presence, self.body_mask)
    }

    /// The adjacency times a block's edge importance: what a folded or quantized block uses.
    ///
    /// # Shapes
    /// `[subset, source joint, target joint]`
    pub fn weighted_adjacency(&self, block: usize) -> Tensor<3> {
        self.adjacency.clone() * self.blocks[block].edge.val()
    }

    /// The input's BatchNorm, in the internal layout.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame, channel]`
    fn normalized(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [batch, channel, frame, joint] = x.dims();
        let rows = x
            .permute([0, 2, 3, 1])
            .reshape([batch * frame, joint * channel]);
        let rows = self.input_norm.forward(rows, pass);
        rows.reshape([batch, frame, joint, channel])
            .permute([0, 2, 1, 3])
    }

    /// Some blocks, in the internal layout; what each device has of the result, the own one first.
    fn run(&self, blocks: &[Block], x: Tensor<4>, pass: &mut Pass) -> Vec<Tensor<4>> {
        let parts = match pass {
            Pass::Train(_) => shards::cut(x, &self.devices),
            Pass::Infer => vec![x],
        };
        let adjacency = shards::copies(self.adjacency.clone(), &parts);
        blocks.iter().fold(parts, |mut parts, block| {
            if parts.len() == 1 {
                let x = parts.remove(0);
                return vec![block.forward(x, adjacency[0].clone(), pass)];
            }
            let rest = parts[1..].iter();
            let copies: Vec<Block> = std::iter::once(block.clone())
                .chain(rest.map(|part| block.copy(&part.device())))
                .collect();
            Block::in_step(&copies, &adjacency, parts, pass)
        })
    }
}

impl Normalized for StGcn {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.input_norm];
        norms.extend(self.blocks.iter_mut().flat_map(Block::norms));
        norms
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
        let encoder = config.init(0, &Device::flex()).unwrap();
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
}
