//! Quantization: the engine's integer tables from folded weights and calibrated ranges.
//!
//! Weights are symmetric with one scale an output channel; activations are affine. Scales of gathered and hidden
//! activations are absorbed by the weights that read them, so a multiplier and a shift are all that the engine adds.

use super::calibrate::{Range, Ranges, UnseenError};
use tendon_bundle::blob::{
    AdjacencyTables, BlockTables, Edge, EncoderTables, LayerTables, ResidualTables,
};
use tendon_engine::format::{MEAN_BITS, SUBSETS};
use tendon_model::folded::{Block, Folded, Residual, Site};

/// The largest bias in steps of its sum: half of what the engine accepts, for the correction of the zero points.
const MAX_BIAS: f64 = (1_u64 << 28) as f64;
/// Most bits after the point of a graph coefficient.
const MAX_COEFFICIENT_BITS: i32 = 20;
/// A logit's step is near 2 to the power of minus this.
const LOGIT_BITS: i32 = 16;

/// What quantization needs beside weights and ranges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Bodies of a window.
    pub bodies: usize,
    /// Whether absent bodies are left out.
    pub body_mask: bool,
    /// Blocks of the trunk.
    pub trunk_blocks: usize,
}

/// Makes the engine's tables.
///
/// # Errors
/// [`UnseenError`] when `ranges` are not of this network.
pub fn quantize(
    network: &Folded,
    ranges: &Ranges,
    options: Options,
) -> Result<EncoderTables, UnseenError> {
    let range = |site: Site, subset: usize| {
        let range = ranges.get(&(site, subset));
        range.copied().ok_or(UnseenError(site))
    };
    let input = range(Site::Input, 0)?;
    let mut blocks = Vec::new();
    let mut from = input;
    for (number, block) in network.blocks.iter().enumerate() {
        let gathered = |subset| range(Site::Gathered(number), subset);
        let out = range(Site::Output(number), 0)?;
        let ranges = BlockRanges {
            from,
            gathered: [gathered(0)?, gathered(1)?, gathered(2)?],
            hidden: range(Site::Hidden(number), 0)?,
            out,
        };
        from = out;
        blocks.push(quantize_block(block, network.joints, &ranges));
    }
    let (zero, step) = (f32::from(input.zero()), input.step());
    let classes = network.classes();
    let largest = network
        .weight
        .iter()
        .fold(1e-9_f64, |most, weight| most.max(f64::from(weight.abs())));
    let weight_step = largest / 32_767.0;
    let sum_step = weight_step * f64::from(from.step()) / f64::from(1_u32 << MEAN_BITS);
    let logit_shift = ((-f64::from(LOGIT_BITS) - sum_step.log2()).round() as i32).clamp(1, 40);
    let by_class = (0..classes * network.dim()).map(|index| {
        let (class, dim) = (index / network.dim(), index % network.dim());
        (f64::from(network.weight[dim * classes + class]) / weight_step).round() as i16
    });
    Ok(EncoderTables {
        joints: network.joints,
        bodies: options.bodies,
        channels: network.channels,
        frames: network.frames,
        body_mask: options.body_mask,
        trunk_blocks: options.trunk_blocks,
        input_zero: input.zero(),
        input_scale: step,
        gain: network.gain.iter().map(|gain| gain / step).collect(),
        offset: network
            .offset
            .iter()
            .map(|offset| offset / step + zero)
            .collect(),
        blocks,
        classifier: by_class.collect(),
        classifier_bias: network
            .bias
            .iter()
            .map(|bias| (f64::from(*bias) / sum_step).round() as i64)
            .collect(),
        logit_shift: logit_shift as u8,
        logit_scale: (sum_step * f64::from(logit_shift).exp2()) as f32,
    })
}

/// The ranges of one block's activations.
struct BlockRanges {
    from: Range,
    gathered: [Range; SUBSETS],
    hidden: Range,
    out: Range,
}

fn quantize_block(block: &Block, joints: usize, ranges: &BlockRanges) -> BlockTables {
    let (input, output) = (block.input, block.output);
    let gathered_steps: Vec<f32> = (0..SUBSETS * input)
        .map(|index| ranges.gathered[index / input].step())
        .collect();
    let gathered_zeros: Vec<i32> = (0..SUBSETS * input)
        .map(|index| i32::from(ranges.gathered[index / input].zero()))
        .collect();
    let (graph, graph_shift) = {
        let (layer, steps) = quantize_layer(
            &block.graph,
            &block.graph_bias,
            &gathered_steps,
            &gathered_zeros,
            output,
        );
        let hidden = f64::from(ranges.hidden.step());
        let ratios: Vec<f64> = steps.iter().map(|step| step / hidden).collect();
        let shift = shift_of(&ratios);
        (
            LayerTables {
                multiplier: multipliers(&ratios, shift),
                ..layer
            },
            shift,
        )
    };
    let out_step = f64::from(ranges.out.step());
    let hidden_steps = vec![ranges.hidden.step(); 9 * output];
    let silence = vec![-128; 9 * output];
    let (temporal, steps) = quantize_layer(
        &block.temporal,
        &block.temporal_bias,
        &hidden_steps,
        &silence,
        output,
    );
    let mut ratios: Vec<f64> = steps.iter().map(|step| step / out_step).collect();
    // Both sums are added before they are shifted, so they share the shift.
    let (residual, temporal_shift) = match &block.residual {
        Residual::None => (ResidualTables::None, shift_of(&ratios)),
        Residual::Identity => {
            let beside = vec![f64::from(ranges.from.step()) / out_step; output];
            ratios.extend(&beside);
            let shift = shift_of(&ratios);
            (ResidualTables::Identity(multipliers(&beside, shift)), shift)
        }
        Residual::Convolution { weight, bias } => {
            let steps_in = vec![ranges.from.step(); input];
            let (layer, steps) =
                quantize_layer(weight, bias, &steps_in, &vec![-128; input], output);
            let beside: Vec<f64> = steps.iter().map(|step| step / out_step).collect();
            ratios.extend(&beside);
            let shift = shift_of(&ratios);
            (
                ResidualTables::Convolution(LayerTables {
                    multiplier: multipliers(&beside, shift),
                    ..layer
                }),
                shift,
            )
        }
    };
    ratios.truncate(output);
    BlockTables {
        input,
        output,
        stride: block.stride,
        adjacency: quantize_graph(&block.adjacency, joints, ranges),
        graph_shift,
        graph,
        hidden_scale: vec![ranges.hidden.step(); output],
        temporal_shift,
        temporal: LayerTables {
            multiplier: multipliers(&ratios, temporal_shift),
            ..temporal
        },
        residual,
        out_scale: ranges.out.step(),
    }
}

/// Quantizes a convolution; the multipliers are left empty. Also returns the value of one step of each output's sum.
///
/// # Shapes
/// `weights [input, out]`, `bias [.., out]`, `steps [input]`, `zeros [input]`
fn quantize_layer(
    weights: &[f32],
    bias: &[f32],
    steps: &[f32],
    zeros: &[i32],
    output: usize,
) -> (LayerTables, Vec<f64>) {
    let inputs = steps.len();
    let mut table = LayerTables {
        weights: Vec::new(),
        bias: vec![0; bias.len()],
        multiplier: Vec::new(),
        scale: Vec::new(),
    };
    let mut sum_steps = Vec::new();
    for out in 0..output {
        let real: Vec<f64> = (0..inputs)
            .map(|input| f64::from(weights[input * output + out]) * f64::from(steps[input]))
            .collect();
        let own_bias = || (out..bias.len()).step_by(output);
        let largest = real
            .iter()
            .fold(0.0_f64, |most, weight| most.max(weight.abs()));
        let largest_bias = own_bias().fold(0.0_f64, |most, index| {
            most.max(f64::from(bias[index].abs()))
        });
        // Never so fine that the bias leaves its range, and never zero: a dead channel still has a scale.
        let step = (largest / 127.0).max(largest_bias / MAX_BIAS).max(1e-12);
        let rounded: Vec<i8> = real
            .iter()
            .map(|weight| (weight / step).round() as i8)
            .collect();
        let correction: i32 = rounded
            .iter()
            .zip(zeros)
            .map(|(weight, zero)| i32::from(*weight) * zero)
            .sum();
        for index in own_bias() {
            table.bias[index] = (f64::from(bias[index]) / step).round() as i32 - correction;
        }
        table.weights.extend(rounded);
        table.scale.push(step as f32);
        sum_steps.push(step);
    }
    (table, sum_steps)
}

/// The finest shift at which every ratio's multiplier fits 31 bits.
fn shift_of(ratios: &[f64]) -> u8 {
    let largest = ratios
        .iter()
        .fold(1e-18_f64, |most, ratio| most.max(*ratio));
    (30 - largest.log2().floor() as i32).clamp(1, 62) as u8
}

fn multipliers(ratios: &[f64], shift: u8) -> Vec<i32> {
    let unit = f64::from(shift).exp2();
    ratios
        .iter()
        .map(|ratio| (ratio * unit).round().min(f64::from(i32::MAX)) as i32)
        .collect()
}

/// Quantizes a graph: coefficients turn steps of the input into steps of what is gathered.
fn quantize_graph(adjacency: &[f32], joints: usize, ranges: &BlockRanges) -> AdjacencyTables {
    let ratio =
        |subset: usize| f64::from(ranges.from.step()) / f64::from(ranges.gathered[subset].step());
    let entry = |subset: usize, source: usize, target: usize| {
        f64::from(adjacency[(subset * joints + source) * joints + target]) * ratio(subset)
    };
    let mut largest = 1e-9_f64;
    for index in 0..adjacency.len() {
        largest = largest.max(
            entry(
                index / joints / joints,
                index / joints % joints,
                index % joints,
            )
            .abs(),
        );
    }
    let shift = (14 - largest.log2().floor() as i32).clamp(1, MAX_COEFFICIENT_BITS) as u8;
    let unit = f64::from(shift).exp2();
    let zero_in = i32::from(ranges.from.zero());
    let mut edges: Vec<Vec<Edge>> = Vec::new();
    let mut bias = Vec::new();
    for target in 0..joints {
        for subset in 0..SUBSETS {
            let into: Vec<Edge> = (0..joints)
                .map(|source| {
                    (
                        source as u8,
                        (entry(subset, source, target) * unit).round() as i16,
                    )
                })
                .filter(|(_, coefficient)| *coefficient != 0)
                .collect();
            let sum: i32 = into
                .iter()
                .map(|(_, coefficient)| i32::from(*coefficient))
                .sum();
            bias.push((i32::from(ranges.gathered[subset].zero()) << shift) - zero_in * sum);
            edges.push(into);
        }
    }
    AdjacencyTables {
        shift,
        edges,
        bias,
        scale: ranges.gathered.map(Range::step),
        zero: ranges.gathered.map(Range::zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_use_the_whole_of_31_bits() {
        let ratios = [0.75, 0.5, 3e-9];
        let shift = shift_of(&ratios);
        assert_eq!(shift, 31);
        assert_eq!(multipliers(&ratios, shift), [1_610_612_736, 1 << 30, 6]);
        // A ratio just below a power of two must not round up to 2^31.
        assert_eq!(
            multipliers(&[1.0 - 1e-12], shift_of(&[1.0 - 1e-12])),
            [i32::MAX]
        );
        assert_eq!(shift_of(&[0.0]), 62);
    }

    #[test]
    fn a_layer_stands_for_the_same_real_numbers() {
        // Two inputs with steps 0.5 and 0.1 and zeros 3 and -128, two outputs.
        let (weights, bias) = ([1.0, -0.2, 2.0, 0.7], [0.25, -3.0]);
        let (table, steps) = quantize_layer(&weights, &bias, &[0.5, 0.1], &[3, -128], 2);
        assert_eq!(table.weights, [127, 51, -127, 89]);
        // Output 0 at input steps (10, 20): 0.5 * 7 * 1.0 + 0.1 * 148 * 2.0 + 0.25 = 33.35
        let sum =
            i32::from(table.weights[0]) * 10 + i32::from(table.weights[1]) * 20 + table.bias[0];
        assert!((f64::from(sum) * steps[0] - 33.35).abs() < 0.2);
    }

    #[test]
    fn a_dead_channel_with_a_large_bias_stays_in_range() {
        let (table, steps) = quantize_layer(&[0.0, 1e-20], &[5.0], &[1.0, 1.0], &[-128, -128], 1);
        assert_eq!(table.weights, [0, 0]);
        assert!((f64::from(table.bias[0]) * steps[0] - 5.0).abs() < 1e-6);
        assert!(table.bias[0] <= tendon_engine::format::MAX_BIAS);
    }

    #[test]
    fn a_graph_keeps_only_its_edges() {
        let range = |high| Range { low: 0.0, high };
        let ranges = BlockRanges {
            from: range(255.0),
            gathered: [range(127.5); 3],
            hidden: range(1.0),
            out: range(1.0),
        };
        // Two joints; subset 0 is the identity, subset 1 has the edge 0 -> 1 of weight 0.5.
        let adjacency = [1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let tables = quantize_graph(&adjacency, 2, &ranges);
        // The largest coefficient is 1 * 1.0 / 0.5 = 2, so 13 bits stay after the point.
        assert_eq!(tables.shift, 13);
        let expect: [&[Edge]; 6] = [&[(0, 16_384)], &[], &[], &[(1, 16_384)], &[(0, 8_192)], &[]];
        assert_eq!(tables.edges, expect.map(<[Edge]>::to_vec));
        assert_eq!(tables.bias[0], (-128 << 13) + 128 * 16_384);
        assert_eq!(tables.bias[1], -128 << 13);
    }
}
