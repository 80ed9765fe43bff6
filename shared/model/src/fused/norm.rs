//! BatchNorm with batch statistics, and the ReLU behind it.

use super::{Flat, Raw, dims, grouped, raw};
use crate::norm::EPSILON;

/// Rows summed in f32 before the sum goes on in f64.
const BLOCK: usize = 64;

/// Mean and population variance of each channel, `[2, channel]`.
pub(super) fn statistics(rows: &Raw) -> Raw {
    let [count, channels] = dims(rows);
    let rows = Flat::new(rows);
    let mean = sums(count, channels, |range, block| {
        for row in
            rows.values()[range.start * channels..range.end * channels].chunks_exact(channels)
        {
            for (sum, value) in block.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    let mean: Vec<f32> = mean
        .into_iter()
        .map(|sum| (sum / count as f64) as f32)
        .collect();
    let square = sums(count, channels, |range, block| {
        for row in
            rows.values()[range.start * channels..range.end * channels].chunks_exact(channels)
        {
            for ((sum, value), mean) in block.iter_mut().zip(row).zip(&mean) {
                *sum += (value - mean) * (value - mean);
            }
        }
    });
    let mut both = mean;
    both.extend(square.into_iter().map(|sum| (sum / count as f64) as f32));
    raw(both, [2, channels])
}

/// Sums over all rows of what `add` adds to a block of `width` values.
fn sums(
    count: usize,
    width: usize,
    add: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) -> Vec<f64> {
    let parts = grouped(count, |run| {
        let mut sum = vec![0.0_f64; width];
        let mut block = vec![0.0_f32; width];
        for start in run.clone().step_by(BLOCK) {
            block.fill(0.0);
            add(start..run.end.min(start + BLOCK), &mut block);
            for (sum, block) in sum.iter_mut().zip(&block) {
                *sum += f64::from(*block);
            }
        }
        sum
    });
    let mut total = vec![0.0; width];
    for part in parts {
        for (total, part) in total.iter_mut().zip(part) {
            *total += part;
        }
    }
    total
}

/// Scale and shift of each channel.
fn affine(gamma: &[f32], beta: &[f32], statistics: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mean, variance) = statistics.split_at(gamma.len());
    let scale: Vec<f32> = gamma
        .iter()
        .zip(variance)
        .map(|(gamma, variance)| gamma / (variance + EPSILON as f32).sqrt())
        .collect();
    let shift = beta
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((beta, mean), scale)| beta - mean * scale)
        .collect();
    (scale, shift)
}

pub(super) fn forward(rows: &Raw, gamma: &Raw, beta: &Raw, statistics: &Raw, relu: bool) -> Raw {
    let [count, channels] = dims(rows);
    let rows = Flat::new(rows);
    let (scale, shift) = affine(
        Flat::new(gamma).values(),
        Flat::new(beta).values(),
        Flat::new(statistics).values(),
    );
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let parts = grouped(count, |run| {
        let mut out = vec![0.0; run.len() * channels];
        let rows = rows.values()[run.start * channels..run.end * channels].chunks_exact(channels);
        for (out, row) in out.chunks_exact_mut(channels).zip(rows) {
            for (((out, value), scale), shift) in out.iter_mut().zip(row).zip(&scale).zip(&shift) {
                *out = (value * scale + shift).max(floor);
            }
        }
        out
    });
    raw(parts.concat(), [count, channels])
}

/// Gradients of rows, gamma and beta; the statistics' dependence on the rows is part of the first.
pub(super) fn backward(
    rows: &Raw,
    gamma: &Raw,
    beta: &Raw,
    statistics: &Raw,
    relu: bool,
    grad: &Raw,
) -> [Raw; 3] {
    let [count, channels] = dims(rows);
    let (rows, grad) = (Flat::new(rows), Flat::new(grad));
    let statistics = Flat::new(statistics);
    let (scale, shift) = affine(
        Flat::new(gamma).values(),
        Flat::new(beta).values(),
        statistics.values(),
    );
    let (mean, variance) = statistics.values().split_at(channels);
    let inverse: Vec<f32> = variance
        .iter()
        .map(|variance| 1.0 / (variance + EPSILON as f32).sqrt())
        .collect();
    // The gradient that passes the ReLU.
    let passed = |value: f32, grad: f32, channel: usize| {
        if relu && value * scale[channel] + shift[channel] <= 0.0 {
            0.0
        } else {
            grad
        }
    };
    let slice = |range: &std::ops::Range<usize>| range.start * channels..range.end * channels;
    let totals = sums(count, 2 * channels, |range, block| {
        let (dbeta, dgamma) = block.split_at_mut(channels);
        let rows = rows.values()[slice(&range)].chunks_exact(channels);
        for (row, grad) in rows.zip(grad.values()[slice(&range)].chunks_exact(channels)) {
            for channel in 0..channels {
                let grad = passed(row[channel], grad[channel], channel);
                dbeta[channel] += grad;
                dgamma[channel] += grad * (row[channel] - mean[channel]) * inverse[channel];
            }
        }
    });
    let totals: Vec<f32> = totals.into_iter().map(|total| total as f32).collect();
    let (dbeta, dgamma) = totals.split_at(channels);
    let share = 1.0 / count as f32;
    let parts = grouped(count, |run| {
        let mut out = vec![0.0; run.len() * channels];
        let rows = rows.values()[slice(&run)].chunks_exact(channels);
        let grads = grad.values()[slice(&run)].chunks_exact(channels);
        for ((out, row), grad) in out.chunks_exact_mut(channels).zip(rows).zip(grads) {
            for channel in 0..channels {
                let grad = passed(row[channel], grad[channel], channel);
                let normalized = (row[channel] - mean[channel]) * inverse[channel];
                out[channel] = scale[channel]
                    * (grad - share * (dbeta[channel] + normalized * dgamma[channel]));
            }
        }
        out
    });
    [
        raw(parts.concat(), [count, channels]),
        raw(dgamma.to_vec(), [channels]),
        raw(dbeta.to_vec(), [channels]),
    ]
}
