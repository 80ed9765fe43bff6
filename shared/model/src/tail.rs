//! The adaptable tail: blocks 9 and 10 and the classifier in f32, as the shipped int8 encoder computes them.
//!
//! BatchNorm is folded, so there are no statistics to drift, and edge importance stands in a constant graph. Made from the
//! engine's dequantised tables, it starts as the int8 tail's own function up to rounding. The edge trains it; the
//! trunk's features come from the engine, logits go to the device's decision.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use tendon_engine::{ResidualKind, TailBlock, TailWeights};

use crate::encoder::pool;
use crate::graph::SUBSETS;
use crate::temporal::{TAPS, TemporalConv, every};

/// The blocks after the trunk, and the classifier.
#[derive(Module, Debug)]
pub struct Tail {
    /// The blocks.
    pub blocks: Vec<FoldedBlock>,
    /// `[dim, class]`
    pub weight: Param<Tensor<2>>,
    /// `[class]`
    pub bias: Param<Tensor<1>>,
    trunk_scale: f64,
}

/// A block without BatchNorm.
#[derive(Module, Debug)]
pub struct FoldedBlock {
    /// Graph convolution, `[subset, channel in, channel out]`.
    pub graph_weight: Param<Tensor<3>>,
    /// Its bias, `[joint, channel out]`.
    pub graph_bias: Param<Tensor<2>>,
    /// Temporal convolution.
    pub temporal: TemporalConv,
    /// Pointwise convolution of the residual, `[channel in, channel out]`; its bias is in the temporal convolution's.
    pub residual: Option<Param<Tensor<2>>>,
    /// `[subset, target joint, source joint]`; a constant, so it takes no part in training.
    #[module(skip)]
    adjacency: Vec<f32>,
    adds_input: bool,
    stride: usize,
}

impl Tail {
    /// Makes the float copy of an encoder's tail.
    #[must_use]
    pub fn new(weights: &TailWeights<'_>, device: &Device) -> Self {
        let spec = weights.spec();
        let classifier = weights.classifier();
        let table = fill([spec.dim, spec.classes], |[dim, class]| {
            classifier.weight(class, dim)
        });
        let bias = fill([spec.classes], |[class]| classifier.bias(class));
        Self {
            blocks: weights
                .blocks()
                .map(|block| FoldedBlock::new(&block, spec.joints, device))
                .collect(),
            weight: param(table, device),
            bias: param(bias, device),
            trunk_scale: f64::from(weights.trunk_scale()),
        }
    }

    /// Turns the engine's trunk features into real numbers.
    ///
    /// # Shapes
    /// `trunk`: one body after the other, `[batch, joint, frame, channel]` in a flat list; `shape` is that shape
    pub fn dequantize(&self, trunk: &[i8], shape: [usize; 4], device: &Device) -> Tensor<4> {
        let scale = self.trunk_scale as f32;
        let values: Vec<f32> = trunk
            .iter()
            .map(|value| (f32::from(*value) + 128.0) * scale)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Embeddings and logits of windows with one body.
    ///
    /// # Shapes
    /// `[batch, joint, frame, channel] -> ([batch, dim], [batch, class])`
    pub fn forward(&self, trunk: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let features = self.features(trunk);
        (features.clone(), self.classify(features))
    }

    /// The embedding of each body; a window's embedding is the mean over its bodies.
    ///
    /// # Shapes
    /// `[body, joint, frame, channel] -> [body, dim]`
    pub fn features(&self, trunk: Tensor<4>) -> Tensor<2> {
        pool(self.blocks.iter().fold(trunk, |x, block| block.forward(x)))
    }

    /// Logits of embeddings.
    ///
    /// # Shapes
    /// `[batch, dim] -> [batch, class]`
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        features.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

impl FoldedBlock {
    fn new(block: &TailBlock<'_>, joints: usize, device: &Device) -> Self {
        let shape = block.shape();
        let (input, output) = (shape.input, shape.output);
        let mut adjacency = vec![0.0; SUBSETS * joints * joints];
        block.adjacency(|subset, source, target, weight| {
            adjacency[(subset * joints + target) * joints + source] = weight;
        });
        let graph_weight = fill([SUBSETS, input, output], |[subset, input, output]| {
            block.graph_weight(subset, input, output)
        });
        let graph_bias = fill([joints, output], |[joint, output]| {
            block.graph_bias(joint, output)
        });
        let temporal = fill([TAPS, output, output], |[tap, input, output]| {
            block.temporal_weight(tap, input, output)
        });
        let bias = fill([output], |[output]| {
            block.temporal_bias(output) + block.residual_bias(output)
        });
        let projected = shape.residual == ResidualKind::Convolution;
        let residual = projected.then(|| {
            fill([input, output], |[input, output]| {
                block.residual_weight(input, output)
            })
        });
        Self {
            graph_weight: param(graph_weight, device),
            graph_bias: param(graph_bias, device),
            temporal: TemporalConv {
                weight: param(temporal, device),
                bias: param(bias, device),
            },
            residual: residual.map(|residual| param(residual, device)),
            adjacency,
            adds_input: shape.residual == ResidualKind::Identity,
            stride: shape.stride,
        }
    }

    /// # Shapes
    /// `[batch, joint, frame, channel in] -> [batch, joint, frame', channel out]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, joint, frame, input] = x.dims();
        let [_, _, output] = self.graph_weight.dims();
        let adjacency = TensorData::new(self.adjacency.clone(), [1, SUBSETS * joint, joint]);
        let adjacency = Tensor::<3>::from_data(adjacency, &x.device());
        // The graph first: it mixes the fewer channels.
        let gathered = adjacency
            .matmul(x.clone().reshape([batch, joint, frame * input]))
            .reshape([batch, SUBSETS, joint * frame, input]);
        let mixed = gathered
            .matmul(self.graph_weight.val().unsqueeze())
            .sum_dim(1);
        let bias = self.graph_bias.val().reshape([1, joint, 1, output]);
        let hidden = relu(mixed.reshape([batch, joint, frame, output]) + bias);
        let y = self.temporal.forward(hidden, self.stride);
        relu(match &self.residual {
            Some(weight) => {
                let kept = frame.div_ceil(self.stride);
                let rows = every(x, 0, kept, self.stride).reshape([batch * joint * kept, input]);
                y.clone() + rows.matmul(weight.val()).reshape(y.dims())
            }
            None if self.adds_input => y + x,
            None => y,
        })
    }
}

/// The values of a tensor, each computed from its index.
fn fill<const D: usize>(shape: [usize; D], value: impl Fn([usize; D]) -> f32) -> TensorData {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|flat| {
            let mut rest: usize = flat;
            let mut index = [0; D];
            for (index, size) in index.iter_mut().zip(shape).rev() {
                *index = rest % size;
                rest /= size;
            }
            value(index)
        })
        .collect();
    TensorData::new(values, shape)
}

fn param<const D: usize>(values: TensorData, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(values, device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_bundle::testing::{Numbers, Shape, random_encoder};
    use tendon_engine::Encoder;

    const WINDOWS: usize = 24;

    /// Trunk features, embeddings and logits of random windows as the engine computes them.
    fn engine(encoder: &Encoder<'_>) -> (Vec<i8>, Vec<f32>, Vec<f32>) {
        let spec = encoder.spec();
        let mut numbers = Numbers::new(9);
        let mut arena = vec![0; encoder.arena_len()];
        let (mut trunks, mut embeddings, mut scores) = (vec![], vec![], vec![]);
        for _ in 0..WINDOWS {
            let drift = 2.0 * numbers.unit();
            let window: Vec<f32> = (0..spec.input_len())
                .map(|_| drift + numbers.unit())
                .collect();
            let mut trunk = vec![0; spec.trunk_len()];
            let mut pooled = vec![0; spec.dim];
            let mut logits = vec![0; spec.classes];
            encoder.trunk(&window, &mut arena, &mut trunk).unwrap();
            encoder.tail(&trunk, &mut arena, &mut pooled).unwrap();
            encoder.classify(&pooled, &mut logits).unwrap();
            trunks.extend(trunk);
            embeddings.extend(
                pooled
                    .iter()
                    .map(|sum| *sum as f32 * encoder.feature_scale()),
            );
            scores.extend(
                logits
                    .iter()
                    .map(|logit| *logit as f32 * encoder.logit_scale()),
            );
        }
        (trunks, embeddings, scores)
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn largest(row: &[f32]) -> usize {
        (0..row.len())
            .max_by(|a, b| row[*a].total_cmp(&row[*b]))
            .unwrap()
    }

    /// Root mean square of the difference over that of the deviation from the mean.
    fn error(found: &[f32], expect: &[f32]) -> f32 {
        let mean = expect.iter().sum::<f32>() / expect.len() as f32;
        let wrong: f32 = found.iter().zip(expect).map(|(a, b)| (a - b).powi(2)).sum();
        let spread: f32 = expect.iter().map(|b| (b - mean).powi(2)).sum();
        (wrong / spread).sqrt()
    }

    #[test]
    fn starts_as_the_same_function_as_the_int8_tail() {
        // The last encoder's tail has a strided block and an identity.
        let odd = Shape {
            blocks: vec![(8, 1), (8, 2), (16, 2), (16, 1)],
            trunk_blocks: 2,
            ..Shape::small(11, 20, 6)
        };
        for (seed, shape) in [
            (1, Shape::small(20, 32, 6)),
            (2, Shape::small(5, 16, 3)),
            (3, odd),
        ] {
            let blob = random_encoder(&shape, seed);
            let encoder = Encoder::parse(&blob).unwrap();
            let spec = encoder.spec();
            let (trunks, embeddings, scores) = engine(&encoder);
            let device = Device::flex();
            let tail = Tail::new(&encoder.tail_weights(), &device);
            let dims = [WINDOWS, spec.joints, spec.trunk_frames, spec.trunk_channels];
            let (features, logits) = tail.forward(tail.dequantize(&trunks, dims, &device));
            let (features, logits) = (values(features), values(logits));
            let wrong = (error(&features, &embeddings), error(&logits, &scores));
            assert!(wrong.0 < 0.08 && wrong.1 < 0.15, "seed {seed}: {wrong:?}");
            let rows = logits.chunks(spec.classes).zip(scores.chunks(spec.classes));
            let agreed = rows.filter(|(a, b)| largest(a) == largest(b)).count();
            assert!(agreed >= WINDOWS - 2, "seed {seed}: {agreed} of {WINDOWS}");
        }
    }

    #[test]
    fn every_weight_but_the_graph_takes_gradients() {
        let blob = random_encoder(&Shape::small(5, 16, 3), 2);
        let encoder = Encoder::parse(&blob).unwrap();
        let spec = encoder.spec();
        let device = Device::flex().autodiff();
        let tail = Tail::new(&encoder.tail_weights(), &device);
        let (trunks, _, _) = engine(&encoder);
        let dims = [WINDOWS, spec.joints, spec.trunk_frames, spec.trunk_channels];
        let (_, logits) = tail.forward(tail.dequantize(&trunks, dims, &device));
        let gradients = logits.powi_scalar(2).sum().backward();
        for block in &tail.blocks {
            let gradient = block.graph_weight.val().grad(&gradients).unwrap();
            assert!(values(gradient).iter().any(|value| *value != 0.0));
            assert!(block.temporal.bias.val().grad(&gradients).is_some());
        }
        assert!(tail.weight.val().grad(&gradients).is_some());
        let count = crate::encoder::parameter_count(&tail);
        let block = |input: usize, output: usize, projected: bool| {
            3 * input * output
                + 5 * output
                + 9 * output * output
                + output
                + if projected { input * output } else { 0 }
        };
        let expect = block(16, 16, false) + block(16, 32, true) + 32 * 3 + 3;
        assert_eq!(count, expect);
    }
}
