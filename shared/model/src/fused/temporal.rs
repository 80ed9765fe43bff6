//! Temporal convolution as products of cache-sized matrices whose rows are nine frames.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;

use super::{CACHED, Flat, Raw, add, dims, grouped, product, raw};
use crate::temporal::{PADDING, TAPS};

/// Sizes of one convolution; a sequence is one joint of one window.
#[derive(Clone, Copy)]
struct Shape {
    sequences: usize,
    frames: usize,
    kept: usize,
    input: usize,
    output: usize,
    stride: usize,
}

impl Shape {
    fn new(x: &Raw, weight: &Raw, stride: usize) -> Self {
        let [batch, joint, frames, input] = dims(x);
        let [_, _, output] = dims(weight);
        let kept = frames.div_ceil(stride);
        Self {
            sequences: batch * joint,
            frames,
            kept,
            input,
            output,
            stride,
        }
    }

    /// Sequences whose rows of nine frames fit the cache.
    fn chunk(&self) -> usize {
        (CACHED / (self.kept * TAPS * self.input)).max(1)
    }

    /// For each kept frame: the run of floats in the row of nine frames, and where it lies in the sequence.
    fn runs(&self) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
        let Self {
            frames,
            kept,
            input,
            stride,
            ..
        } = *self;
        (0..kept).map(move |at| {
            let at = at * stride;
            let first = PADDING.saturating_sub(at);
            let last = TAPS.min(frames + PADDING - at);
            (first * input..last * input, (at + first - PADDING) * input)
        })
    }

    /// The rows of nine frames of some sequences, `[sequence * kept, tap * input]`.
    fn gather(&self, x: &[f32]) -> Vec<f32> {
        let width = TAPS * self.input;
        let sequence = self.frames * self.input;
        let mut rows = vec![0.0; x.len() / sequence * self.kept * width];
        for (x, rows) in x
            .chunks_exact(sequence)
            .zip(rows.chunks_exact_mut(self.kept * width))
        {
            for (row, (run, from)) in rows.chunks_exact_mut(width).zip(self.runs()) {
                let length = run.len();
                row[run].copy_from_slice(&x[from..from + length]);
            }
        }
        rows
    }

    /// The reverse of [`Self::gather`] for gradients: overlapping rows add up.
    fn scatter(&self, rows: &[f32], x: &mut [f32]) {
        let width = TAPS * self.input;
        let sequence = self.frames * self.input;
        for (x, rows) in x
            .chunks_exact_mut(sequence)
            .zip(rows.chunks_exact(self.kept * width))
        {
            for (row, (run, from)) in rows.chunks_exact(width).zip(self.runs()) {
                let length = run.len();
                add(&mut x[from..from + length], &row[run]);
            }
        }
    }
}

pub(super) fn forward(x: &Raw, weight: &Raw, bias: &Raw, stride: usize) -> Raw {
    let shape = Shape::new(x, weight, stride);
    let Shape {
        frames,
        kept,
        input,
        output,
        ..
    } = shape;
    let [batch, joint, ..] = dims::<4>(x);
    let (x, bias, weight) = (Flat::new(x), Flat::new(bias), Flat::new(weight));
    let matrix = raw(weight.values().to_vec(), [TAPS * input, output]);
    let parts = grouped(shape.sequences, |run| {
        let mut out = Vec::with_capacity(run.len() * kept * output);
        let x = &x.values()[run.start * frames * input..run.end * frames * input];
        for x in x.chunks(shape.chunk() * frames * input) {
            let rows = product(shape.gather(x), TAPS * input, &matrix);
            for row in rows.values().chunks_exact(output) {
                out.extend(
                    row.iter()
                        .zip(bias.values())
                        .map(|(value, bias)| value + bias),
                );
            }
        }
        out
    });
    raw(parts.concat(), [batch, joint, kept, output])
}

/// Gradients of input (if `needs_x`), weight and bias.
pub(super) fn backward(
    x: &Raw,
    weight: &Raw,
    stride: usize,
    grad: &Raw,
    needs_x: bool,
) -> [Option<Raw>; 3] {
    let shape = Shape::new(x, weight, stride);
    let Shape {
        frames,
        kept,
        input,
        output,
        ..
    } = shape;
    let width = TAPS * input;
    let x_shape = dims::<4>(x);
    let (x, grad, weight) = (Flat::new(x), Flat::new(grad), Flat::new(weight));
    let matrix = raw(weight.values().to_vec(), [width, output]);
    let transposed = matrix.transpose(0, 1).to_contiguous();
    let parts = grouped(shape.sequences, |run| {
        let mut dx = vec![
            0.0;
            if needs_x {
                run.len() * frames * input
            } else {
                0
            }
        ];
        let (mut dweight, mut dbias) = (vec![0.0; width * output], vec![0.0; output]);
        let x = &x.values()[run.start * frames * input..run.end * frames * input];
        let grad = &grad.values()[run.start * kept * output..run.end * kept * output];
        let chunk = shape.chunk();
        let chunks = x
            .chunks(chunk * frames * input)
            .zip(grad.chunks(chunk * kept * output));
        for (index, (x, grad)) in chunks.enumerate() {
            let count = grad.len() / output;
            let rows = raw(shape.gather(x), [count, width]).transpose(0, 1);
            let part = Flex::float_matmul(rows, raw(grad.to_vec(), [count, output]));
            add(&mut dweight, Flat::new(&part).values());
            for row in grad.chunks_exact(output) {
                add(&mut dbias, row);
            }
            if needs_x {
                let rows = product(grad.to_vec(), output, &transposed);
                let start = index * chunk * frames * input;
                shape.scatter(rows.values(), &mut dx[start..start + x.len()]);
            }
        }
        (dx, dweight, dbias)
    });
    let mut dx = Vec::with_capacity(if needs_x { x.values().len() } else { 0 });
    let (mut dweight, mut dbias) = (vec![0.0; width * output], vec![0.0; output]);
    for (x, weight, bias) in parts {
        dx.extend(x);
        add(&mut dweight, &weight);
        add(&mut dbias, &bias);
    }
    [
        needs_x.then(|| raw(dx, x_shape)),
        Some(raw(dweight, [TAPS, input, output])),
        Some(raw(dbias, [output])),
    ]
}
