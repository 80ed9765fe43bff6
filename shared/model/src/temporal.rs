//! The convolution along time, in the layout `[batch, joint, frame, channel]`.

use burn::module::{Module, Param};
use burn::tensor::{Slice, Tensor};

use crate::fused;
use crate::init::{Initializer, WEIGHT_SPREAD};

/// Taps of ST-GCN's temporal convolution.
pub const TAPS: usize = 9;
/// Zero frames put before and after a window of ST-GCN's.
pub const PADDING: usize = TAPS / 2;

/// Convolution along time with an odd number of taps, the same for every joint.
#[derive(Module, Debug)]
pub struct TemporalConv {
    /// `[tap, channel in, channel out]`.
    pub weight: Param<Tensor<3>>,
    /// `[channel out]`.
    pub bias: Param<Tensor<1>>,
}

impl TemporalConv {
    pub(crate) fn new(input: usize, output: usize, init: &mut Initializer<'_>) -> Self {
        Self::with([TAPS, input, output], WEIGHT_SPREAD, init)
    }

    /// `shape`: taps (odd), channels in and out; weights N(0, `spread`).
    pub(crate) fn with(shape: [usize; 3], spread: f32, init: &mut Initializer<'_>) -> Self {
        let [_, _, output] = shape;
        Self {
            weight: init.normal(shape, 0.0, spread),
            bias: init.constant([output], 0.0),
        }
    }

    /// Convolves along time; every `stride`-th frame is kept.
    ///
    /// # Shapes
    /// `[batch, joint, frame, channel in] -> [batch, joint, ceil(frame / stride), channel out]`
    pub fn forward(&self, x: Tensor<4>, stride: usize) -> Tensor<4> {
        if fused::available(&x.device()) {
            fused::temporal(x, self.weight.val(), self.bias.val(), stride)
        } else {
            self.plain(x, stride)
        }
    }

    /// The convolution out of Burn's operations, for every backend.
    pub(crate) fn plain(&self, x: Tensor<4>, stride: usize) -> Tensor<4> {
        let [batch, joint, frame, input] = x.dims();
        let [taps, _, output] = self.weight.dims();
        let kept = frame.div_ceil(stride);
        let edge = Tensor::zeros([batch, joint, taps / 2, input], &x.device());
        let padded = Tensor::cat(vec![edge.clone(), x, edge], 2);
        let weight = self.weight.val();
        let mut sum: Option<Tensor<2>> = None;
        // Shifted slices: under autodiff they cost less than `unfold`.
        for tap in 0..taps {
            let rows =
                every(padded.clone(), tap, kept, stride).reshape([batch * joint * kept, input]);
            let part = rows.matmul(weight.clone().narrow(0, tap, 1).reshape([input, output]));
            sum = Some(match sum {
                Some(sum) => sum + part,
                None => part,
            });
        }
        let sum =
            sum.unwrap_or_else(|| Tensor::zeros([batch * joint * kept, output], &weight.device()));
        (sum + self.bias.val().unsqueeze()).reshape([batch, joint, kept, output])
    }
}

/// `count` frames from `start` on, `stride` apart.
pub(crate) fn every(x: Tensor<4>, start: usize, count: usize, stride: usize) -> Tensor<4> {
    let end = (start + (count - 1) * stride + 1) as isize;
    let frames = Slice::new(start as isize, Some(end), stride as isize);
    x.slice([Slice::full(), Slice::full(), frames, Slice::full()])
}
