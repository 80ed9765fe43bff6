//! The DSTA encoder: eight layers in which every joint attends to every other, shared by all bodies.
//!
//! Spatial attention only: which joints look at which is the same for all frames of a window and differs between windows. It needs
//! no graph, so it works with any topology. The device's int8 engine does not run it.
//!
//! # Source
//! PSP Learning's code, after DSTA-Net. Convolutions in front of a BatchNorm have no bias here: theirs starts at zero and has no
//! gradient. Dropout, which PSP Learning does not use, stands before the last residual of a layer, as in ST-GCN.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Tensor, TensorData};

use crate::attention::{heads, similarity};
use crate::encoder::EncoderConfig;
use crate::init::{Initializer, kaiming};
use crate::leaky::{SLOPE, leaky_sum};
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};
use crate::temporal::{TemporalConv, every};

/// Attention heads of a layer.
pub const HEADS: usize = 4;
/// Layers.
pub const LAYERS: usize = 8;
/// Taps of the temporal convolution.
const TAPS: usize = 7;
/// Base of the joint code's wavelengths.
const WAVELENGTHS: f32 = 10_000.0;

/// The shape of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// Channels in.
    pub input: usize,
    /// Channels out; a quarter of them are compared in each head.
    pub output: usize,
    /// Every `stride`-th frame is kept.
    pub stride: usize,
}

/// A 1x1 convolution and its BatchNorm.
#[derive(Module, Debug)]
pub struct Mapped {
    /// `[channel in] -> [channel out]`, without bias.
    pub linear: Linear,
    /// Behind it.
    pub norm: BatchNorm,
}

impl Mapped {
    fn new(input: usize, output: usize, init: &mut Initializer<'_>) -> Self {
        Self {
            linear: init.kaiming(input, output),
            norm: BatchNorm::neutral(output, init),
        }
    }

    /// `[row, channel in] -> [row, channel out]`
    fn forward(&self, rows: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.norm.forward(self.linear.forward(rows), pass)
    }
}

/// Attention among joints, a feed-forward step, a convolution along time.
#[derive(Module, Debug)]
pub struct DstaLayer {
    /// The joints' code, `[joint, channel in]`; a constant.
    code: Tensor<2>,
    /// `[channel in] -> [head * compared]`.
    pub query: Linear,
    /// `[channel in] -> [head * compared]`.
    pub key: Linear,
    /// Weight of what a window says about its joints, `[head]`.
    pub alpha: Param<Tensor<1>>,
    /// What holds for all windows, `[head, source joint, target joint]`.
    pub relation: Param<Tensor<3>>,
    /// Mixes what the heads gathered, `[head * channel in] -> [channel out]`.
    pub gather: Mapped,
    /// Residual around the attention, where the shape changes.
    pub gather_residual: Option<Mapped>,
    /// The feed-forward step.
    pub feed: Mapped,
    /// Residual around attention and feed-forward step, where the shape changes.
    pub feed_residual: Option<Mapped>,
    /// Temporal convolution.
    pub temporal: TemporalConv,
    /// After the temporal convolution.
    pub temporal_norm: BatchNorm,
    /// Residual around the temporal convolution, where the layer's shape changes.
    pub temporal_residual: Option<Mapped>,
    /// Every `stride`-th frame is kept.
    pub stride: usize,
    /// Dropout rate, 0..1.
    pub dropout: f64,
}

impl DstaLayer {
    fn new(spec: LayerSpec, joints: usize, dropout: f64, init: &mut Initializer<'_>) -> Self {
        let LayerSpec {
            input,
            output,
            stride,
        } = spec;
        let attended = |init: &mut Initializer<'_>| Linear {
            bias: Some(init.constant([output], 0.0)),
            ..init.kaiming(input, output)
        };
        let changes = input != output || stride != 1;
        let residual = |input, init: &mut _| changes.then(|| Mapped::new(input, output, init));
        let shape = [joints, input];
        let code = TensorData::new(joint_code(joints, input), shape);
        Self {
            code: Tensor::from_data(code, init.device()),
            query: attended(init),
            key: attended(init),
            alpha: init.constant([HEADS], 1.0),
            relation: init.constant([HEADS, joints, joints], 1.0 / joints as f32),
            gather: Mapped::new(HEADS * input, output, init),
            gather_residual: residual(input, init),
            feed: Mapped::new(output, output, init),
            feed_residual: residual(input, init),
            temporal: TemporalConv::with([TAPS, output, output], kaiming(TAPS * output), init),
            temporal_norm: BatchNorm::neutral(output, init),
            temporal_residual: residual(output, init),
            stride,
            dropout,
        }
    }

    /// Runs the layer.
    ///
    /// # Shapes
    /// `[batch, joint, frame, channel in] -> [batch, joint, ceil(frame / stride), channel out]`
    pub fn forward(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [batch, joint, frame, input] = x.dims();
        let [_, output] = self.query.weight.dims();
        let rows = x.clone().reshape([batch * joint * frame, input]);
        let gathered = self.gather.norm.forward(self.gathered(x), pass);
        let around = residual(self.gather_residual.as_ref(), rows.clone(), pass);
        let y = leaky_sum(around, gathered);
        let fed = self.feed.forward(y, pass);
        let y = leaky_sum(residual(self.feed_residual.as_ref(), rows, pass), fed);

        let kept = frame.div_ceil(self.stride);
        let y = y.reshape([batch, joint, frame, output]);
        let moved = self.temporal.forward(y.clone(), self.stride);
        let moved = moved.reshape([batch * joint * kept, output]);
        let moved = self.temporal_norm.forward(moved, pass);
        let moved = match pass.dropout(vec![moved.clone()], self.dropout).pop() {
            Some(dropped) => dropped,
            None => moved,
        };
        let y = match self.stride {
            1 => y,
            stride => every(y, 0, kept, stride),
        };
        let y = y.reshape([batch * joint * kept, output]);
        let y = leaky_sum(residual(self.temporal_residual.as_ref(), y, pass), moved);
        y.reshape([batch, joint, kept, output])
    }

    /// How much each joint looks at each other one.
    ///
    /// # Shapes
    /// `[batch, joint, frame, channel in] -> [head, batch, source joint, target joint]`
    pub fn attention(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, joint, ..] = x.dims();
        let query = heads(&self.query, x.clone(), Some(&self.code), HEADS);
        let key = heads(&self.key, x, Some(&self.code), HEADS);
        let own = similarity(query, key);
        let shared = self.relation.val().reshape([HEADS, 1, joint, joint]);
        own * self.alpha.val().reshape([HEADS, 1, 1, 1]) + shared
    }

    /// What the heads gather, mixed: `[batch, joint, frame, channel in] -> [row, channel out]`.
    fn gathered(&self, x: Tensor<4>) -> Tensor<2> {
        let [batch, joint, frame, input] = x.dims();
        let attention = self.attention(x.clone());
        let x = x.reshape([batch, joint, frame * input]);
        let weight = self.gather.linear.weight.val();
        let part = |head: usize| {
            let attention = attention.clone().narrow(0, head, 1);
            let attention = attention.reshape([batch, joint, joint]).transpose();
            let rows = attention.matmul(x.clone());
            let weight = weight.clone().narrow(0, head * input, input);
            rows.reshape([batch * joint * frame, input]).matmul(weight)
        };
        (1..HEADS).fold(part(0), |sum, head| sum + part(head))
    }

    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        // The order of `forward`.
        fn of(mapped: &mut Option<Mapped>) -> impl Iterator<Item = &mut BatchNorm> {
            mapped.iter_mut().map(|mapped| &mut mapped.norm)
        }
        let mut norms = vec![&mut self.gather.norm];
        norms.extend(of(&mut self.gather_residual));
        norms.push(&mut self.feed.norm);
        norms.extend(of(&mut self.feed_residual));
        norms.push(&mut self.temporal_norm);
        norms.extend(of(&mut self.temporal_residual));
        norms
    }
}

/// The input itself, or mapped where the shape changes.
fn residual(mapped: Option<&Mapped>, rows: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
    match mapped {
        Some(mapped) => mapped.forward(rows, pass),
        None => rows,
    }
}

/// The code of every joint's number, `[joint, channel]`: sines in even channels, cosines in odd ones.
fn joint_code(joints: usize, channels: usize) -> Vec<f32> {
    let value = |joint: usize, channel: usize| {
        let rate = WAVELENGTHS.powf(-((channel / 2 * 2) as f32) / channels as f32);
        let angle = joint as f32 * rate;
        if channel.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }
    };
    let of = |joint| (0..channels).map(move |channel| value(joint, channel));
    (0..joints).flat_map(of).collect()
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Dsta {
    /// Lifts coordinates to channels.
    pub input: Mapped,
    /// The eight layers.
    pub layers: Vec<DstaLayer>,
    /// Leaves absent bodies out.
    pub body_mask: bool,
}

impl Dsta {
    /// A new encoder of a valid configuration.
    pub(crate) fn new(config: &EncoderConfig, init: &mut Initializer<'_>) -> Self {
        let specs = config.layers();
        let layer = |spec: &LayerSpec, init: &mut _| {
            DstaLayer::new(*spec, config.joints(), config.dropout, init)
        };
        Self {
            input: Mapped::new(config.channels(), specs[0].input, init),
            layers: specs.iter().map(|spec| layer(spec, init)).collect(),
            body_mask: config.body_mask,
        }
    }

    /// Features in the internal layout.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame / 4, dim]`
    pub fn features(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [batch, channel, frame, joint] = x.dims();
        let rows = x
            .permute([0, 3, 2, 1])
            .reshape([batch * joint * frame, channel]);
        let rows = leaky_relu(self.input.forward(rows, pass), f64::from(SLOPE));
        let [_, width] = rows.dims();
        let x = rows.reshape([batch, joint, frame, width]);
        self.layers
            .iter()
            .fold(x, |x, layer| layer.forward(x, pass))
    }
}

impl Normalized for Dsta {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.input.norm];
        norms.extend(self.layers.iter_mut().flat_map(DstaLayer::norms));
        norms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{Encoder, EncoderKind, parameter_count};
    use burn::tensor::{Device, Distribution};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use tendon_shared::topology::TopologyId;

    fn config(topology: TopologyId) -> EncoderConfig {
        EncoderConfig {
            kind: EncoderKind::Dsta,
            width: 4,
            dim: 8,
            ..EncoderConfig::small(topology, 10, 1)
        }
    }

    fn dsta(config: &EncoderConfig) -> Dsta {
        match config.init(0, &Device::flex()).unwrap() {
            Encoder::Dsta(encoder) => encoder,
            Encoder::StGcn(_) => unreachable!(),
        }
    }

    // By hand, channels 4: rates 1 and 10000^(-2/4) = 0.01.
    #[test]
    fn the_joint_code_by_hand() {
        let code = joint_code(3, 4);
        let expect = |joint: f32| {
            let slow = 0.01 * joint;
            [joint.sin(), joint.cos(), slow.sin(), slow.cos()]
        };
        for (joint, found) in code.chunks(4).enumerate() {
            for (found, expect) in found.iter().zip(expect(joint as f32)) {
                assert!((found - expect).abs() < 1e-6);
            }
        }
    }

    // The published network has 4.20 M parameters on 25 joints; 4,032 of them are biases before a BatchNorm, left out here.
    #[test]
    fn the_published_size_has_the_published_number_of_parameters() {
        let config = EncoderConfig {
            kind: EncoderKind::Dsta,
            width: 64,
            dim: 256,
            ..EncoderConfig::small(TopologyId::Ntu25, 50, 2)
        };
        let specs = config
            .layers()
            .map(|spec| [spec.input, spec.output, spec.stride]);
        let rest = [[256, 256, 1]; 3];
        let first = [
            [64, 64, 1],
            [64, 64, 1],
            [64, 128, 2],
            [128, 128, 1],
            [128, 256, 2],
        ];
        assert_eq!(specs[..5], first);
        assert_eq!(specs[5..], rest);
        assert_eq!(parameter_count(&dsta(&config)) + 4_032, 4_200_896);
    }

    #[test]
    fn every_topology_has_features_of_a_quarter_of_the_frames() {
        for topology in TopologyId::ALL {
            let config = config(topology);
            let joints = config.joints();
            let x = Tensor::random([2, 3, 10, joints], Distribution::Default, &Device::flex());
            let features = dsta(&config).features(x, &mut Pass::Infer);
            assert_eq!(features.dims(), [2, joints, config.feature_frames(), 8]);
        }
    }

    #[test]
    fn attention_starts_around_an_equal_share() {
        let device = Device::flex();
        let layer = &dsta(&config(TopologyId::Sbu15)).layers[0];
        let still = Tensor::zeros([1, 15, 4, 4], &device);
        let found = layer.attention(still.clone());
        assert_eq!(found.dims(), [HEADS, 1, 15, 15]);
        let x = Tensor::random([1, 15, 4, 4], Distribution::Default, &device);
        let apart = (layer.attention(x) - 1.0 / 15.0).abs().max();
        // A hyperbolic tangent, times one.
        assert!(apart.into_scalar::<f32>() <= 1.0);
    }

    #[test]
    fn dropout_changes_a_training_pass_only() {
        let config = EncoderConfig {
            dropout: 0.5,
            ..config(TopologyId::Sbu15)
        };
        let (with, without) = (dsta(&config), dsta(&self::config(TopologyId::Sbu15)));
        let x = Tensor::random([4, 3, 10, 15], Distribution::Default, &Device::flex());
        let apart = |pass: fn() -> Pass| {
            let found = with.features(x.clone(), &mut pass());
            let expected = without.features(x.clone(), &mut pass());
            (found - expected).abs().max().into_scalar::<f32>()
        };
        assert_eq!(apart(|| Pass::Infer), 0.0);
        assert!(apart(|| Pass::train(ChaCha8Rng::seed_from_u64(0))) > 0.1);
    }
}
