//! The encoder and its classifier with BatchNorm folded in, in plain f32 loops: what quantization starts from.
//!
//! The same function as [`crate::classifier::Classifier`] at inference, written the way the engine computes it: body by body,
//! graph first. Every activation can be observed. No Burn here; the host folds weights into it and measures ranges.

/// A classifier without BatchNorm.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// Joints of the skeleton.
    pub joints: usize,
    /// Input channels.
    pub channels: usize,
    /// Frames of a window.
    pub frames: usize,
    /// Scale of the input, `[joint, channel]`.
    pub gain: Vec<f32>,
    /// Shift of the input, `[joint, channel]`.
    pub offset: Vec<f32>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// `[dim, class]`
    pub weight: Vec<f32>,
    /// `[class]`
    pub bias: Vec<f32>,
}

/// A block without BatchNorm.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Channels that go in.
    pub input: usize,
    /// Channels that come out.
    pub output: usize,
    /// Every `stride`-th frame is kept.
    pub stride: usize,
    /// Graph with edge importance, `[subset, source joint, target joint]`.
    pub adjacency: Vec<f32>,
    /// `[subset, channel in, channel out]`
    pub graph: Vec<f32>,
    /// `[joint, channel out]`
    pub graph_bias: Vec<f32>,
    /// `[tap, channel out, channel out]`
    pub temporal: Vec<f32>,
    /// `[channel out]`
    pub temporal_bias: Vec<f32>,
    /// The residual path.
    pub residual: Residual,
}

/// A block's residual path.
#[derive(Clone, Debug, PartialEq)]
pub enum Residual {
    /// No path.
    None,
    /// The input itself.
    Identity,
    /// A pointwise convolution.
    Convolution {
        /// `[channel in, channel out]`
        weight: Vec<f32>,
        /// `[channel out]`
        bias: Vec<f32>,
    },
}

/// An activation that quantization needs the range of. All have the layout `[joint, frame, channel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// The input after its BatchNorm.
    Input,
    /// What the graph gathers in a block, `[joint, frame, subset, channel]`.
    Gathered(usize),
    /// Between the two convolutions of a block.
    Hidden(usize),
    /// The output of a block.
    Output(usize),
}

/// Subsets of the graph.
const SUBSETS: usize = crate::graph::SUBSETS;
/// Taps of the temporal convolution, and the frames of silence before a window.
const TAPS: usize = crate::temporal::TAPS;
const PAD: usize = crate::temporal::PADDING;

impl Folded {
    /// Length of an embedding.
    pub fn dim(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.output)
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// Values of one body's input.
    pub fn input_len(&self) -> usize {
        self.joints * self.channels * self.frames
    }

    /// The embedding of one body; `observe` sees every activation on the way, with its number of channels.
    ///
    /// # Shapes
    /// `window [channel, frame, joint] -> [dim]`
    pub fn embed(&self, window: &[f32], observe: &mut dyn FnMut(Site, usize, &[f32])) -> Vec<f32> {
        let (joints, channels, mut frames) = (self.joints, self.channels, self.frames);
        let mut now = vec![0.0; window.len()];
        for (index, value) in now.iter_mut().enumerate() {
            let (channel, frame) = (index % channels, index / channels % frames);
            let joint = index / channels / frames;
            let parameter = joint * channels + channel;
            let from = window[(channel * frames + frame) * joints + joint];
            *value = from * self.gain[parameter] + self.offset[parameter];
        }
        observe(Site::Input, channels, &now);
        for (number, block) in self.blocks.iter().enumerate() {
            let gathered = block.gather(&now, joints, frames);
            observe(Site::Gathered(number), SUBSETS * block.input, &gathered);
            let hidden = block.hidden(&gathered, joints, frames);
            observe(Site::Hidden(number), block.output, &hidden);
            now = block.out(&hidden, &now, joints, frames);
            observe(Site::Output(number), block.output, &now);
            frames = frames.div_ceil(block.stride);
        }
        let mut pooled = vec![0.0; self.dim()];
        for row in now.chunks_exact(self.dim()) {
            add(&mut pooled, row);
        }
        let rows = (joints * frames) as f32;
        pooled.iter_mut().for_each(|sum| *sum /= rows);
        pooled
    }

    /// The logits of an embedding.
    pub fn classify(&self, embedding: &[f32]) -> Vec<f32> {
        let mut logits = self.bias.clone();
        for (value, weights) in embedding
            .iter()
            .zip(self.weight.chunks_exact(self.classes()))
        {
            add_scaled(&mut logits, weights, *value);
        }
        logits
    }

    /// The logits of a window; the embedding is the mean over `bodies`, zero without any.
    ///
    /// # Shapes
    /// `window [body, channel, frame, joint] -> [class]`
    pub fn logits(&self, window: &[f32], bodies: &[usize]) -> Vec<f32> {
        let mut embedding = vec![0.0; self.dim()];
        for body in bodies {
            let one = &window[body * self.input_len()..(body + 1) * self.input_len()];
            add(&mut embedding, &self.embed(one, &mut |_, _, _| {}));
        }
        let count = bodies.len().max(1) as f32;
        embedding.iter_mut().for_each(|value| *value /= count);
        self.classify(&embedding)
    }
}

impl Block {
    /// `[joint, frame, channel] -> [joint, frame, subset, channel]`
    fn gather(&self, x: &[f32], joints: usize, frames: usize) -> Vec<f32> {
        let (input, row) = (self.input, SUBSETS * self.input);
        let mut out = vec![0.0; joints * frames * row];
        for (entry, weight) in self
            .adjacency
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight != 0.0)
        {
            let (target, source) = (entry % joints, entry / joints % joints);
            let subset = entry / joints / joints;
            let from =
                x[source * frames * input..(source + 1) * frames * input].chunks_exact(input);
            let to = out[target * frames * row..(target + 1) * frames * row].chunks_exact_mut(row);
            for (to, from) in to.zip(from) {
                add_scaled(&mut to[subset * input..(subset + 1) * input], from, *weight);
            }
        }
        out
    }

    /// `[joint, frame, subset, channel in] -> [joint, frame, channel out]`
    fn hidden(&self, gathered: &[f32], joints: usize, frames: usize) -> Vec<f32> {
        let output = self.output;
        let mut out = vec![0.0; joints * frames * output];
        let rows = gathered.chunks_exact(SUBSETS * self.input);
        for (index, (to, from)) in out.chunks_exact_mut(output).zip(rows).enumerate() {
            let joint = index / frames;
            to.copy_from_slice(&self.graph_bias[joint * output..(joint + 1) * output]);
            multiply(to, from, &self.graph);
            relu(to);
        }
        out
    }

    /// `[joint, frame, channel out] -> [joint, frame', channel out]`; `x` is the block's input.
    fn out(&self, hidden: &[f32], x: &[f32], joints: usize, frames: usize) -> Vec<f32> {
        let (input, output, stride) = (self.input, self.output, self.stride);
        let kept = frames.div_ceil(stride);
        let mut out = vec![0.0; joints * kept * output];
        for joint in 0..joints {
            let hidden = &hidden[joint * frames * output..(joint + 1) * frames * output];
            let own = &x[joint * frames * input..(joint + 1) * frames * input];
            let to = &mut out[joint * kept * output..(joint + 1) * kept * output];
            for (number, to) in to.chunks_exact_mut(output).enumerate() {
                let frame = number * stride;
                to.copy_from_slice(&self.temporal_bias);
                let first = PAD.saturating_sub(frame);
                let last = TAPS.min(frames + PAD - frame);
                let window = &hidden[(frame + first - PAD) * output..(frame + last - PAD) * output];
                let weights = &self.temporal[first * output * output..last * output * output];
                multiply(to, window, weights);
                let own = &own[frame * input..(frame + 1) * input];
                match &self.residual {
                    Residual::None => {}
                    Residual::Identity => add(to, own),
                    Residual::Convolution { weight, bias } => {
                        add(to, bias);
                        multiply(to, own, weight);
                    }
                }
                relu(to);
            }
        }
        out
    }
}

/// `to += row * weights`, with weights `[input, output]`.
fn multiply(to: &mut [f32], row: &[f32], weights: &[f32]) {
    for (value, weights) in row.iter().zip(weights.chunks_exact(to.len())) {
        if *value != 0.0 {
            add_scaled(to, weights, *value);
        }
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn add_scaled(to: &mut [f32], from: &[f32], scale: f32) {
    to.iter_mut()
        .zip(from)
        .for_each(|(to, from)| *to += scale * from);
}

fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = value.max(0.0));
}
