//! The adaptable tail: what a device may change, beside an int8 encoder that stays as it was shipped.
//!
//! The encoder's last temporal convolution holds most of the network's weights, and a step that trains it costs most of the
//! network's operations. Here its weights stay, and a correction is learnt beside it:
//!
//! `features = mean over joints and frames of relu(y + x S B + b)`
//!
//! `y` is what the shipped block gives and `x` what goes into its temporal convolution, both from the int8 engine; `S` is a
//! constant random matrix ([`crate::sketch`]), `B`, `b` and the classifier are trained. With `B = 0` and `b = 0` it is the shipped
//! function to the last bit of the engine's activations. The correction is linear in `B`, so neither gradients nor activations of
//! any convolution are needed, and a tail is a few thousand numbers.
//!
//! # Source
//! Low-rank adaptation with a frozen first factor (Hu et al., "LoRA", ICLR 2022; Zhang et al., "LoRA-FA", 2023). `S` has
//! independent entries of variance `1 / rank`, so `x S` keeps inner products in the mean (Johnson and Lindenstrauss, 1984): one step
//! on `B` moves the features as one step of the same rate on the convolution's own weights would, up to the sketch's noise.
//! Deliberate difference: the correction is added after the shipped block's ReLU and clamp, because that is what the engine hands out.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use tendon_engine::TailWeights;

use crate::encoder::pool;

/// What the tail reads of bodies.
#[derive(Debug, Clone)]
pub struct TailInput {
    /// The last temporal convolution's input, sketched: `[body, joint, frame', rank]`
    pub sketch: Tensor<4>,
    /// What comes out of the shipped last block: `[body, joint, frame', dim]`
    pub output: Tensor<4>,
}

/// The trained part.
#[derive(Module, Debug)]
pub struct Tail {
    /// The correction's second factor, `[rank, dim]`.
    pub expand: Param<Tensor<2>>,
    /// The correction's bias, `[dim]`.
    pub shift: Param<Tensor<1>>,
    /// The classifier, `[dim, class]`.
    pub weight: Param<Tensor<2>>,
    /// Its bias, `[class]`.
    pub bias: Param<Tensor<1>>,
}

impl Tail {
    /// The tail that changes nothing.
    #[must_use]
    pub fn new(weights: &TailWeights<'_>, rank: usize, device: &Device) -> Self {
        let spec = weights.spec();
        let (dim, classes) = (spec.dim, spec.classes);
        let table: Vec<f32> = (0..dim)
            .flat_map(|dim| (0..classes).map(move |class| weights.class_weight(class, dim)))
            .collect();
        let bias: Vec<f32> = (0..classes)
            .map(|class| weights.class_bias(class))
            .collect();
        Self {
            expand: Param::from_tensor(Tensor::zeros([rank, dim], device)),
            shift: Param::from_tensor(Tensor::zeros([dim], device)),
            weight: Param::from_tensor(Tensor::from_data(
                TensorData::new(table, [dim, classes]),
                device,
            )),
            bias: Param::from_tensor(Tensor::from_data(TensorData::new(bias, [classes]), device)),
        }
    }

    /// Length of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        let [dim, _] = self.weight.dims();
        dim
    }

    /// The embedding of each body; a window's embedding is the mean over its bodies.
    ///
    /// # Shapes
    /// `-> [body, dim]`
    pub fn features(&self, input: TailInput) -> Tensor<2> {
        let [body, joint, frame, rank] = input.sketch.dims();
        let [_, dim] = self.expand.dims();
        let rows = input.sketch.reshape([body * joint * frame, rank]);
        let correction = rows.matmul(self.expand.val()) + self.shift.val().unsqueeze();
        pool(relu(
            input.output + correction.reshape([body, joint, frame, dim]),
        ))
    }

    /// Logits of embeddings.
    ///
    /// # Shapes
    /// `[batch, dim] -> [batch, class]`
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        features.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sketch;
    use tendon_bundle::testing::{Numbers, Shape, random_encoder};
    use tendon_engine::Encoder;

    const WINDOWS: usize = 24;
    const RANK: usize = 4;

    /// Trunk features of random windows.
    fn trunks(encoder: &Encoder<'_>) -> Vec<Vec<i8>> {
        let spec = encoder.spec();
        let mut arena = vec![0; encoder.arena_len()];
        let mut numbers = Numbers::new(5);
        (0..WINDOWS)
            .map(|_| {
                let window: Vec<f32> = (0..spec.input_len())
                    .map(|_| 2.5 * numbers.unit())
                    .collect();
                let mut trunk = vec![0; spec.trunk_len()];
                encoder.trunk(&window, &mut arena, &mut trunk).unwrap();
                trunk
            })
            .collect()
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn starts_as_the_same_function_as_the_int8_tail() {
        // The last encoder's last block is strided.
        let odd = Shape {
            blocks: vec![(8, 1), (8, 2), (16, 1), (16, 2)],
            trunk_blocks: 2,
            ..Shape::small(11, 20, 6)
        };
        let shapes = [Shape::small(20, 32, 6), Shape::small(5, 16, 3), odd];
        for (seed, shape) in shapes.iter().enumerate() {
            let blob = random_encoder(shape, seed as u64);
            let encoder = Encoder::parse(&blob).unwrap();
            let spec = encoder.spec();
            let device = Device::flex();
            let weights = encoder.tail_weights();
            let tail = Tail::new(&weights, RANK, &device);
            let sketch = Sketch::new(&weights, RANK, &device);
            let trunks = trunks(&encoder);
            // In two parts, as windows come.
            let (one, other) = trunks.split_at(WINDOWS / 3);
            let read = |part: &[Vec<i8>]| sketch.read(&encoder, part.iter().map(Vec::as_slice));
            let (one, other) = (read(one).unwrap(), read(other).unwrap());
            let input = sketch.input(&[&one, &other], &device);
            let features = tail.features(input);
            let (found, scores) = (values(features.clone()), values(tail.classify(features)));
            let mut arena = vec![0; encoder.arena_len()];
            let mut pooled = vec![0; spec.dim];
            let mut logits = vec![0; spec.classes];
            let rows = found
                .chunks_exact(spec.dim)
                .zip(scores.chunks_exact(spec.classes));
            for (trunk, (found, scores)) in trunks.iter().zip(rows) {
                encoder.tail(trunk, &mut arena, &mut pooled).unwrap();
                encoder.classify(&pooled, &mut logits).unwrap();
                for (found, sum) in found.iter().zip(&pooled) {
                    let expect = *sum as f32 * encoder.feature_scale();
                    assert!((found - expect).abs() <= 1e-5 * expect.abs().max(1e-3));
                }
                // The engine divides and rounds once more on the way to its logits.
                let largest = logits.iter().map(|logit| logit.abs()).max().unwrap();
                for (found, logit) in scores.iter().zip(&logits) {
                    let wrong = (found / encoder.logit_scale() - *logit as f32).abs();
                    assert!(wrong <= 0.01 * largest as f32 + 2.0, "{wrong} of {largest}");
                }
            }
        }
    }

    #[test]
    fn every_weight_takes_gradients() {
        let blob = random_encoder(&Shape::small(5, 16, 3), 2);
        let encoder = Encoder::parse(&blob).unwrap();
        let device = Device::flex().autodiff();
        let weights = encoder.tail_weights();
        let tail = Tail::new(&weights, RANK, &device);
        let sketch = Sketch::new(&weights, RANK, &Device::flex());
        let trunks = trunks(&encoder);
        let read = sketch
            .read(&encoder, trunks.iter().map(Vec::as_slice))
            .unwrap();
        let input = sketch.input(&[&read], &device);
        let logits = tail.classify(tail.features(input));
        let gradients = logits.powi_scalar(2).sum().backward();
        let moves = |gradient: Option<Vec<f32>>| {
            gradient
                .unwrap()
                .iter()
                .any(|value| *value != 0.0 && value.is_finite())
        };
        assert!(moves(tail.expand.val().grad(&gradients).map(values)));
        assert!(moves(tail.shift.val().grad(&gradients).map(values)));
        assert!(moves(tail.weight.val().grad(&gradients).map(values)));
        assert!(moves(tail.bias.val().grad(&gradients).map(values)));
    }
}
