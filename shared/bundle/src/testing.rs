//! Small random encoders and bundles for tests of other crates. No trained weights, but every rule of the formats holds.

use crate::blob::{AdjacencyTables, BlockTables, EncoderTables, LayerTables, ResidualTables};
use crate::{Contents, SecretKey};
use tendon_engine::Encoder;
use tendon_engine::format::{SUBSETS, TAPS};
use tendon_shared::manifest::{FORMAT_VERSION, Manifest};
use tendon_shared::normalize::{Mode, NormalizeSpec, PREPROCESSING_VERSION};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

/// A counter-based stream of numbers (SplitMix64), so that tests need no dependency and no clock.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Starts a stream.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns the next number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() >> 32) as usize % limit.max(1)
    }

    /// Returns the next number of -1.0..1.0.
    pub fn unit(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn weight(&mut self) -> i8 {
        (self.below(255) as i32 - 127) as i8
    }
}

/// The shape of a random encoder.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Joints.
    pub joints: usize,
    /// Bodies.
    pub bodies: usize,
    /// Input channels.
    pub channels: usize,
    /// Frames.
    pub frames: usize,
    /// Classes.
    pub classes: usize,
    /// Output channels and time stride of each block.
    pub blocks: Vec<(usize, usize)>,
    /// Blocks of the trunk.
    pub trunk_blocks: usize,
    /// Whether absent bodies are left out.
    pub body_mask: bool,
}

impl Shape {
    /// Returns the shape of the ST-GCN with ten blocks of the usual width: 16 channels at first, 256 features.
    #[must_use]
    pub fn usual(joints: usize, frames: usize, classes: usize) -> Self {
        let mut shape = Self::small(joints, frames, classes);
        for (output, _) in &mut shape.blocks {
            *output *= 4;
        }
        if let Some((output, _)) = shape.blocks.last_mut() {
            *output = 256;
        }
        shape
    }

    /// Returns the shape of the ST-GCN with ten blocks, at a quarter of the usual width.
    #[must_use]
    pub fn small(joints: usize, frames: usize, classes: usize) -> Self {
        let blocks = [
            (4, 1),
            (4, 1),
            (4, 1),
            (4, 1),
            (8, 2),
            (8, 1),
            (8, 1),
            (16, 2),
            (16, 1),
            (32, 1),
        ];
        Self {
            joints,
            bodies: 1,
            channels: 3,
            frames,
            classes,
            blocks: blocks.to_vec(),
            trunk_blocks: 8,
            body_mask: true,
        }
    }
}

/// Returns the tables of a random encoder whose activations use most of their range.
///
/// The graph is a chain of joints: subset 0 the joint itself, 1 the next joint, 2 the one before.
#[must_use]
pub fn random_tables(shape: &Shape, seed: u64) -> EncoderTables {
    let numbers = &mut Numbers::new(seed);
    let input_scale = 2.0 / 127.0;
    let mut blocks = Vec::new();
    let (mut input, mut in_scale) = (shape.channels, input_scale);
    for (index, &(output, stride)) in shape.blocks.iter().enumerate() {
        let block = random_block(shape, numbers, index == 0, input, output, stride, in_scale);
        (input, in_scale) = (output, block.out_scale);
        blocks.push(block);
    }
    EncoderTables {
        joints: shape.joints,
        bodies: shape.bodies,
        channels: shape.channels,
        frames: shape.frames,
        body_mask: shape.body_mask,
        trunk_blocks: shape.trunk_blocks,
        input_zero: 0,
        input_scale,
        gain: vec![1.0 / input_scale; shape.joints * shape.channels],
        offset: (0..shape.joints * shape.channels)
            .map(|_| 4.0 * numbers.unit())
            .collect(),
        blocks,
        classifier: (0..shape.classes * input)
            .map(|_| (32_000.0 * numbers.unit()) as i16)
            .collect(),
        classifier_bias: (0..shape.classes)
            .map(|_| (1e8 * f64::from(numbers.unit())) as i64)
            .collect(),
        logit_shift: 14,
        logit_scale: in_scale / 128.0 * 16_384.0 / 32_000.0,
    }
}

/// Returns the blob of [`random_tables`].
#[must_use]
pub fn random_encoder(shape: &Shape, seed: u64) -> Vec<u8> {
    random_tables(shape, seed).to_blob()
}

/// Returns the blob of [`random_tables`] with the finest multipliers that fit, as the host's quantization makes them. The values
/// stay what they are.
#[must_use]
pub fn usual_encoder(shape: &Shape, seed: u64) -> Vec<u8> {
    let mut tables = random_tables(shape, seed);
    for block in &mut tables.blocks {
        refine(
            &mut block.graph_shift,
            [&mut block.graph.multiplier, &mut Vec::new()],
        );
        let beside = match &mut block.residual {
            ResidualTables::None => &mut Vec::new(),
            ResidualTables::Identity(multipliers) => multipliers,
            ResidualTables::Convolution(layer) => &mut layer.multiplier,
        };
        refine(
            &mut block.temporal_shift,
            [&mut block.temporal.multiplier, beside],
        );
    }
    tables.to_blob()
}

fn refine(shift: &mut u8, multipliers: [&mut Vec<i32>; 2]) {
    let largest = multipliers.iter().flat_map(|table| table.iter()).max();
    let bits = largest.map_or(0, |largest| largest.leading_zeros().saturating_sub(1));
    for multiplier in multipliers.into_iter().flatten() {
        *multiplier <<= bits;
    }
    *shift += bits as u8;
}

fn random_block(
    shape: &Shape,
    numbers: &mut Numbers,
    first: bool,
    input: usize,
    output: usize,
    stride: usize,
    in_scale: f32,
) -> BlockTables {
    const SHIFT: u8 = 24;
    let joints = shape.joints;
    let input_zero: i32 = if first { 0 } else { -128 };
    let mut edges = Vec::new();
    let mut bias = Vec::new();
    for joint in 0..joints {
        for source in [
            Some(joint),
            (joint + 1 < joints).then_some(joint + 1),
            joint.checked_sub(1),
        ] {
            let edge = source.map(|source| (source as u8, 8_000 + numbers.below(8_000) as i16));
            bias.push((input_zero << 14) - edge.map_or(0, |edge| i32::from(edge.1)) * input_zero);
            edges.push(edge.into_iter().collect());
        }
    }
    let adjacency = AdjacencyTables {
        shift: 14,
        edges,
        bias,
        scale: [in_scale; SUBSETS],
        zero: [input_zero as i8; SUBSETS],
    };
    let hidden_scale = 0.02;
    let out_scale = 0.03;
    let graph = random_layer(
        numbers,
        SUBSETS * input,
        output,
        joints,
        hidden_scale,
        SHIFT,
    );
    let temporal = random_layer(numbers, TAPS * output, output, 1, out_scale, SHIFT);
    let residual = if first {
        ResidualTables::None
    } else if input == output && stride == 1 {
        let multiplier =
            in_scale / out_scale * f32::from(1_u16 << 12) * f32::from(1_u16 << (SHIFT - 12));
        ResidualTables::Identity(vec![multiplier as i32; output])
    } else {
        ResidualTables::Convolution(random_layer(numbers, input, output, 1, out_scale, SHIFT))
    };
    BlockTables {
        input,
        output,
        stride,
        adjacency,
        graph_shift: SHIFT,
        graph,
        hidden_scale: vec![hidden_scale; output],
        temporal_shift: SHIFT,
        temporal,
        residual,
        out_scale,
    }
}

/// A layer whose sums, about `sqrt(inputs) * 73 * 60` wide, become activations of about 60 steps.
fn random_layer(
    numbers: &mut Numbers,
    inputs: usize,
    output: usize,
    biases: usize,
    scale: f32,
    shift: u8,
) -> LayerTables {
    let unit = f32::from(1_u16 << 12) * f32::from(1_u16 << (shift - 12));
    let multiplier = (unit / ((inputs as f32).sqrt() * 73.0)) as i32;
    let spread = (inputs as f32).sqrt() * 4_000.0;
    let weights: Vec<i8> = (0..output * inputs).map(|_| numbers.weight()).collect();
    let sums: Vec<i32> = weights
        .chunks(inputs)
        .map(|weights| weights.iter().map(|weight| i32::from(*weight)).sum())
        .collect();
    let bias = |index: usize, numbers: &mut Numbers| {
        128 * sums[index % output] + (spread * numbers.unit()) as i32
    };
    LayerTables {
        bias: (0..biases * output)
            .map(|index| bias(index, numbers))
            .collect(),
        multiplier: vec![multiplier; output],
        scale: vec![scale * multiplier as f32 / unit; output],
        weights,
    }
}

/// Returns a secret key that is anything but secret.
#[must_use]
pub fn secret_key(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

/// Returns contents around a random encoder: two source features a class, two golden windows.
///
/// # Panics
/// When the shape fits no topology, stream or limit.
#[must_use]
#[allow(clippy::unwrap_used, reason = "a helper of tests")]
pub fn random_contents(topology: TopologyId, shape: &Shape, version: u64, seed: u64) -> Contents {
    let blob = random_encoder(shape, seed);
    let encoder = Encoder::parse(&blob).unwrap();
    let spec = *encoder.spec();
    let numbers = &mut Numbers::new(seed.wrapping_add(1));
    let labels: Vec<u16> = (0..2 * spec.classes)
        .map(|window| (window % spec.classes) as u16)
        .collect();
    let arena = &mut vec![0; encoder.arena_len()];
    let mut features = Vec::new();
    for _ in &labels {
        let window: Vec<f32> = (0..spec.input_len())
            .map(|_| 2.0 * numbers.unit())
            .collect();
        let mut out = vec![0; spec.trunk_len()];
        encoder.trunk(&window, arena, &mut out).unwrap();
        features.extend(out);
    }
    drop(encoder);
    let classes = (0..spec.classes)
        .map(|class| heapless::String::try_from(format!("action {class}").as_str()).unwrap());
    let manifest = Manifest {
        format: FORMAT_VERSION,
        model_version: version,
        created_s: 1_700_000_000,
        engine_version: tendon_engine::format::VERSION,
        preprocessing_version: PREPROCESSING_VERSION,
        topology,
        streams: Stream::ALL.into_iter().take(spec.channels / 3).collect(),
        normalize: NormalizeSpec {
            mode: if spec.body_mask {
                Mode::Product
            } else {
                Mode::Paper
            },
            frames: spec.frames as u16,
            bodies: spec.bodies as u8,
        },
        classes: classes.collect(),
        temperature: 1.0,
        thresholds: heapless::Vec::from_slice(&[0.5]).unwrap(),
        prior: (0..spec.classes)
            .map(|_| 1.0 / spec.classes as f32)
            .collect(),
        tensors: heapless::Vec::new(),
        licence: heapless::String::try_from("none: random numbers").unwrap(),
        provenance: heapless::String::try_from("tendon_bundle::testing").unwrap(),
    };
    Contents {
        manifest,
        source_features: features,
        source_labels: labels,
        source_reference: Vec::new(),
        golden_windows: (0..2 * spec.bodies * spec.input_len())
            .map(|_| 2.0 * numbers.unit())
            .collect(),
        golden_presence: vec![Presence::FIRST; 2],
        encoder: blob,
    }
}

/// Returns the bytes of a signed bundle around a random encoder for 20 joints (`Kinect20`), 16 frames and 5 classes.
///
/// # Panics
/// Never, unless packing is broken.
#[must_use]
#[allow(clippy::unwrap_used, reason = "a helper of tests")]
pub fn random_bundle(key: &SecretKey, version: u64, seed: u64) -> Vec<u8> {
    random_contents(
        TopologyId::Kinect20,
        &Shape::small(20, 16, 5),
        version,
        seed,
    )
    .pack(key)
    .unwrap()
}
