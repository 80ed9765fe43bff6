//! One block: graph convolution, temporal convolution, residual; joint by joint, so that scratch memory stays in the cache.

use crate::adjacency::Adjacency;
use crate::format::{PAD, SUBSETS, TAPS, row};
use crate::kernel::{dot_rows, requantize, widen};
use crate::parse::{Layer, ParseResult, Reader};
use crate::spec::{BlockSpec, ResidualKind};
use crate::tables::{F32s, I32s};

/// The tables of one block.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) shape: BlockSpec,
    pub(crate) adjacency: Adjacency<'a>,
    graph_shift: u32,
    pub(crate) graph: Layer<'a>,
    pub(crate) hidden_scale: F32s<'a>,
    out_shift: u32,
    pub(crate) temporal: Layer<'a>,
    pub(crate) residual: Residual<'a>,
    /// Value of one step of the input.
    pub(crate) in_scale: f32,
    /// Value of one step of the output.
    pub(crate) out_scale: f32,
}

/// The tables of the residual path.
#[derive(Clone, Debug)]
pub(crate) enum Residual<'a> {
    None,
    Identity(I32s<'a>),
    Convolution(Layer<'a>),
}

/// One block's scratch memory, numbers of 16 bits.
struct Scratch<'m> {
    weights: &'m mut [i16],
    gathered: &'m mut [i16],
    hidden: &'m mut [i16],
    residual: &'m mut [i16],
}

impl<'m> Scratch<'m> {
    /// Cuts the arena's scratch region; `None` when it is too short.
    fn cut(shape: &BlockSpec, region: &'m mut [i16]) -> Option<Self> {
        let [weights, gathered, hidden, residual] = shape.scratch();
        let (weights, region) = region.split_at_mut_checked(weights)?;
        let (gathered, region) = region.split_at_mut_checked(gathered)?;
        let (hidden, region) = region.split_at_mut_checked(hidden)?;
        let (residual, _) = region.split_at_mut_checked(residual)?;
        gathered.fill(0);
        hidden.fill(-128);
        residual.fill(0);
        Some(Self {
            weights,
            gathered,
            hidden,
            residual,
        })
    }
}

impl<'a> Block<'a> {
    /// Reads and checks one block.
    pub(crate) fn parse(
        reader: &mut Reader<'a>,
        shape: BlockSpec,
        joints: usize,
        in_scale: f32,
    ) -> ParseResult<Self> {
        let adjacency = Adjacency::parse(reader, joints)?;
        let graph_shift = reader.shift(62, "graph shift")?;
        let graph = Layer::parse(reader, SUBSETS * shape.input, shape.output, joints)?;
        let hidden_scale = reader.scales(shape.output, "hidden scale")?;
        let out_shift = reader.shift(62, "temporal shift")?;
        let temporal = Layer::parse(reader, TAPS * shape.output, shape.output, 1)?;
        let residual = match shape.residual {
            ResidualKind::None => Residual::None,
            ResidualKind::Identity => Residual::Identity(reader.i32s(shape.output)?),
            ResidualKind::Convolution => {
                Residual::Convolution(Layer::parse(reader, shape.input, shape.output, 1)?)
            }
        };
        let out_scale = reader.scale("output scale")?;
        Ok(Self {
            shape,
            adjacency,
            graph_shift,
            graph,
            hidden_scale,
            out_shift,
            temporal,
            residual,
            in_scale,
            out_scale,
        })
    }

    /// Runs the block.
    ///
    /// # Shapes
    /// `input [joint, frame, channel]`, `out [joint, frame', channel']`
    pub(crate) fn run(&self, input: &[i8], out: &mut [i8], region: &mut [i16]) {
        let shape = &self.shape;
        let Some(mut scratch) = Scratch::cut(shape, region) else {
            return;
        };
        let inputs = input.chunks_exact(shape.frames * shape.input);
        let outs = out.chunks_exact_mut(shape.frames_out * shape.output);
        for (joint, (own, out)) in inputs.zip(outs).enumerate() {
            self.adjacency.gather(shape, joint, input, scratch.gathered);
            self.graph_convolution(joint, &mut scratch);
            if let Residual::Convolution(_) = self.residual {
                let rows = scratch.residual.chunks_exact_mut(row(shape.input));
                for (to, from) in rows.zip(own.chunks_exact(shape.input).step_by(shape.stride)) {
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(to, from)| *to = i16::from(*from));
                }
            }
            self.temporal_convolution(own, out, &mut scratch);
        }
    }

    /// Turns gathered rows into hidden rows, each later frame [`PAD`] frames further.
    #[allow(
        clippy::indexing_slicing,
        reason = "frame < frames and channel < output, and hidden holds frames + 2 * PAD rows"
    )]
    fn graph_convolution(&self, joint: usize, scratch: &mut Scratch<'_>) {
        let BlockSpec { output, frames, .. } = self.shape;
        let Some(weights) = scratch.weights.get_mut(..self.graph.row) else {
            return;
        };
        for (channel, row) in self.graph.weights.chunks_exact(self.graph.row).enumerate() {
            widen(row, weights);
            let bias = self.graph.bias.get(joint * output + channel);
            let multiplier = i64::from(self.graph.multiplier.get(channel));
            let hidden = &mut scratch.hidden[PAD * output + channel..];
            dot_rows(
                scratch.gathered,
                self.graph.row,
                frames,
                weights,
                |frame, sum| {
                    let sum = i64::from(sum.wrapping_add(bias)).wrapping_mul(multiplier);
                    hidden[frame * output] = i16::from(requantize(sum, self.graph_shift));
                },
            );
        }
    }

    /// Turns hidden rows into the block's output; a window of nine frames is one run of memory.
    #[allow(
        clippy::indexing_slicing,
        reason = "frame < frames_out and channel < output, and out holds frames_out rows"
    )]
    fn temporal_convolution(&self, own: &[i8], out: &mut [i8], scratch: &mut Scratch<'_>) {
        let BlockSpec {
            input,
            output,
            stride,
            frames_out,
            ..
        } = self.shape;
        let shift = self.out_shift;
        for channel in 0..output {
            let bias = self.temporal.bias.get(channel);
            let multiplier = i64::from(self.temporal.multiplier.get(channel));
            let layer = &self.temporal;
            let Some(weights) = scratch.weights.get_mut(..layer.row) else {
                return;
            };
            widen(&layer.weights[channel * layer.row..], weights);
            let main = |sum: i32| i64::from(sum.wrapping_add(bias)).wrapping_mul(multiplier);
            let hidden: &[i16] = scratch.hidden;
            match &self.residual {
                Residual::None => dot_rows(
                    hidden,
                    stride * output,
                    frames_out,
                    weights,
                    |frame, sum| {
                        out[frame * output + channel] = requantize(main(sum), shift);
                    },
                ),
                Residual::Identity(multipliers) => {
                    let beside = i64::from(multipliers.get(channel));
                    dot_rows(
                        hidden,
                        stride * output,
                        frames_out,
                        weights,
                        |frame, sum| {
                            let from = i64::from(own[frame * stride * input + channel]) + 128;
                            out[frame * output + channel] =
                                requantize(main(sum).wrapping_add(from * beside), shift);
                        },
                    );
                }
                Residual::Convolution(path) => {
                    let mut sums = [0_i32; tendon_shared::limits::MAX_WINDOW_FRAMES];
                    dot_rows(
                        hidden,
                        stride * output,
                        frames_out,
                        weights,
                        |frame, sum| sums[frame] = sum,
                    );
                    let Some(weights) = scratch.weights.get_mut(..path.row) else {
                        return;
                    };
                    widen(&path.weights[channel * path.row..], weights);
                    let path_bias = path.bias.get(channel);
                    let beside = i64::from(path.multiplier.get(channel));
                    dot_rows(
                        scratch.residual,
                        path.row,
                        frames_out,
                        weights,
                        |frame, sum| {
                            let from = i64::from(sum.wrapping_add(path_bias)).wrapping_mul(beside);
                            out[frame * output + channel] =
                                requantize(main(sums[frame]).wrapping_add(from), shift);
                        },
                    );
                }
            }
        }
    }
}
