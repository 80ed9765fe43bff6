//! The float classifier's last two blocks with their BatchNorm, which the published methods adapt.
//!
//! The same function as [`StGcn::tail`] with the classifier behind it, but where BatchNorm takes its statistics from is the
//! caller's choice, and gradients flow on demand.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use tendon_model::block::Block;
use tendon_model::encoder::{Encoder, EncoderConfig, pool};
use tendon_model::norm::{BatchNorm, EPSILON};
use tendon_model::parameters::{Named, collect, is_buffer, restore};
use tendon_model::st_gcn::{StGcn, TRUNK_BLOCKS};
use tendon_model::weights::Loaded;

/// Trunk features of bodies, `[body, joint, frame, channel]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The values.
    pub values: Vec<f32>,
    /// Bodies, joints, frames, channels.
    pub shape: [usize; 4],
}

impl Input {
    /// From int8 features, whose value is `scale * (q + 128)`, each `[joint, frame, channel]` of this shape.
    #[must_use]
    pub fn dequantized(trunks: &[&[i8]], shape: [usize; 3], scale: f32) -> Self {
        let [joint, frame, channel] = shape;
        let values = trunks.iter().flat_map(|trunk| trunk.iter());
        Self {
            values: values.map(|q| (f32::from(*q) + 128.0) * scale).collect(),
            shape: [trunks.len(), joint, frame, channel],
        }
    }

    /// Number of bodies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some bodies, in this order.
    #[must_use]
    pub fn select(&self, numbers: &[usize]) -> Self {
        let [_, joint, frame, channel] = self.shape;
        let size = joint * frame * channel;
        let values = numbers
            .iter()
            .flat_map(|number| &self.values[number * size..(number + 1) * size]);
        Self {
            values: values.copied().collect(),
            shape: [numbers.len(), joint, frame, channel],
        }
    }

    /// The bodies of several inputs, one after the other; nothing without any.
    #[must_use]
    pub fn together(parts: &[&Self]) -> Option<Self> {
        let [_, joint, frame, channel] = parts.first()?.shape;
        let values: Vec<f32> = parts
            .iter()
            .flat_map(|part| part.values.iter().copied())
            .collect();
        let bodies = parts.iter().map(|part| part.len()).sum();
        Some(Self {
            values,
            shape: [bodies, joint, frame, channel],
        })
    }
}

/// Mean and variance of each channel before a BatchNorm.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// `[channel]`
    pub mean: Vec<f32>,
    /// Of the population, `[channel]`.
    pub var: Vec<f32>,
}

/// Where BatchNorm takes its statistics from.
#[derive(Debug)]
pub enum Statistics<'s> {
    /// These, one a layer.
    Given(&'s [Moments]),
    /// A mixture of these and of the batch's own.
    Mixed {
        /// One a layer.
        running: &'s mut [Moments],
        /// Weight of the batch's own statistics in each layer, 0..=1.
        weight: &'s [f32],
        /// Whether the mixture becomes the new statistics.
        keep: bool,
    },
}

/// What the tail says.
pub struct Said {
    /// `[body, dim]`
    pub pooled: Tensor<2>,
    /// `[body, class]`
    pub logits: Tensor<2>,
}

/// The trained part.
#[derive(Module, Debug)]
struct Layers {
    blocks: Vec<Block>,
    classifier: Linear,
}

/// The tail with its weights as shipped.
#[derive(Debug, Clone)]
pub struct FloatTail {
    plain: Layers,
    learning: Layers,
    /// Of each block, edge importance included: it stays as it is. `[subset, source joint, target joint]` with its values.
    adjacency: Vec<([usize; 3], Vec<f32>)>,
    moments: Vec<Moments>,
}

impl FloatTail {
    /// The tail of a classifier.
    ///
    /// # Errors
    /// In words: it has no classifier or is not an ST-GCN.
    pub fn new(loaded: &Loaded) -> Result<Self, String> {
        let (Encoder::StGcn(encoder), Some(classifier)) = (&loaded.encoder, &loaded.classifier)
        else {
            return Err("is not an ST-GCN with a classifier".to_owned());
        };
        Self::of(&loaded.description.config, encoder, classifier)
    }

    /// The tail of an encoder and a classifier.
    ///
    /// # Errors
    /// In words: they are not of this configuration.
    pub fn of(
        config: &EncoderConfig,
        encoder: &StGcn,
        classifier: &Linear,
    ) -> Result<Self, String> {
        let mut blocks = encoder.blocks[TRUNK_BLOCKS..].to_vec();
        for block in &mut blocks {
            block.dropout = 0.0;
        }
        let plain = Layers {
            blocks,
            classifier: classifier.clone(),
        };
        let device = Device::flex().autodiff();
        let fresh = config.init(0, &device).map_err(|error| error.to_string())?;
        let Encoder::StGcn(fresh) = fresh else {
            return Err("is not an ST-GCN".to_owned());
        };
        let [_, classes] = classifier.weight.dims();
        let model = tendon_model::classifier::Classifier::new(
            Encoder::StGcn(fresh.clone()),
            config.dim,
            classes,
            0,
        );
        let learning = Layers {
            blocks: fresh.blocks[TRUNK_BLOCKS..].to_vec(),
            classifier: model.classifier,
        };
        let learning = restore(learning, &collect(&plain)).map_err(|error| error.to_string())?;
        let adjacency = (TRUNK_BLOCKS..encoder.blocks.len()).map(|block| {
            let weighted = encoder.weighted_adjacency(block);
            (weighted.dims(), values(weighted))
        });
        let adjacency = adjacency.collect();
        let moments = plain.blocks.iter().flat_map(norms).map(|norm| Moments {
            mean: values(norm.mean.val()),
            var: values(norm.var.val()),
        });
        let moments = moments.collect();
        Ok(Self {
            plain,
            learning,
            adjacency,
            moments,
        })
    }

    /// Weights by name.
    #[must_use]
    pub fn weights(&self) -> Named {
        let mut weights = collect(&self.plain);
        weights.retain(|name, _| !is_buffer(name));
        weights
    }

    /// Statistics that the BatchNorm layers were trained with, one a layer.
    #[must_use]
    pub fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// The same tail with other weights.
    ///
    /// # Panics
    /// When the weights are not this tail's: programmer error.
    #[must_use]
    pub fn with(&self, weights: &Named) -> Self {
        let put = |layers: &Layers| {
            let mut all = collect(layers);
            all.extend(
                weights
                    .iter()
                    .map(|(name, values)| (name.clone(), values.clone())),
            );
            restore(layers.clone(), &all)
        };
        match (put(&self.plain), put(&self.learning)) {
            (Ok(plain), Ok(learning)) => Self {
                plain,
                learning,
                adjacency: self.adjacency.clone(),
                moments: self.moments.clone(),
            },
            _ => unreachable!("weights of another tail"),
        }
    }

    /// Logits and pooled features of bodies, without gradients.
    #[must_use]
    pub fn ask(&self, input: &Input, statistics: Statistics<'_>) -> Said {
        self.run(&self.plain, &Device::flex(), input, statistics)
    }

    /// Probabilities of bodies, without gradients.
    #[must_use]
    pub fn probabilities(&self, input: &Input, statistics: Statistics<'_>) -> Vec<Vec<f32>> {
        rows(self.ask(input, statistics).logits)
            .iter()
            .map(|logits| super::vector::softmax(logits))
            .collect()
    }

    /// As [`Self::ask`], and `loss` of what is said can be differentiated: gives the gradient of each weight by name.
    #[must_use]
    pub fn learn(
        &self,
        input: &Input,
        statistics: Statistics<'_>,
        loss: impl FnOnce(&Said) -> Tensor<1>,
    ) -> (Vec<Vec<f32>>, Named) {
        let device = Device::flex().autodiff();
        let said = self.run(&self.learning, &device, input, statistics);
        let gradients = loss(&said).backward();
        let found = tendon_model::parameters::collect_gradients(&self.learning, &gradients);
        (rows(said.logits), found)
    }

    fn run(
        &self,
        layers: &Layers,
        device: &Device,
        input: &Input,
        mut statistics: Statistics<'_>,
    ) -> Said {
        let data = TensorData::new(input.values.clone(), input.shape);
        let mut x = Tensor::<4>::from_data(data, device);
        let mut layer = 0;
        for (block, (shape, adjacency)) in layers.blocks.iter().zip(&self.adjacency) {
            let adjacency =
                Tensor::<3>::from_data(TensorData::new(adjacency.clone(), *shape), device);
            let y = block.graph.forward(x.clone(), adjacency);
            let y = relu(normalized(&block.norm1, y, &mut statistics, layer));
            let y = block.temporal.forward(y, block.stride);
            let y = normalized(&block.norm2, y, &mut statistics, layer + 1);
            layer += 2;
            let added = match (&block.residual, &block.residual_norm) {
                (Some(linear), Some(norm)) => {
                    let [body, joint, frame, channel] = x.dims();
                    let rows = linear.forward(x.reshape([body * joint * frame, channel]));
                    let [_, dim] = rows.dims();
                    let projected = rows.reshape([body, joint, frame, dim]);
                    layer += 1;
                    normalized(norm, projected, &mut statistics, layer - 1)
                }
                _ => x,
            };
            x = relu(y + added);
        }
        let pooled = pool(x);
        Said {
            logits: layers.classifier.forward(pooled.clone()),
            pooled,
        }
    }
}

/// The BatchNorm layers of a block in the order of the pass.
fn norms(block: &Block) -> impl Iterator<Item = &BatchNorm> {
    [&block.norm1, &block.norm2]
        .into_iter()
        .chain(&block.residual_norm)
}

/// Normalises channels with the statistics of a layer, which may be mixed with the batch's; gradients flow through the latter.
fn normalized(
    norm: &BatchNorm,
    x: Tensor<4>,
    statistics: &mut Statistics<'_>,
    layer: usize,
) -> Tensor<4> {
    let [body, joint, frame, channel] = x.dims();
    let rows = x.reshape([body * joint * frame, channel]);
    let device = rows.device();
    let row = |values: &[f32]| {
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, channel]), &device)
    };
    let (mean, var) = match statistics {
        Statistics::Given(moments) => (row(&moments[layer].mean), row(&moments[layer].var)),
        Statistics::Mixed {
            running,
            weight,
            keep,
        } => {
            let (weight, running) = (weight[layer], &mut running[layer]);
            let own_mean = rows.clone().mean_dim(0);
            let apart = rows.clone() - own_mean.clone();
            let own_var = (apart.clone() * apart).mean_dim(0);
            let mean = row(&running.mean) * (1.0 - weight) + own_mean * weight;
            let var = row(&running.var) * (1.0 - weight) + own_var * weight;
            if *keep {
                *running = Moments {
                    mean: values(mean.clone()),
                    var: values(var.clone()),
                };
            }
            (mean, var)
        }
    };
    let scaled = (rows - mean) / (var + EPSILON).sqrt();
    let out = scaled * norm.gamma.val().unsqueeze() + norm.beta.val().unsqueeze();
    out.reshape([body, joint, frame, channel])
}

/// The values of a tensor; the network is f32, so the conversion cannot fail.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap_or_default()
}

/// The rows of a table.
pub(super) fn rows(table: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, width] = table.dims();
    values(table)
        .chunks_exact(width.max(1))
        .map(<[f32]>::to_vec)
        .collect()
}

/// Whether a weight is a BatchNorm's scale or shift.
#[must_use]
pub fn is_affine(name: &str) -> bool {
    name.ends_with(".gamma") || name.ends_with(".beta")
}

/// Entropy of each row's softmax, `[body]`, differentiable.
#[must_use]
pub fn entropies(logits: Tensor<2>) -> Tensor<1> {
    let log = burn::tensor::activation::log_softmax(logits, 1);
    let [body, _] = log.dims();
    (log.clone().exp() * log).sum_dim(1).neg().reshape([body])
}

/// Cross-entropy of each row's softmax with given probabilities, `[body]`, differentiable.
#[must_use]
pub fn cross_entropies(logits: Tensor<2>, targets: &[Vec<f32>]) -> Tensor<1> {
    let log = burn::tensor::activation::log_softmax(logits, 1);
    let [body, class] = log.dims();
    let targets: Vec<f32> = targets.iter().flatten().copied().collect();
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [body, class]), &log.device());
    (log * targets).sum_dim(1).neg().reshape([body])
}

/// Mean of values weighted by constants, differentiable.
#[must_use]
pub fn weighted_mean(each: Tensor<1>, weights: &[f32]) -> Tensor<1> {
    let count = weights.len().max(1);
    let weights = Tensor::<1>::from_data(
        TensorData::new(weights.to_vec(), [weights.len()]),
        &each.device(),
    );
    (each * weights).sum().div_scalar(count as f32)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bundle::fold::tests::random_classifier;
    use tendon_bundle::testing::Numbers;
    use tendon_model::classifier::Classifier;
    use tendon_model::pass::Pass;
    use tendon_shared::topology::TopologyId;

    const CLASSES: usize = 4;

    fn config() -> EncoderConfig {
        EncoderConfig {
            width: 4,
            dim: 12,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 1)
        }
    }

    fn parts() -> (StGcn, Classifier) {
        let model = random_classifier(&config(), CLASSES, 5);
        let Encoder::StGcn(encoder) = model.encoder.clone() else {
            unreachable!("the small encoder is an ST-GCN")
        };
        (encoder, model)
    }

    /// A small tail with random weights and statistics.
    pub(in crate::adapt_bench::recipe) fn tail() -> FloatTail {
        let (encoder, model) = parts();
        FloatTail::of(&config(), &encoder, &model.classifier).unwrap()
    }

    /// Random trunk features of this many bodies, as of a ReLU.
    pub(in crate::adapt_bench::recipe) fn input(bodies: usize, seed: u64) -> Input {
        let mut numbers = Numbers::new(seed);
        let shape = [bodies, 20, 4, 16];
        Input {
            values: (0..bodies * 20 * 4 * 16)
                .map(|_| (1.5 * numbers.unit()).max(0.0))
                .collect(),
            shape,
        }
    }

    #[test]
    fn with_its_own_statistics_it_is_the_trained_network() {
        let (encoder, model) = parts();
        let (tail, input) = (tail(), input(3, 1));
        let said = tail.ask(&input, Statistics::Given(tail.moments()));
        let x = Tensor::<4>::from_data(
            TensorData::new(input.values.clone(), input.shape),
            &Device::flex(),
        );
        let pooled = pool(encoder.tail(x, &mut Pass::Infer));
        let expect = values(model.classifier.forward(pooled.clone()));
        for (found, expect) in values(said.logits).iter().zip(&expect) {
            assert!(
                (found - expect).abs() < 1e-4 * (1.0 + expect.abs()),
                "{found} {expect}"
            );
        }
        assert_eq!(values(said.pooled).len(), values(pooled).len());
    }

    #[test]
    fn learning_sees_what_asking_says() {
        let (tail, input) = (tail(), input(3, 2));
        let asked = tail.ask(&input, Statistics::Given(tail.moments()));
        let (said, gradients) = tail.learn(&input, Statistics::Given(tail.moments()), |said| {
            entropies(said.logits.clone()).mean()
        });
        for (a, b) in said.iter().flatten().zip(values(asked.logits)) {
            assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()));
        }
        let moved = |name: &str| gradients[name].data.iter().any(|value| *value != 0.0);
        for name in [
            "blocks.0.norm1.gamma",
            "blocks.1.residual_norm.beta",
            "classifier.weight",
        ] {
            assert!(moved(name), "{name}");
        }
        assert_eq!(tail.moments().len(), 5);
    }

    #[test]
    fn a_mixture_moves_from_what_was_known_to_what_is_seen() {
        let (tail, input) = (tail(), input(4, 3));
        let seen = |weight: f32, keep| {
            let mut running = tail.moments().to_vec();
            let weights = [weight; 5];
            let statistics = Statistics::Mixed {
                running: &mut running,
                weight: &weights,
                keep,
            };
            let logits = values(tail.ask(&input, statistics).logits);
            (running, logits)
        };
        let (all, _) = seen(1.0, true);
        let (some, _) = seen(0.25, true);
        let first = |moments: &[Moments]| moments[0].mean[0];
        let expect = 0.75 * first(tail.moments()) + 0.25 * first(&all);
        assert!((first(&some) - expect).abs() < 1e-5);
        assert_ne!(all, tail.moments());
        assert_eq!(seen(1.0, false).0, tail.moments());
        let known = tail.ask(&input, Statistics::Given(tail.moments()));
        let close = seen(0.0, false).1.into_iter().zip(values(known.logits));
        assert!(close.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn int8_features_are_dequantised() {
        let input = Input::dequantized(&[&[-128, -126]], [1, 1, 2], 0.5);
        assert_eq!((input.values, input.shape), (vec![0.0, 1.0], [1, 1, 1, 2]));
    }
}
