//! Equalization: a block's output channels are brought to like ranges, so that one scale for all of them wastes few steps.
//!
//! ReLU lets a positive factor through, so each channel may be divided by a factor that whatever reads it multiplies again; the
//! network stays the same function. The last block keeps its scale: its channels are the embedding.
//!
//! # Source
//! Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019. Deliberate difference: the
//! factors come from the ranges of activations alone, `(range / largest range) ^ strength`, because weights have a scale for every
//! output channel anyway; the strength is chosen on calibration windows by [`super::measure`].

use super::calibrate::{Method, Observations};
use tendon_model::folded::{Folded, Residual, Site};

/// A channel is made at most so many times larger: beyond, the weights that read it lose more than it gains.
const MOST: f32 = 16.0;

/// The same function with factors between its blocks, and what would have been seen of it; a strength of 0 changes nothing.
#[must_use]
pub fn equalize(network: &Folded, seen: &Observations, strength: f32) -> (Folded, Observations) {
    let (mut network, mut seen) = (network.clone(), seen.clone());
    for block in 0..network.blocks.len().saturating_sub(1) {
        let Some(outputs) = seen.get_mut(&Site::Output(block)) else {
            continue;
        };
        let channels = network.blocks[block].output;
        let ranges: Vec<f32> = (0..channels)
            .map(|channel| {
                let method = Method::Percentile(1e-3);
                outputs.range(channel..channel + 1, method).high
            })
            .collect();
        let largest = ranges.iter().fold(1e-6_f32, |most, range| most.max(*range));
        let factors: Vec<f32> = ranges
            .iter()
            .map(|range| (range / largest).powf(strength).max(1.0 / MOST))
            .collect();
        outputs.divide(&factors);
        if let Some(gathered) = seen.get_mut(&Site::Gathered(block + 1)) {
            gathered.divide(&factors);
        }
        divide_outputs(&mut network, block, &factors);
        multiply_inputs(&mut network, block + 1, &factors);
    }
    (network, seen)
}

/// Makes block `block` give each channel divided by its factor.
fn divide_outputs(network: &mut Folded, block: usize, factors: &[f32]) {
    let block = &mut network.blocks[block];
    divide(&mut block.temporal, factors);
    divide(&mut block.temporal_bias, factors);
    match &mut block.residual {
        Residual::None => {}
        Residual::Identity(scale) => divide(scale, factors),
        Residual::Convolution { weight, bias } => {
            divide(weight, factors);
            divide(bias, factors);
        }
    }
}

/// Makes block `block` multiply each channel that it reads by its factor.
fn multiply_inputs(network: &mut Folded, block: usize, factors: &[f32]) {
    let block = &mut network.blocks[block];
    let rows = block.graph.chunks_exact_mut(block.output);
    for (row, factor) in rows.zip(factors.iter().cycle()) {
        row.iter_mut().for_each(|weight| *weight *= factor);
    }
    match &mut block.residual {
        Residual::None => {}
        Residual::Identity(scale) => scale
            .iter_mut()
            .zip(factors)
            .for_each(|(scale, factor)| *scale *= factor),
        Residual::Convolution { weight, .. } => {
            for (row, factor) in weight.chunks_exact_mut(block.output).zip(factors) {
                row.iter_mut().for_each(|weight| *weight *= factor);
            }
        }
    }
}

/// Divides values `[.., out]` by each output's factor.
fn divide(values: &mut [f32], factors: &[f32]) {
    for (value, factor) in values.iter_mut().zip(factors.iter().cycle()) {
        *value /= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::super::calibrate::observe;
    use super::super::fold::{
        fold,
        tests::{names, random_classifier},
    };
    use super::*;
    use tendon_bundle::testing::Numbers;
    use tendon_model::encoder::EncoderConfig;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn the_function_stays_and_the_ranges_come_together() {
        let config = EncoderConfig {
            width: 4,
            dim: 12,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 1)
        };
        let network = fold(&config, 5, &names(&random_classifier(&config, 5, 3))).unwrap();
        let mut numbers = Numbers::new(4);
        let windows: Vec<Vec<f32>> = (0..24)
            .map(|_| (0..network.input_len()).map(|_| numbers.unit()).collect())
            .collect();
        let windows: Vec<&[f32]> = windows.iter().map(Vec::as_slice).collect();
        let seen = observe(&network, &windows, &|| {});
        let (equal, rescaled) = equalize(&network, &seen, 1.0);
        assert_ne!(equal, network);
        let again = observe(&equal, &windows, &|| {});
        for (site, seen) in &again {
            let method = Method::Extremes;
            let (found, expect) = (rescaled[site].range(0..1, method), seen.range(0..1, method));
            assert!(
                (found.high - expect.high).abs() < 1e-3 * expect.high.max(0.1),
                "{site:?}"
            );
        }
        for window in &windows {
            let (found, expect) = (equal.logits(window, &[0]), network.logits(window, &[0]));
            for (found, expect) in found.iter().zip(&expect) {
                assert!((found - expect).abs() < 1e-3 * expect.abs().max(0.1));
            }
        }
        let unevenness = |seen: &Observations| -> f32 {
            let seen = &seen[&Site::Output(3)];
            let range = |channel: usize| seen.range(channel..channel + 1, Method::Extremes).high;
            let largest = (0..4).map(range).fold(0.0, f32::max);
            (0..4).map(|channel| 1.0 - range(channel) / largest).sum()
        };
        assert!(unevenness(&rescaled) < 0.7 * unevenness(&seen));
        assert_eq!(equalize(&network, &seen, 0.0), (network, seen));
    }
}
