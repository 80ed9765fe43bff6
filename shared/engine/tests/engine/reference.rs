//! The documented arithmetic once more, written for reading and in 64 bits, from the tables instead of the blob.

use tendon_bundle::blob::{BlockTables, EncoderTables, LayerTables, ResidualTables};

/// `(v + 2^(s-1)) >> s`
fn rshift(value: i64, shift: u8) -> i64 {
    (value + (1 << (shift - 1))) >> shift
}

fn activation(value: i64) -> i64 {
    value.clamp(-128, 127)
}

fn layer(layer: &LayerTables, bias: usize, out: usize, inputs: impl Iterator<Item = i64>) -> i64 {
    let len = layer.weights.len() / layer.multiplier.len();
    let weights = layer.weights[out * len..(out + 1) * len]
        .iter()
        .map(|weight| i64::from(*weight));
    weights
        .zip(inputs)
        .map(|(weight, input)| weight * input)
        .sum::<i64>()
        + i64::from(layer.bias[bias])
}

/// `[joint][frame][channel]`
type Activations = Vec<Vec<Vec<i64>>>;

/// One block: what goes into its temporal convolution, and what comes out.
fn block(
    block: &BlockTables,
    joints: usize,
    input: &[Vec<Vec<i64>>],
) -> (Activations, Activations) {
    let frames = input[0].len();
    let adjacency = &block.adjacency;
    let (mut between, mut out) = (Vec::new(), Vec::new());
    for joint in 0..joints {
        let mut hidden = Vec::new();
        for frame in 0..frames {
            let mut gathered = Vec::new();
            for subset in 0..3 {
                for channel in 0..block.input {
                    let index = joint * 3 + subset;
                    let edges = adjacency.edges[index].iter();
                    let sum: i64 = edges
                        .map(|&(source, weight)| {
                            input[usize::from(source)][frame][channel] * i64::from(weight)
                        })
                        .sum();
                    gathered.push(activation(rshift(
                        sum + i64::from(adjacency.bias[index]),
                        adjacency.shift,
                    )));
                }
            }
            let row = (0..block.output).map(|channel| {
                let sum = layer(
                    &block.graph,
                    joint * block.output + channel,
                    channel,
                    gathered.iter().copied(),
                );
                activation(
                    rshift(
                        sum * i64::from(block.graph.multiplier[channel]),
                        block.graph_shift,
                    ) - 128,
                )
            });
            hidden.push(row.collect::<Vec<i64>>());
        }
        let mut rows = Vec::new();
        for frame in (0..frames).step_by(block.stride) {
            let silence = vec![-128; block.output];
            let window: Vec<i64> = (0..9)
                .flat_map(|tap| {
                    let from = (frame + tap)
                        .checked_sub(4)
                        .and_then(|frame| hidden.get(frame));
                    from.unwrap_or(&silence).clone()
                })
                .collect();
            let own = &input[joint][frame];
            let row = (0..block.output).map(|channel| {
                let sum = layer(&block.temporal, channel, channel, window.iter().copied());
                let mut sum = sum * i64::from(block.temporal.multiplier[channel]);
                sum += match &block.residual {
                    ResidualTables::None => 0,
                    ResidualTables::Identity(multiplier) => {
                        (own[channel] + 128) * i64::from(multiplier[channel])
                    }
                    ResidualTables::Convolution(path) => {
                        layer(path, channel, channel, own.iter().copied())
                            * i64::from(path.multiplier[channel])
                    }
                };
                activation(rshift(sum, block.temporal_shift) - 128)
            });
            rows.push(row.collect());
        }
        out.push(rows);
        between.push(hidden);
    }
    (between, out)
}

/// What the engine computes for a window with one body.
pub(crate) struct Computed {
    pub(crate) trunk: Vec<i8>,
    /// What goes into the last temporal convolution, 0 for nothing.
    pub(crate) hidden: Vec<u8>,
    /// What comes out of the last block, 0 for nothing.
    pub(crate) last: Vec<u8>,
    pub(crate) pooled: Vec<i32>,
    pub(crate) logits: Vec<i32>,
}

/// Computes a window with one body.
pub(crate) fn run(tables: &EncoderTables, window: &[f32]) -> Computed {
    let quantize = |joint: usize, frame: usize, channel: usize| {
        let value = window[(channel * tables.frames + frame) * tables.joints + joint];
        let index = joint * tables.channels + channel;
        let scaled = value * tables.gain[index];
        let scaled = scaled + tables.offset[index];
        ((scaled.clamp(-128.0, 127.0) + 128.5).floor() as i64) - 128
    };
    let mut now: Vec<Vec<Vec<i64>>> = (0..tables.joints)
        .map(|joint| {
            let row = |frame| {
                (0..tables.channels)
                    .map(|channel| quantize(joint, frame, channel))
                    .collect()
            };
            (0..tables.frames).map(row).collect()
        })
        .collect();
    let (mut trunk, mut hidden) = (Vec::new(), Vec::new());
    for (index, tables_of_block) in tables.blocks.iter().enumerate() {
        (hidden, now) = block(tables_of_block, tables.joints, &now);
        if index + 1 == tables.trunk_blocks {
            trunk = now
                .iter()
                .flatten()
                .flatten()
                .map(|value| *value as i8)
                .collect();
        }
    }
    let dim = now[0][0].len();
    let rows: Vec<&Vec<i64>> = now.iter().flatten().collect();
    let pooled: Vec<i64> = (0..dim)
        .map(|channel| rows.iter().map(|row| row[channel] + 128).sum())
        .collect();
    let count = rows.len() as i64;
    let logits = tables
        .classifier_bias
        .iter()
        .enumerate()
        .map(|(class, bias)| {
            let weights = tables.classifier[class * dim..(class + 1) * dim].iter();
            let sum: i64 = weights
                .zip(&pooled)
                .map(|(weight, sum)| i64::from(*weight) * ((sum * 128 + count / 2) / count))
                .sum();
            rshift(sum + bias, tables.logit_shift) as i32
        });
    let bytes = |values: &Activations| {
        let values = values.iter().flatten().flatten();
        values.map(|value| (*value + 128) as u8).collect()
    };
    Computed {
        trunk,
        hidden: bytes(&hidden),
        last: bytes(&now),
        pooled: pooled.iter().map(|sum| *sum as i32).collect(),
        logits: logits.collect(),
    }
}
