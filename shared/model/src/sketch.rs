//! From trunk features to what the adaptable tail reads: the int8 engine runs the last blocks, a constant random matrix sketches
//! what goes into the last temporal convolution.
//!
//! The matrix `S`, `[tap, channel, rank]`, has independent entries of `+-1 / sqrt(rank)` (Achlioptas, "Database-friendly random
//! projections", 2003), so it keeps inner products in the mean. It is the same on every device and never stored: it follows from
//! its shape.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt as _;
use tendon_engine::{BufferError, Encoder, TailWeights};

use crate::augment::random::generator;
use crate::tail::TailInput;
use crate::temporal::{PADDING, TAPS};

/// Seed of the matrix. A constant of the format: adapted tails are worthless with another matrix.
const SEED: u64 = 0x7465_6e64_6f6e;

/// What the tail reads of a window's bodies, in a form that is cheap to keep: it follows from the trunk features alone, so that who
/// asks many tails about one window, or trains one for many steps, runs the last blocks once.
#[derive(Debug, Clone, PartialEq)]
pub struct TailRead {
    bodies: usize,
    /// `[body, joint, frame', rank]`
    sketch: Vec<f32>,
    /// `[body, joint, frame', dim]`, steps of the engine.
    output: Vec<u8>,
}

impl TailRead {
    /// Whether there was no body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bodies == 0
    }
}

/// The matrix for one encoder.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// `[channel, tap * rank]`, in steps of the int8 activations.
    matrix: Tensor<2>,
    rank: usize,
    /// Joints, frames before and after the last temporal convolution, its time stride.
    joints: usize,
    frames: usize,
    frames_out: usize,
    stride: usize,
    dim: usize,
    output_scale: f32,
}

impl Sketch {
    /// The matrix of `rank` columns for the encoder of `weights`; products with it are computed on `device`.
    #[must_use]
    pub fn new(weights: &TailWeights<'_>, rank: usize, device: &Device) -> Self {
        let spec = weights.spec();
        let mut rng = generator(SEED, rank as u64, spec.dim as u64, 0);
        let spread = (rank as f32).sqrt().recip();
        let matrix: Vec<f32> = (0..spec.dim)
            .flat_map(|channel| std::iter::repeat_n(weights.hidden_scale(channel), TAPS * rank))
            .map(|scale| match rng.random::<bool>() {
                true => scale * spread,
                false => -scale * spread,
            })
            .collect();
        let last = spec.block_shapes().last();
        Self {
            matrix: Tensor::from_data(TensorData::new(matrix, [spec.dim, TAPS * rank]), device),
            rank,
            joints: spec.joints,
            frames: last.map_or(0, |last| last.frames),
            frames_out: spec.frames_out,
            stride: last.map_or(1, |last| last.stride),
            dim: spec.dim,
            output_scale: weights.output_scale(),
        }
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Runs the last blocks on bodies' trunk features and sketches.
    ///
    /// # Shapes
    /// each of `trunks`: `[joint, frame, channel]`
    ///
    /// # Errors
    /// [`BufferError`] when a body's features do not fit the encoder.
    pub fn read<'f>(
        &self,
        encoder: &Encoder<'_>,
        trunks: impl ExactSizeIterator<Item = &'f [i8]>,
    ) -> Result<TailRead, BufferError> {
        let spec = encoder.spec();
        let bodies = trunks.len();
        let mut arena = vec![0; encoder.arena_len()];
        let mut hidden = vec![0; spec.hidden_len()];
        let mut sketch = Vec::with_capacity(bodies * self.joints * self.frames_out * self.rank);
        let mut output = vec![0; bodies * spec.output_len()];
        for (trunk, last) in trunks.zip(output.chunks_exact_mut(spec.output_len().max(1))) {
            encoder.tail_activations(trunk, &mut arena, &mut hidden, last)?;
            self.sketch(&hidden, &mut sketch);
        }
        Ok(TailRead {
            bodies,
            sketch,
            output,
        })
    }

    /// What was read of some windows, one after the other, as tensors on `device`.
    #[must_use]
    pub fn input(&self, read: &[&TailRead], device: &Device) -> TailInput {
        let bodies = read.iter().map(|read| read.bodies).sum();
        let (mut sketch, mut output) = (Vec::new(), Vec::new());
        for read in read {
            sketch.extend_from_slice(&read.sketch);
            let values = read.output.iter().map(|q| f32::from(*q));
            output.extend(values.map(|value| value * self.output_scale));
        }
        let shape = |last| [bodies, self.joints, self.frames_out, last];
        let tensor = |values, last| Tensor::from_data(TensorData::new(values, shape(last)), device);
        TailInput {
            sketch: tensor(sketch, self.rank),
            output: tensor(output, self.dim),
        }
    }

    /// Appends one body's sketch: a product with all taps' columns at once, then each tap's columns are added one frame on.
    fn sketch(&self, hidden: &[u8], out: &mut Vec<f32>) {
        let rows = self.joints * self.frames;
        let values: Vec<f32> = hidden.iter().map(|q| f32::from(*q)).collect();
        let device = self.matrix.device();
        let product = Tensor::<2>::from_data(TensorData::new(values, [rows, self.dim]), &device)
            .matmul(self.matrix.clone());
        // The matrix is f32, so the conversion cannot fail.
        let product: Vec<f32> = product.into_data().try_to_vec().unwrap_or_default();
        let width = TAPS * self.rank;
        for joint in product.chunks_exact(self.frames * width) {
            for frame in 0..self.frames_out {
                let start = out.len();
                out.resize(start + self.rank, 0.0);
                let sum = out.get_mut(start..).unwrap_or_default();
                for tap in 0..TAPS {
                    let from = (frame * self.stride + tap).checked_sub(PADDING);
                    let Some(row) =
                        from.and_then(|from| joint.get(from * width..(from + 1) * width))
                    else {
                        continue;
                    };
                    let part = row.get(tap * self.rank..).unwrap_or_default();
                    sum.iter_mut()
                        .zip(part)
                        .for_each(|(sum, part)| *sum += part);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_bundle::testing::{Shape, random_encoder};

    #[test]
    fn keeps_inner_products_in_the_mean() {
        let shape = Shape {
            blocks: vec![(8, 1), (8, 1), (32, 2)],
            trunk_blocks: 2,
            ..Shape::small(3, 12, 4)
        };
        let blob = random_encoder(&shape, 1);
        let encoder = Encoder::parse(&blob).unwrap();
        let rank = 512;
        let sketch = Sketch::new(&encoder.tail_weights(), rank, &Device::flex());
        let spec = encoder.spec();
        let hidden: Vec<u8> = (0..spec.hidden_len())
            .map(|index| (index * 37 % 251) as u8)
            .collect();
        let mut sketched = Vec::new();
        sketch.sketch(&hidden, &mut sketched);
        assert_eq!(sketched.len(), spec.joints * spec.frames_out * rank);
        let scales = encoder.tail_weights();
        // What the strided convolution reads for an output frame, nine frames one after the other.
        let read = |joint: usize, frame: usize| -> Vec<f32> {
            let at = |tap: usize, channel: usize| {
                (frame * 2 + tap)
                    .checked_sub(PADDING)
                    .filter(|from| *from < 12)
                    .map_or(0.0, |from| {
                        let q = hidden[(joint * 12 + from) * spec.dim + channel];
                        f32::from(q) * scales.hidden_scale(channel)
                    })
            };
            (0..TAPS)
                .flat_map(|tap| (0..spec.dim).map(move |channel| (tap, channel)))
                .map(|(tap, channel)| at(tap, channel))
                .collect()
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let row = |joint: usize, frame: usize| {
            let at = (joint * spec.frames_out + frame) * rank;
            &sketched[at..at + rank]
        };
        for (one, other) in [((0, 0), (0, 0)), ((1, 3), (1, 3)), ((0, 2), (2, 5))] {
            let exact = dot(&read(one.0, one.1), &read(other.0, other.1));
            let found = dot(row(one.0, one.1), row(other.0, other.1));
            assert!((found - exact).abs() < 0.2 * exact, "{found} for {exact}");
        }
    }

    #[test]
    fn is_the_same_matrix_every_time() {
        let blob = random_encoder(&Shape::small(5, 16, 3), 2);
        let encoder = Encoder::parse(&blob).unwrap();
        let matrix = || {
            let sketch = Sketch::new(&encoder.tail_weights(), 4, &Device::flex());
            sketch.matrix.into_data().try_to_vec::<f32>().unwrap()
        };
        assert_eq!(matrix(), matrix());
    }
}
