//! The shape of an encoder, and the memory that it needs.

use crate::format::{MAX_BLOCKS, PAD, QUAD, SUBSETS, TAPS, row};

/// How a block's input reaches its output beside the convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualKind {
    /// It does not.
    None,
    /// Unchanged; input and output have the same shape.
    Identity,
    /// Through a pointwise convolution with the block's time stride.
    Convolution,
}

/// The shape of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Channels that go in.
    pub input: usize,
    /// Channels that come out.
    pub output: usize,
    /// Time stride of the temporal convolution.
    pub stride: usize,
    /// Frames that go in.
    pub frames: usize,
    /// Frames that come out.
    pub frames_out: usize,
    /// The residual path.
    pub residual: ResidualKind,
}

impl BlockSpec {
    /// Returns the frames left of `frames` after a temporal convolution with `stride`.
    #[must_use]
    pub const fn strided(frames: usize, stride: usize) -> usize {
        frames.saturating_sub(1) / stride + 1
    }

    /// Returns the bytes of scratch memory for one joint: graph input, hidden rows.
    pub(crate) const fn scratch(&self) -> [usize; 2] {
        [
            self.frames * row(SUBSETS * self.input),
            (self.frames + 2 * PAD) * self.output,
        ]
    }
}

/// The shape of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Joints of the skeleton.
    pub joints: usize,
    /// Bodies of a window.
    pub bodies: usize,
    /// Input channels: three for every stream.
    pub channels: usize,
    /// Frames of a window.
    pub frames: usize,
    /// Channels after the last block: the length of an embedding.
    pub dim: usize,
    /// Classes.
    pub classes: usize,
    /// Whether absent bodies are left out of the mean over bodies.
    pub body_mask: bool,
    /// Number of blocks.
    pub blocks: usize,
    /// Number of blocks of the trunk, the part that stays frozen on a device.
    pub trunk_blocks: usize,
    /// Frames after the trunk.
    pub trunk_frames: usize,
    /// Channels after the trunk.
    pub trunk_channels: usize,
    /// Frames after the last block.
    pub frames_out: usize,
    pub(crate) shapes: [BlockSpec; MAX_BLOCKS],
}

impl Spec {
    /// Returns the shapes of the blocks, in their order.
    #[must_use]
    pub fn block_shapes(&self) -> &[BlockSpec] {
        self.shapes.get(..self.blocks).unwrap_or_default()
    }

    /// Returns the multiplications of one body's convolutions.
    #[must_use]
    pub fn multiplications(&self) -> usize {
        let block = |block: &BlockSpec| {
            let graph = SUBSETS * block.input * block.output;
            let temporal = TAPS * block.output * block.output;
            let residual = match block.residual {
                ResidualKind::Convolution => block.input * block.output,
                ResidualKind::None | ResidualKind::Identity => 0,
            };
            block.frames * graph + block.frames_out * (temporal + residual)
        };
        self.joints * self.block_shapes().iter().map(block).sum::<usize>()
    }

    /// Returns the length of one body's input, `[channel, frame, joint]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.channels * self.frames * self.joints
    }

    /// Returns the length of one body's trunk features, `[joint, frame, channel]`.
    #[must_use]
    pub const fn trunk_len(&self) -> usize {
        self.joints * self.trunk_frames * self.trunk_channels
    }

    /// Returns the length of what one body sends into the last temporal convolution, `[joint, frame, dim]`.
    #[must_use]
    pub fn hidden_len(&self) -> usize {
        let frames = self.block_shapes().last().map_or(0, |last| last.frames);
        self.joints * frames * self.dim
    }

    /// Returns the length of one body's last activations, `[joint, frame', dim]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.joints * self.frames_out * self.dim
    }

    /// Returns the memory of each region, in bytes.
    pub(crate) fn regions(&self) -> Regions {
        let mut scratch = 0;
        let mut activation = self.input_len();
        for block in self.block_shapes() {
            let [gathered, hidden] = block.scratch().map(|bytes| slack(bytes * BATCH));
            scratch = scratch.max(gathered + hidden);
            activation = activation.max(self.joints * block.frames_out * block.output);
        }
        Regions {
            pooled: (self.bodies * self.dim * 4).next_multiple_of(ARENA_ALIGN),
            scratch,
            activation: slack(activation),
        }
    }
}

/// Joints that go through a block together. More need more scratch memory and read the weights less often.
pub(crate) const BATCH: usize = if cfg!(target_arch = "arm") { 1 } else { 4 };

/// Returns the bytes of a region for `bytes` bytes of rows: a whole number of cache lines, with room to read a last row up to
/// its next multiple of [`QUAD`].
pub(crate) const fn slack(bytes: usize) -> usize {
    (bytes + QUAD).next_multiple_of(ARENA_ALIGN)
}

/// The memory of an arena's regions, in bytes.
pub(crate) struct Regions {
    /// Pooled sums, 32 bits each.
    pub(crate) pooled: usize,
    /// Scratch of one block.
    pub(crate) scratch: usize,
    /// One of the two activation buffers.
    pub(crate) activation: usize,
}

/// The arena's regions start at a multiple of this many bytes.
pub(crate) const ARENA_ALIGN: usize = 64;

impl Regions {
    /// Returns the length of an arena at any address, bytes.
    pub(crate) const fn arena_len(&self) -> usize {
        ARENA_ALIGN + self.pooled + self.scratch + 2 * self.activation
    }
}
