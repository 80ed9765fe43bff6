//! One block: graph convolution, temporal convolution, residual; a few joints at a time, so that scratch memory stays in the cache.

use crate::adjacency::Adjacency;
use crate::format::{PAD, SUBSETS, TAPS, row};
use crate::job::{Beside, Convolution, Product, Rounding, Rows};
use crate::parse::{Layer, ParseResult, Reader};
use crate::path::Kernels;
use crate::spec::{BATCH, BlockSpec, ResidualKind, slack};
use crate::tables::{F32s, I32s};

/// The tables of one block.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) shape: BlockSpec,
    pub(crate) adjacency: Adjacency<'a>,
    graph_rounding: Rounding,
    pub(crate) graph: Layer<'a>,
    pub(crate) hidden_scale: F32s<'a>,
    out_rounding: Rounding,
    pub(crate) temporal: Layer<'a>,
    pub(crate) residual: Residual<'a>,
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

impl<'a> Block<'a> {
    /// Reads and checks one block.
    pub(crate) fn parse(
        reader: &mut Reader<'a>,
        shape: BlockSpec,
        joints: usize,
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
        let beside = match &residual {
            Residual::None => (0, 0),
            Residual::Identity(multipliers) => {
                let most = multipliers.iter().map(i32::unsigned_abs).max();
                (255, u64::from(most.unwrap_or(0)))
            }
            Residual::Convolution(layer) => layer.bounds(),
        };
        Ok(Self {
            shape,
            adjacency,
            graph_rounding: Rounding::new(graph_shift, graph.bounds(), (0, 0)),
            graph,
            hidden_scale,
            out_rounding: Rounding::new(out_shift, temporal.bounds(), beside),
            temporal,
            residual,
            out_scale,
        })
    }

    /// Runs the block; `keep`, where there is one, receives what goes into the temporal convolution.
    ///
    /// # Shapes
    /// `input [joint, frame, channel]` with room after it, `out [joint, frame', channel']`, `keep [joint, frame, channel']`, all
    /// of `joints` joints
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        joints: usize,
        input: &[u8],
        out: &mut [u8],
        scratch: &mut [u8],
        mut keep: Option<&mut [u8]>,
    ) {
        let BlockSpec {
            input: channels,
            output,
            stride,
            frames,
            frames_out,
            ..
        } = self.shape;
        let [one_gathered, one_hidden] = self.shape.scratch();
        let Some((gathered, hidden)) = scratch.split_at_mut_checked(slack(one_gathered * BATCH))
        else {
            return;
        };
        for frames in hidden.chunks_exact_mut(one_hidden).take(BATCH) {
            let (before, after) = frames.split_at_mut(PAD * output);
            before.fill(0);
            after
                .iter_mut()
                .rev()
                .take(PAD * output)
                .for_each(|a| *a = 0);
        }
        for first in (0..joints).step_by(BATCH) {
            let joints = BATCH.min(joints - first);
            let used = gathered
                .get_mut(..joints * one_gathered)
                .unwrap_or_default();
            self.adjacency
                .gather(kernels, &self.shape, first, input, used);
            kernels.convolve(&mut Convolution {
                joints,
                rows: frames,
                main: Product {
                    rows: Rows {
                        bytes: gathered,
                        joint: one_gathered,
                        stride: row(SUBSETS * channels),
                    },
                    layer: &self.graph,
                    bias: first * output,
                    bias_stride: output,
                },
                beside: Beside::None,
                rounding: self.graph_rounding,
                out: hidden.get_mut(PAD * output..).unwrap_or_default(),
                out_joint: one_hidden,
            });
            if let Some(keep) = &mut keep {
                let kept = keep.chunks_exact_mut(frames * output).skip(first);
                for (kept, padded) in kept.zip(hidden.chunks_exact(one_hidden).take(joints)) {
                    let rows = padded.get(PAD * output..).unwrap_or_default();
                    kept.iter_mut().zip(rows).for_each(|(to, from)| *to = *from);
                }
            }
            let own = Rows {
                bytes: input.get(first * frames * channels..).unwrap_or_default(),
                joint: frames * channels,
                stride: stride * channels,
            };
            kernels.convolve(&mut Convolution {
                joints,
                rows: frames_out,
                main: Product {
                    rows: Rows {
                        bytes: hidden,
                        joint: one_hidden,
                        stride: stride * output,
                    },
                    layer: &self.temporal,
                    bias: 0,
                    bias_stride: 0,
                },
                beside: match &self.residual {
                    Residual::None => Beside::None,
                    Residual::Identity(multipliers) => Beside::Identity(own, *multipliers),
                    Residual::Convolution(layer) => Beside::Product(Product {
                        rows: own,
                        layer,
                        bias: 0,
                        bias_stride: 0,
                    }),
                },
                rounding: self.out_rounding,
                out: out
                    .get_mut(first * frames_out * output..)
                    .unwrap_or_default(),
                out_joint: frames_out * output,
            });
        }
    }
}
