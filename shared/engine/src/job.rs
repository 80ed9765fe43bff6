//! What a kernel is asked for: the two loops of a block, as rows in the caller's memory and tables in the blob.
//!
//! Every path of [`crate::path`] computes exactly what is documented here and in [`crate::format`].

use crate::adjacency::Entry;
use crate::format::GROUP;
use crate::parse::Layer;
use crate::tables::I32s;

/// A sparse sum: `out[frame][channel] = clamp((bias + sum of coefficient * input[source][frame][channel]) >> shift)`.
pub(crate) struct Mix<'j> {
    /// `[source][frame][channel]`
    pub(crate) input: &'j [u8],
    /// What flows in; every source is a joint of `input`.
    pub(crate) entries: &'j [Entry],
    /// Bias and rounding term.
    pub(crate) bias: i32,
    /// 1 to 30.
    pub(crate) shift: u32,
    /// Frames.
    pub(crate) frames: usize,
    /// Channels.
    pub(crate) channels: usize,
    /// `[frame][stride]`, of which the first channels of each row are written.
    pub(crate) out: &'j mut [u8],
    /// Bytes from one row of `out` to the next.
    pub(crate) stride: usize,
}

impl Mix<'_> {
    /// Returns the bytes of one source.
    pub(crate) const fn len(&self) -> usize {
        self.frames * self.channels
    }

    /// Stores results `at..at + bytes.len()`, counted without gaps, into the rows of `out`.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(crate) fn scatter(&mut self, at: usize, bytes: &[u8]) {
        let (mut frame, mut channel) = (at / self.channels, at % self.channels);
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = rest.len().min(self.channels - channel);
            let (part, after) = rest.split_at(count);
            let to = frame * self.stride + channel;
            let to = self.out.get_mut(to..to + count).unwrap_or_default();
            to.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            rest = after;
            (frame, channel) = (frame + 1, 0);
        }
    }

    /// Whether every byte that the sum reads or writes lies inside its slice.
    pub(crate) fn fits(&self) -> bool {
        let sources = self.entries.iter().map(|entry| entry.source + 1).max();
        self.channels <= self.stride
            && sources.unwrap_or(0) * self.len() <= self.input.len()
            && self.frames.saturating_sub(1) * self.stride + self.channels <= self.out.len()
    }
}

/// Rows of activations, the same number for each of several joints.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'j> {
    /// The first row and what follows.
    pub(crate) bytes: &'j [u8],
    /// Bytes from one joint to the next.
    pub(crate) joint: usize,
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
}

impl Rows<'_> {
    /// Whether `joints` times `rows` rows of `row` bytes lie inside.
    const fn fit(&self, joints: usize, rows: usize, row: usize) -> bool {
        joints.saturating_sub(1) * self.joint + rows.saturating_sub(1) * self.stride + row
            <= self.bytes.len()
    }
}

/// A layer on rows of activations: `sum of weight * a + bias`, and the multiplier of the sums.
#[derive(Clone, Copy)]
pub(crate) struct Product<'j> {
    /// Activations; a row may be read up to [`Layer::row`].
    pub(crate) rows: Rows<'j>,
    /// Weights, biases, multipliers.
    pub(crate) layer: &'j Layer<'j>,
    /// The first joint's place in the table of biases.
    pub(crate) bias: usize,
    /// Distance of two joints' biases: zero where all joints share them.
    pub(crate) bias_stride: usize,
}

impl Product<'_> {
    fn fits(&self, joints: usize, rows: usize) -> bool {
        self.rows.fit(joints, rows, self.layer.row())
    }

    /// Returns the biases of one output group at one joint; zeros beyond the last output.
    pub(crate) fn biases(&self, joint: usize, group: usize) -> [i32; GROUP] {
        let first = group * GROUP;
        let mut lanes = self
            .layer
            .bias
            .lanes(self.bias + joint * self.bias_stride + first);
        for lane in lanes.iter_mut().skip(self.layer.outputs - first) {
            *lane = 0;
        }
        lanes
    }

    /// Returns the multipliers of one output group; zeros beyond the last output.
    pub(crate) fn multipliers(&self, group: usize) -> [i32; GROUP] {
        self.layer.multiplier.lanes(group * GROUP)
    }
}

/// What is added to a convolution before rounding.
#[derive(Clone, Copy)]
pub(crate) enum Beside<'j> {
    /// Nothing.
    None,
    /// Activations times multipliers.
    Identity(Rows<'j>, I32s<'j>),
    /// Another layer's sums times its multipliers.
    Product(Product<'j>),
}

/// The shift of a convolution, and what is known about its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounding {
    /// 1 to 62.
    pub(crate) shift: u32,
    /// By how many bits all 32-bit sums may be shifted up so that `shift + lift >= 32` and nothing overflows: then the result
    /// is in the upper half of every 64-bit sum. `None` when they might overflow.
    pub(crate) lift: Option<u32>,
}

impl Rounding {
    /// Looks for a lift: `main` and `beside` are the largest absolute sum and the largest absolute multiplier.
    pub(crate) fn new(shift: u32, main: (u64, u64), beside: (u64, u64)) -> Self {
        let lift = 32_u32.saturating_sub(shift);
        let fits = |sum: u64| sum << lift <= i32::MAX as u64;
        let total = u128::from(main.0) * u128::from(main.1)
            + u128::from(beside.0) * u128::from(beside.1)
            + (1 << (shift - 1));
        let safe = fits(main.0) && fits(beside.0) && total << lift < 1 << 63;
        Self {
            shift,
            lift: safe.then_some(lift),
        }
    }
}

/// A convolution: `out[joint][row][out] = clamp(rshift(main + beside, shift))`.
pub(crate) struct Convolution<'j> {
    /// Joints.
    pub(crate) joints: usize,
    /// Rows of each joint.
    pub(crate) rows: usize,
    /// The product.
    pub(crate) main: Product<'j>,
    /// The residual.
    pub(crate) beside: Beside<'j>,
    /// How sums become activations.
    pub(crate) rounding: Rounding,
    /// The first joint's first row and what follows; rows touch each other.
    pub(crate) out: &'j mut [u8],
    /// Bytes from one joint of `out` to the next.
    pub(crate) out_joint: usize,
}

impl Convolution<'_> {
    /// Returns the number of outputs.
    pub(crate) const fn outputs(&self) -> usize {
        self.main.layer.outputs
    }

    /// Returns the number of output groups.
    pub(crate) const fn groups(&self) -> usize {
        self.outputs().div_ceil(GROUP)
    }

    /// Returns the multipliers of the residual for one output group; zeros where there is none.
    pub(crate) fn beside_multipliers(&self, group: usize) -> [i32; GROUP] {
        match &self.beside {
            Beside::None => [0; GROUP],
            Beside::Identity(_, multipliers) => multipliers.lanes(group * GROUP),
            Beside::Product(product) => product.multipliers(group),
        }
    }

    /// Whether every byte that the convolution reads or writes lies inside its slice.
    pub(crate) fn fits(&self) -> bool {
        let beside = match &self.beside {
            Beside::None => true,
            Beside::Identity(rows, _) => rows.fit(self.joints, self.rows, self.outputs()),
            Beside::Product(product) => {
                product.fits(self.joints, self.rows) && product.layer.outputs == self.outputs()
            }
        };
        let out = Rows {
            bytes: self.out,
            joint: self.out_joint,
            stride: self.outputs(),
        };
        beside
            && self.main.fits(self.joints, self.rows)
            && out.fit(self.joints, self.rows, self.outputs())
    }
}
