//! Writing the engine's blob from its tables. The layout is documented in [`tendon_engine::format`].
//!
//! This is bytes only: which numbers stand in the tables is decided by the host's quantisation. What is written here is what
//! `Encoder::parse` checks again on the device.
//!
//! Tables speak of signed activations `q`, as calibration does; the bytes speak of unsigned ones, `q + 128`, so biases are
//! written with that shift taken out.

use tendon_engine::format::{
    FLAG_BODY_MASK, HEADER_BYTES, MAGIC, SUBSETS, TAPS, VERSION, weight_at, weight_bytes,
};

/// An unsigned activation is a signed one plus this.
const OFFSET: i32 = 128;

/// A weighted edge of the graph: source joint and coefficient.
pub type Edge = (u8, i16);

/// A graph, quantised.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjacencyTables {
    /// Bits after the point of a coefficient.
    pub shift: u8,
    /// Edges into each joint, `[joint][subset]`.
    pub edges: Vec<Vec<Edge>>,
    /// `[joint][subset]`
    pub bias: Vec<i32>,
    /// Value of one step of a gathered activation.
    pub scale: [f32; SUBSETS],
    /// Gathered activation that stands for zero.
    pub zero: [i8; SUBSETS],
}

/// A convolution, quantised.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTables {
    /// `[out][input]`, without padding.
    pub weights: Vec<i8>,
    /// `[out]`, of the graph convolution `[joint][out]`.
    pub bias: Vec<i32>,
    /// `[out]`
    pub multiplier: Vec<i32>,
    /// Value of one step of the sum, `[out]`.
    pub scale: Vec<f32>,
}

/// The residual path, quantised.
#[derive(Clone, Debug, PartialEq)]
pub enum ResidualTables {
    /// No path.
    None,
    /// Multipliers, `[out]`.
    Identity(Vec<i32>),
    /// A pointwise convolution.
    Convolution(LayerTables),
}

/// One block, quantised.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockTables {
    /// Channels that go in.
    pub input: usize,
    /// Channels that come out.
    pub output: usize,
    /// Time stride.
    pub stride: usize,
    /// The graph.
    pub adjacency: AdjacencyTables,
    /// Shift of the graph convolution's multipliers.
    pub graph_shift: u8,
    /// The graph convolution.
    pub graph: LayerTables,
    /// Value of one step of a hidden activation, `[out]`.
    pub hidden_scale: Vec<f32>,
    /// Shift of the temporal convolution's and the residual's multipliers.
    pub temporal_shift: u8,
    /// The temporal convolution.
    pub temporal: LayerTables,
    /// The residual path.
    pub residual: ResidualTables,
    /// Value of one step of the output.
    pub out_scale: f32,
}

/// An encoder, quantised.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderTables {
    /// Joints.
    pub joints: usize,
    /// Bodies.
    pub bodies: usize,
    /// Input channels.
    pub channels: usize,
    /// Frames.
    pub frames: usize,
    /// Whether absent bodies are left out.
    pub body_mask: bool,
    /// Blocks of the trunk.
    pub trunk_blocks: usize,
    /// Input activation that stands for zero.
    pub input_zero: i8,
    /// Value of one step of an input activation.
    pub input_scale: f32,
    /// `[joint][channel]`
    pub gain: Vec<f32>,
    /// `[joint][channel]`
    pub offset: Vec<f32>,
    /// The blocks.
    pub blocks: Vec<BlockTables>,
    /// `[class][dim]`
    pub classifier: Vec<i16>,
    /// `[class]`
    pub classifier_bias: Vec<i64>,
    /// Shift of the classifier's sums.
    pub logit_shift: u8,
    /// Value of one step of a logit.
    pub logit_scale: f32,
}

impl EncoderTables {
    /// Returns the blob. It is valid if the tables have the lengths and ranges that the format documents; parse it to know.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Blob(Vec::new());
        let dim = self.blocks.last().map_or(0, |block| block.output);
        blob.bytes(&MAGIC);
        blob.bytes(&VERSION.to_le_bytes());
        blob.bytes(&(if self.body_mask { FLAG_BODY_MASK } else { 0 }).to_le_bytes());
        let counts = [
            self.joints,
            self.bodies,
            self.channels,
            self.blocks.len(),
            self.trunk_blocks,
        ];
        counts.iter().for_each(|count| blob.u8(*count));
        blob.u8(usize::from(self.logit_shift));
        [self.frames, dim, self.classifier_bias.len()]
            .iter()
            .for_each(|count| blob.u16(*count));
        blob.bytes(&self.input_zero.to_le_bytes());
        blob.bytes(&[0; 3]);
        let length_at = blob.0.len();
        blob.bytes(&[0; 4]);
        blob.f32s(&[self.input_scale, self.logit_scale]);
        blob.bytes(&[0; 8]);
        debug_assert_eq!(blob.0.len(), HEADER_BYTES);
        for block in &self.blocks {
            blob.u16(block.input);
            blob.u16(block.output);
            blob.u8(block.stride);
            blob.u8(match block.residual {
                ResidualTables::None => 0,
                ResidualTables::Identity(_) => 1,
                ResidualTables::Convolution(_) => 2,
            });
            blob.bytes(&[0; 2]);
        }
        blob.f32s(&self.gain);
        blob.f32s(&self.offset);
        self.blocks.iter().for_each(|block| blob.block(block));
        self.classifier
            .iter()
            .for_each(|weight| blob.bytes(&weight.to_le_bytes()));
        self.classifier_bias
            .iter()
            .for_each(|bias| blob.bytes(&bias.to_le_bytes()));
        let length = u32::try_from(blob.0.len()).unwrap_or(u32::MAX);
        blob.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        blob.0
    }
}

/// The bytes written so far. Numbers too large for their field are clamped, which parsing then refuses.
struct Blob(Vec<u8>);

impl Blob {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u8(&mut self, value: usize) {
        self.0.push(u8::try_from(value).unwrap_or(u8::MAX));
    }

    fn u16(&mut self, value: usize) {
        self.bytes(&u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes());
    }

    fn f32s(&mut self, values: &[f32]) {
        values
            .iter()
            .for_each(|value| self.bytes(&value.to_le_bytes()));
    }

    fn i32s(&mut self, values: &[i32]) {
        values
            .iter()
            .for_each(|value| self.bytes(&value.to_le_bytes()));
    }

    fn shift(&mut self, shift: u8) {
        self.bytes(&[shift, 0, 0, 0]);
    }

    fn layer(&mut self, layer: &LayerTables, inputs: usize) {
        let outputs = layer.multiplier.len();
        let start = self.0.len();
        self.0.resize(start + weight_bytes(inputs, outputs), 0);
        let mut sums = vec![0; outputs];
        for (out, weights) in layer.weights.chunks(inputs).enumerate().take(outputs) {
            for (input, weight) in weights.iter().enumerate() {
                self.0[start + weight_at(inputs, out, input)] = weight.cast_unsigned();
                sums[out] += i32::from(*weight);
            }
        }
        for (bias, sum) in layer.bias.iter().zip(sums.iter().cycle()) {
            self.i32s(&[bias.saturating_sub(OFFSET * sum)]);
        }
        self.i32s(&layer.multiplier);
        self.f32s(&layer.scale);
    }

    fn block(&mut self, block: &BlockTables) {
        let AdjacencyTables {
            shift,
            edges,
            bias,
            scale,
            zero,
        } = &block.adjacency;
        self.shift(*shift);
        edges.iter().for_each(|edges| self.u8(edges.len()));
        edges
            .iter()
            .flatten()
            .for_each(|(source, _)| self.bytes(&[*source]));
        edges
            .iter()
            .flatten()
            .for_each(|(_, coefficient)| self.bytes(&coefficient.to_le_bytes()));
        for (bias, edges) in bias.iter().zip(edges) {
            let sum: i32 = edges
                .iter()
                .map(|(_, coefficient)| i32::from(*coefficient))
                .sum();
            let out = OFFSET << u32::from(*shift).min(22);
            self.i32s(&[bias.saturating_add(out).saturating_sub(OFFSET * sum)]);
        }
        self.f32s(scale);
        zero.iter().for_each(|zero| self.bytes(&zero.to_le_bytes()));
        self.bytes(&[0]);
        self.shift(block.graph_shift);
        self.layer(&block.graph, SUBSETS * block.input);
        self.f32s(&block.hidden_scale);
        self.shift(block.temporal_shift);
        self.layer(&block.temporal, TAPS * block.output);
        match &block.residual {
            ResidualTables::None => {}
            ResidualTables::Identity(multipliers) => self.i32s(multipliers),
            ResidualTables::Convolution(layer) => self.layer(layer, block.input),
        }
        self.f32s(&[block.out_scale]);
    }
}
