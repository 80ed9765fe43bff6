//! Temporal convolution as one product a frame: the frames around it lie next to each other, so
//! nothing is copied, and frames outside the window are left out.

use rayon::prelude::*;

use super::lanes::{add_to_rows, sum_rows};
use super::matrix::{Matrix, Write, product};
use super::{CACHED, Flat, Raw, dims, group, raw};

/// Sizes of one convolution; a sequence is one joint of one window.
#[derive(Clone, Copy)]
pub(super) struct Temporal {
    pub(super) frames: usize,
    pub(super) kept: usize,
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) stride: usize,
    /// Frames that a kept frame sees, odd.
    pub(super) taps: usize,
}

/// The weights as the input's gradient needs them.
pub(super) struct Flipped {
    /// For each remainder of a frame's number: its taps from the last to the first, `[tap, output, input]`.
    phases: Vec<Vec<f32>>,
}

impl Temporal {
    /// `weight`: taps, input and output channels.
    pub(super) fn new(frames: usize, weight: [usize; 3], stride: usize) -> Self {
        let [taps, input, output] = weight;
        Self {
            frames,
            kept: frames.div_ceil(stride),
            input,
            output,
            stride,
            taps,
        }
    }

    /// Zero frames before and after a window.
    fn padding(&self) -> usize {
        self.taps / 2
    }

    /// Floats of a sequence of the input.
    pub(super) fn sequence(&self) -> usize {
        self.frames * self.input
    }

    /// Floats of a sequence of the output.
    pub(super) fn kept_sequence(&self) -> usize {
        self.kept * self.output
    }

    /// For each kept frame: its taps that lie inside the window, and the frame under the first of them.
    fn runs(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>, usize)> {
        let Self {
            frames,
            kept,
            stride,
            taps,
            ..
        } = *self;
        let padding = self.padding();
        (0..kept).map(move |index| {
            let at = index * stride;
            let first = padding.saturating_sub(at);
            let last = taps.min(frames + padding - at);
            (index, first..last, at + first - padding)
        })
    }

    /// The output of some sequences, without the bias.
    ///
    /// # Shapes
    /// `x`: `[sequence, frame, input]`; `weight`: `[tap, input, output]`; `out`: `[sequence, kept, output]`
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let Self { input, output, .. } = *self;
        let count = x.len() / self.sequence();
        for (index, taps, from) in self.runs() {
            let width = taps.len() * input;
            product(
                Matrix::new(&x[from * input..], [count, width], self.sequence()),
                Matrix::new(
                    &weight[taps.start * input * output..],
                    [width, output],
                    output,
                ),
                &mut out[index * output..],
                self.kept_sequence(),
                Write::Set,
            );
        }
    }

    /// Adds what some sequences contribute to the gradient of the weights.
    pub(super) fn weight_gradient(&self, x: &[f32], grad: &[f32], sum: &mut [f32]) {
        let Self { input, output, .. } = *self;
        let count = x.len() / self.sequence();
        for (index, taps, from) in self.runs() {
            let width = taps.len() * input;
            product(
                Matrix::new(&x[from * input..], [count, width], self.sequence()).transposed(),
                Matrix::new(
                    &grad[index * output..],
                    [count, output],
                    self.kept_sequence(),
                ),
                &mut sum[taps.start * input * output..],
                output,
                Write::Add,
            );
        }
    }

    /// The weights turned round for [`Self::input_gradient`].
    pub(super) fn flipped(&self, weight: &[f32]) -> Flipped {
        let Self {
            input,
            output,
            taps,
            ..
        } = *self;
        let phases = (0..self.stride.min(taps)).map(|phase| {
            let mut turned = Vec::with_capacity(taps.div_ceil(self.stride) * input * output);
            for tap in (phase..taps).step_by(self.stride).rev() {
                let weight = &weight[tap * input * output..][..input * output];
                for output_channel in 0..output {
                    turned.extend(weight.iter().skip(output_channel).step_by(output));
                }
            }
            turned
        });
        Flipped {
            phases: phases.collect(),
        }
    }

    /// The input's gradient for some sequences.
    pub(super) fn input_gradient(&self, grad: &[f32], flipped: &Flipped, dx: &mut [f32]) {
        let Self {
            kept,
            input,
            output,
            stride,
            ..
        } = *self;
        let (count, padding) = (grad.len() / self.kept_sequence(), self.padding());
        for frame in 0..self.frames {
            // Frame `frame` lies under tap `frame + padding - stride * k` of kept frame `k`.
            let phase = (frame + padding) % stride;
            let (weight, latest) = match flipped.phases.get(phase) {
                Some(weight) => (weight.as_slice(), (frame + padding) / stride),
                None => (&[][..], 0),
            };
            let taps = weight.len() / (input * output);
            let low = (latest + 1).saturating_sub(taps);
            let high = (latest + 1).min(kept);
            // Rows of the turned weights before the first kept frame.
            let skipped = (low + taps).saturating_sub(latest + 1);
            if taps == 0 || low >= high {
                for row in dx[frame * input..].chunks_mut(self.sequence()) {
                    row[..input].fill(0.0);
                }
                continue;
            }
            let width = (high - low) * output;
            product(
                Matrix::new(&grad[low * output..], [count, width], self.kept_sequence()),
                Matrix::new(&weight[skipped * output * input..], [width, input], input),
                &mut dx[frame * input..],
                self.sequence(),
                Write::Set,
            );
        }
    }

    /// Sequences whose input fits the cache.
    fn chunk(&self) -> usize {
        (CACHED / self.sequence().max(1)).max(1)
    }
}

pub(super) fn forward(x: &Raw, weight: &Raw, bias: &Raw, stride: usize) -> Raw {
    let [batch, joint, frames, input] = dims(x);
    let [taps, _, output] = dims(weight);
    let sizes = Temporal::new(frames, [taps, input, output], stride);
    let (x, bias, weight) = (Flat::new(x), Flat::new(bias), Flat::new(weight));
    let (sequence, kept) = (sizes.sequence(), sizes.kept_sequence());
    let mut out = vec![0.0; batch * joint * kept];
    let run = group(batch * joint);
    out.par_chunks_mut(run * kept)
        .zip(x.values().par_chunks(run * sequence))
        .for_each(|(out, x)| {
            let chunk = sizes.chunk();
            let chunks = out.chunks_mut(chunk * kept).zip(x.chunks(chunk * sequence));
            for (out, x) in chunks {
                sizes.forward(x, weight.values(), out);
                add_to_rows(out, bias.values());
            }
        });
    raw(out, [batch, joint, sizes.kept, output])
}

/// Gradients of input (if `needs_x`), weight and bias.
pub(super) fn backward(
    x: &Raw,
    weight: &Raw,
    stride: usize,
    grad: &Raw,
    needs_x: bool,
) -> [Option<Raw>; 3] {
    let [batch, joint, frames, input] = dims(x);
    let [taps, _, output] = dims(weight);
    let sizes = Temporal::new(frames, [taps, input, output], stride);
    let (x, grad, weight) = (Flat::new(x), Flat::new(grad), Flat::new(weight));
    let (sequence, kept) = (sizes.sequence(), sizes.kept_sequence());
    let run = group(batch * joint);
    let chunk = sizes.chunk();
    let parts: Vec<(Vec<f32>, Vec<f32>)> = x
        .values()
        .par_chunks(run * sequence)
        .zip(grad.values().par_chunks(run * kept))
        .map(|(x, grad)| {
            let (mut dweight, mut dbias) = (vec![0.0; taps * input * output], vec![0.0; output]);
            for (x, grad) in x.chunks(chunk * sequence).zip(grad.chunks(chunk * kept)) {
                sizes.weight_gradient(x, grad, &mut dweight);
                sum_rows(&mut dbias, grad);
            }
            (dweight, dbias)
        })
        .collect();
    let (mut dweight, mut dbias) = (vec![0.0; taps * input * output], vec![0.0; output]);
    for (weight, bias) in &parts {
        sum_rows(&mut dweight, weight);
        sum_rows(&mut dbias, bias);
    }
    let dx = needs_x.then(|| {
        let flipped = sizes.flipped(weight.values());
        let mut dx = vec![0.0; batch * joint * sequence];
        dx.par_chunks_mut(run * sequence)
            .zip(grad.values().par_chunks(run * kept))
            .for_each(|(dx, grad)| {
                for (dx, grad) in dx
                    .chunks_mut(chunk * sequence)
                    .zip(grad.chunks(chunk * kept))
                {
                    sizes.input_gradient(grad, &flipped, dx);
                }
            });
        raw(dx, [batch, joint, frames, input])
    });
    [
        dx,
        Some(raw(dweight, [taps, input, output])),
        Some(raw(dbias, [output])),
    ]
}
