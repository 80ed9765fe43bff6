//! BatchNorm over rows of channels, and the ReLU behind it.

use rayon::prelude::*;

use super::lanes::{wide, zip};
use super::{Flat, Raw, dims, group, raw};
use crate::norm::EPSILON;

/// Rows summed in f32 before the sum goes on in f64.
const BLOCK: usize = 64;

/// Mean and population variance of some rows in one pass, around their first row so that nothing cancels.
pub(super) struct Moments {
    count: usize,
    pivot: Vec<f32>,
    /// Sums of differences from the pivot, then of their squares, `[2 * channel]`.
    sums: Vec<f64>,
    block: Vec<f32>,
}

impl Moments {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            count: 0,
            pivot: vec![0.0; channels],
            sums: vec![0.0; 2 * channels],
            block: vec![0.0; 2 * channels],
        }
    }

    /// Takes rows in.
    pub(super) fn add(&mut self, rows: &[f32]) {
        let channels = self.pivot.len();
        if self.count == 0
            && let Some(first) = rows.get(..channels)
        {
            self.pivot.copy_from_slice(first);
        }
        self.count += rows.len() / channels;
        for rows in rows.chunks(BLOCK * channels) {
            self.block.fill(0.0);
            let (sums, squares) = self.block.split_at_mut(channels);
            let pivot = self.pivot.as_slice();
            wide(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact(channels) {
                        zip!([sums, squares], [row, pivot], {
                            let difference = row - pivot;
                            *sums += difference;
                            *squares += difference * difference;
                        });
                    }
                },
            );
            widen(&mut self.sums, &self.block);
        }
    }

    /// Mean and variance of all parts, which are joined in order: `[2, channel]`.
    pub(super) fn join(parts: &[Self]) -> Vec<f32> {
        let channels = parts.first().map_or(0, |part| part.pivot.len());
        let mut both = vec![0.0; 2 * channels];
        for channel in 0..channels {
            let (mut count, mut mean, mut square) = (0.0, 0.0, 0.0);
            for part in parts {
                let other = part.count as f64;
                let shifted = part.sums[channel] / other;
                let other_mean = f64::from(part.pivot[channel]) + shifted;
                let other_square = part.sums[channels + channel] - shifted * part.sums[channel];
                // Chan et al.: the moments of two sets joined.
                let (total, apart): (f64, f64) = (count + other, other_mean - mean);
                mean += apart * other / total;
                square += other_square + apart * apart * count * other / total;
                count = total;
            }
            both[channel] = mean as f32;
            both[channels + channel] = (square / count).max(0.0) as f32;
        }
        both
    }
}

/// One layer's constants in one pass.
pub(super) struct Layer<'a> {
    mean: &'a [f32],
    inverse: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl<'a> Layer<'a> {
    /// `statistics`: mean and variance, `[2, channel]`.
    pub(super) fn new(gamma: &[f32], beta: &[f32], statistics: &'a [f32]) -> Self {
        let (mean, variance) = statistics.split_at(gamma.len());
        let inverse: Vec<f32> = variance
            .iter()
            .map(|variance| 1.0 / (variance + EPSILON as f32).sqrt())
            .collect();
        let scale: Vec<f32> = gamma.iter().zip(&inverse).map(|(a, b)| a * b).collect();
        let shift = beta
            .iter()
            .zip(mean.iter().zip(&scale))
            .map(|(beta, (mean, scale))| beta - mean * scale)
            .collect();
        Self {
            mean,
            inverse,
            scale,
            shift,
        }
    }

    /// Normalised rows, with what is below `floor` set to it.
    pub(super) fn apply(&self, rows: &[f32], floor: f32, out: &mut [f32]) {
        let (scale, shift) = (self.scale.as_slice(), self.shift.as_slice());
        wide(
            #[inline(always)]
            || {
                let rows = rows.chunks_exact(scale.len());
                for (out, row) in out.chunks_exact_mut(scale.len()).zip(rows) {
                    zip!([out], [row, scale, shift], {
                        let value = row * scale + shift;
                        // This way round a NaN stays one.
                        *out = if value < floor { floor } else { value };
                    });
                }
            },
        );
    }

    /// Normalises rows where they are.
    pub(super) fn apply_in_place(&self, rows: &mut [f32]) {
        let (scale, shift) = (self.scale.as_slice(), self.shift.as_slice());
        wide(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(scale.len()) {
                    zip!([row], [scale, shift], {
                        *row = *row * scale + shift;
                    });
                }
            },
        );
    }

    /// Gradients of the rows, over those of the output in `grad`; see [`Slope`].
    pub(super) fn pull(&self, slope: &Slope, rows: &[f32], grad: &mut [f32]) {
        let (mean, scale) = (self.mean, self.scale.as_slice());
        let (constant, linear) = (slope.constant.as_slice(), slope.linear.as_slice());
        wide(
            #[inline(always)]
            || {
                let rows = rows.chunks_exact(mean.len());
                for (grad, row) in grad.chunks_exact_mut(mean.len()).zip(rows) {
                    zip!([grad], [row, mean, scale, constant, linear], {
                        *grad = *grad * scale - constant - (row - mean) * linear;
                    });
                }
            },
        );
    }

    /// Sums without any contribution.
    pub(super) fn sums(&self) -> Sums<'a> {
        Sums {
            mean: self.mean,
            sums: vec![0.0; 2 * self.mean.len()],
            block: vec![0.0; 2 * self.mean.len()],
        }
    }

    /// Gradients of beta and gamma, and how rows follow them. With given statistics (`count` nothing) rows do not
    /// move the statistics.
    pub(super) fn slope<'b>(
        &self,
        parts: impl IntoIterator<Item = &'b Sums<'b>>,
        count: Option<usize>,
    ) -> Slope {
        let channels = self.mean.len();
        let mut total = vec![0.0; 2 * channels];
        for part in parts {
            for (total, part) in total.iter_mut().zip(&part.sums) {
                *total += part;
            }
        }
        let (beta, centred) = total.split_at(channels);
        let beta: Vec<f32> = beta.iter().map(|sum| *sum as f32).collect();
        let gamma: Vec<f32> = centred
            .iter()
            .zip(&self.inverse)
            .map(|(sum, inverse)| *sum as f32 * inverse)
            .collect();
        let share = count.map_or(0.0, |count| 1.0 / count as f32);
        let spread = |sums: &[f32]| -> Vec<f32> {
            let pairs = sums.iter().zip(&self.scale);
            pairs.map(|(sum, scale)| sum * scale * share).collect()
        };
        let (constant, mut linear) = (spread(&beta), spread(&gamma));
        for (linear, inverse) in linear.iter_mut().zip(&self.inverse) {
            *linear *= inverse;
        }
        Slope {
            beta,
            gamma,
            constant,
            linear,
        }
    }
}

/// Sums over rows for the gradients of beta and gamma.
pub(super) struct Sums<'a> {
    mean: &'a [f32],
    /// Of gradients, then of gradients times the row's distance from the mean, `[2 * channel]`.
    sums: Vec<f64>,
    block: Vec<f32>,
}

impl Sums<'_> {
    /// Sets gradients to zero where `keep` is not above `floor`, then takes them in.
    pub(super) fn mask_and_add(
        &mut self,
        rows: &[f32],
        grads: &mut [f32],
        keep: &[f32],
        floor: f32,
    ) {
        let (mean, channels) = (self.mean, self.mean.len());
        let size = BLOCK * channels;
        let blocks = rows.chunks(size).zip(keep.chunks(size));
        for ((rows, keep), grads) in blocks.zip(grads.chunks_mut(size)) {
            self.block.fill(0.0);
            let (sums, centred) = self.block.split_at_mut(channels);
            wide(
                #[inline(always)]
                || {
                    let rows = rows.chunks_exact(channels).zip(keep.chunks_exact(channels));
                    for ((row, keep), grad) in rows.zip(grads.chunks_exact_mut(channels)) {
                        zip!([sums, centred, grad], [row, keep, mean], {
                            let passed = if keep > floor { *grad } else { 0.0 };
                            *grad = passed;
                            *sums += passed;
                            *centred += passed * (row - mean);
                        });
                    }
                },
            );
            widen(&mut self.sums, &self.block);
        }
    }

    /// Takes gradients in.
    pub(super) fn add(&mut self, rows: &[f32], grads: &[f32]) {
        let (mean, channels) = (self.mean, self.mean.len());
        let size = BLOCK * channels;
        for (rows, grads) in rows.chunks(size).zip(grads.chunks(size)) {
            self.block.fill(0.0);
            let (sums, centred) = self.block.split_at_mut(channels);
            wide(
                #[inline(always)]
                || {
                    let grads = grads.chunks_exact(channels);
                    for (row, grad) in rows.chunks_exact(channels).zip(grads) {
                        zip!([sums, centred], [row, grad, mean], {
                            *sums += grad;
                            *centred += grad * (row - mean);
                        });
                    }
                },
            );
            widen(&mut self.sums, &self.block);
        }
    }
}

/// Gradients of a layer's parameters; a row's gradient is
/// `scale * grad - constant - linear * (row - mean)`.
pub(super) struct Slope {
    pub(super) beta: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    constant: Vec<f32>,
    linear: Vec<f32>,
}

fn widen(sums: &mut [f64], block: &[f32]) {
    for (sum, block) in sums.iter_mut().zip(block) {
        *sum += f64::from(*block);
    }
}

/// Below this nothing passes.
fn floor(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

/// Mean and population variance of each channel, `[2, channel]`.
pub(super) fn statistics(rows: &Raw) -> Raw {
    let [count, channels] = dims(rows);
    let rows = Flat::new(rows);
    let parts: Vec<Moments> = rows
        .values()
        .par_chunks(group(count) * channels)
        .map(|rows| {
            let mut moments = Moments::new(channels);
            moments.add(rows);
            moments
        })
        .collect();
    raw(Moments::join(&parts), [2, channels])
}

pub(super) fn forward(rows: &Raw, gamma: &Raw, beta: &Raw, statistics: &Raw, relu: bool) -> Raw {
    let [count, channels] = dims(rows);
    let (rows, gamma, beta) = (Flat::new(rows), Flat::new(gamma), Flat::new(beta));
    let statistics = Flat::new(statistics);
    let layer = Layer::new(gamma.values(), beta.values(), statistics.values());
    let mut out = vec![0.0; count * channels];
    let size = group(count) * channels;
    out.par_chunks_mut(size)
        .zip(rows.values().par_chunks(size))
        .for_each(|(out, rows)| layer.apply(rows, floor(relu), out));
    raw(out, [count, channels])
}

/// Gradients of rows, gamma and beta.
pub(super) fn backward(
    rows: &Raw,
    gamma: &Raw,
    beta: &Raw,
    statistics: &Raw,
    relu: bool,
    grad: Raw,
) -> [Raw; 3] {
    let [count, channels] = dims(rows);
    let (rows, gamma, beta) = (Flat::new(rows), Flat::new(gamma), Flat::new(beta));
    let statistics = Flat::new(statistics);
    let layer = Layer::new(gamma.values(), beta.values(), statistics.values());
    let mut grad = Flat::new(&grad);
    let size = group(count) * channels;
    let parts: Vec<Sums<'_>> = grad
        .values_mut()
        .par_chunks_mut(size)
        .zip(rows.values().par_chunks(size))
        .map(|(grad, rows)| {
            let mut sums = layer.sums();
            if relu {
                let mut normalized = vec![0.0; rows.len()];
                layer.apply(rows, f32::NEG_INFINITY, &mut normalized);
                sums.mask_and_add(rows, grad, &normalized, 0.0);
            } else {
                sums.add(rows, grad);
            }
            sums
        })
        .collect();
    let slope = layer.slope(&parts, Some(count));
    grad.values_mut()
        .par_chunks_mut(size)
        .zip(rows.values().par_chunks(size))
        .for_each(|(grad, rows)| layer.pull(&slope, rows, grad));
    [
        grad.reshaped([count, channels]),
        raw(slope.gamma, [channels]),
        raw(slope.beta, [channels]),
    ]
}
