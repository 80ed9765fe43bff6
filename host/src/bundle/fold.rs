//! Folding: BatchNorm and edge importance disappear into the weights beside them.

use std::collections::BTreeMap;
use tendon_model::encoder::{EncoderConfig, HostOnly};
use tendon_model::folded::{Block, Folded, Residual};
use tendon_model::graph::{Adjacency, SUBSETS};
use tendon_model::norm::EPSILON;
use tendon_model::parameters::Values;
use tendon_model::temporal::TAPS;

/// An encoder that cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// It has no folded form.
    #[error(transparent)]
    HostOnly(#[from] HostOnly),
    /// A weight is missing or has another length than the configuration says.
    #[error(
        "the encoder file has no tensor {name} with {expected} values; was it written by another version?"
    )]
    Weight {
        /// The weight.
        name: String,
        /// Its number of values.
        expected: usize,
    },
}

/// Weights by their published names.
struct Weights<'w>(&'w BTreeMap<String, Values>);

impl Weights<'_> {
    fn get(&self, name: &str, expected: usize) -> Result<&[f32], FoldError> {
        let values = self.0.get(name).map(|values| &values.data[..]);
        values
            .filter(|values| values.len() == expected)
            .ok_or_else(|| FoldError::Weight {
                name: name.to_owned(),
                expected,
            })
    }

    /// Scale and shift of a BatchNorm at inference, a channel each.
    fn norm(&self, name: &str, channels: usize) -> Result<Vec<(f32, f32)>, FoldError> {
        let get = |part: &str| self.get(&format!("{name}.{part}"), channels);
        let (gamma, beta, mean, var) = (get("gamma")?, get("beta")?, get("mean")?, get("var")?);
        let channel = |channel: usize| {
            let scale = f64::from(gamma[channel]) / (f64::from(var[channel]) + EPSILON).sqrt();
            let shift = f64::from(beta[channel]) - f64::from(mean[channel]) * scale;
            (scale as f32, shift as f32)
        };
        Ok((0..channels).map(channel).collect())
    }
}

/// Folds a classifier's weights.
///
/// # Errors
/// [`FoldError`] says what to do about an encoder of another kind, or names the first weight that does not fit `config`.
pub fn fold(
    config: &EncoderConfig,
    classes: usize,
    weights: &BTreeMap<String, Values>,
) -> Result<Folded, FoldError> {
    config.check_stacked_st_gcn()?;
    let weights = Weights(weights);
    let (joints, channels) = (config.joints(), config.channels());
    let adjacency = Adjacency::new(config.topology.topology(), config.graph).values;
    let input = weights.norm("input_norm", joints * channels)?;
    let mut blocks = Vec::new();
    for (number, spec) in config.blocks().iter().enumerate() {
        let at = |name: &str| format!("blocks.{number}.{name}");
        let (input, output) = (spec.input, spec.output);
        let edge = weights.get(&at("edge"), SUBSETS * joints * joints)?;
        let adjacency: Vec<f32> = adjacency
            .iter()
            .zip(edge)
            .map(|(weight, edge)| weight * edge)
            .collect();
        let norm1 = weights.norm(&at("norm1"), output)?;
        let norm2 = weights.norm(&at("norm2"), output)?;
        let graph_bias = weights.get(&at("graph.bias"), SUBSETS * output)?;
        let graph_bias = (0..joints * output).map(|index| {
            let (joint, channel) = (index / output, index % output);
            let reach = |subset: usize| -> f32 {
                (0..joints)
                    .map(|source| adjacency[(subset * joints + source) * joints + joint])
                    .sum()
            };
            let bias: f32 = (0..SUBSETS)
                .map(|subset| reach(subset) * graph_bias[subset * output + channel])
                .sum();
            bias * norm1[channel].0 + norm1[channel].1
        });
        let temporal_bias = weights.get(&at("temporal.bias"), output)?;
        let residual = match (spec.residual, input == output && spec.stride == 1) {
            (false, _) => Residual::None,
            (true, true) => Residual::Identity,
            (true, false) => {
                let norm = weights.norm(&at("residual_norm"), output)?;
                let bias = weights.get(&at("residual.bias"), output)?;
                Residual::Convolution {
                    weight: scaled(weights.get(&at("residual.weight"), input * output)?, &norm),
                    bias: shifted(bias, &norm),
                }
            }
        };
        blocks.push(Block {
            input,
            output,
            stride: spec.stride,
            graph_bias: graph_bias.collect(),
            adjacency,
            graph: scaled(
                weights.get(&at("graph.weight"), SUBSETS * input * output)?,
                &norm1,
            ),
            temporal: scaled(
                weights.get(&at("temporal.weight"), TAPS * output * output)?,
                &norm2,
            ),
            temporal_bias: shifted(temporal_bias, &norm2),
            residual,
        });
    }
    Ok(Folded {
        joints,
        channels,
        frames: config.frames,
        gain: input.iter().map(|(scale, _)| *scale).collect(),
        offset: input.iter().map(|(_, shift)| *shift).collect(),
        blocks,
        weight: weights
            .get("classifier.weight", config.dim * classes)?
            .to_vec(),
        bias: weights.get("classifier.bias", classes)?.to_vec(),
    })
}

/// Multiplies weights `[.., out]` by each output's scale.
fn scaled(weights: &[f32], norm: &[(f32, f32)]) -> Vec<f32> {
    weights
        .iter()
        .zip(norm.iter().cycle())
        .map(|(weight, (scale, _))| weight * scale)
        .collect()
}

fn shifted(bias: &[f32], norm: &[(f32, f32)]) -> Vec<f32> {
    bias.iter()
        .zip(norm)
        .map(|(bias, (scale, shift))| bias * scale + shift)
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor, TensorData};
    use tendon_bundle::testing::Numbers;
    use tendon_model::classifier::Classifier;
    use tendon_model::encoder::EncoderKind;
    use tendon_model::graph::GraphKind;
    use tendon_model::parameters::{collect, restore};
    use tendon_model::pass::Pass;
    use tendon_shared::pose::Presence;
    use tendon_shared::stream::Stream;
    use tendon_shared::topology::TopologyId;

    /// A small classifier with random weights and random BatchNorm statistics.
    pub(crate) fn random_classifier(
        config: &EncoderConfig,
        classes: usize,
        seed: u64,
    ) -> Classifier {
        let encoder = config.init(seed, &Device::flex()).unwrap();
        let model = Classifier::new(encoder, config.dim, classes, seed);
        let mut numbers = Numbers::new(seed);
        let mut weights = collect(&model);
        for (name, values) in &mut weights {
            let fan = values.shape.iter().rev().skip(1).product::<usize>().max(1) as f32;
            for value in &mut values.data {
                let random = numbers.unit();
                *value = match name.rsplit('.').next().unwrap() {
                    "var" => 0.6 + 0.5 * random,
                    "gamma" | "edge" => 1.0 + 0.4 * random,
                    "mean" | "beta" | "bias" => 0.3 * random,
                    _ => 2.0 * random / fan.sqrt(),
                };
            }
        }
        restore(model, &weights).unwrap()
    }

    /// The classifier's weights by the names of its file.
    pub(crate) fn names(model: &Classifier) -> BTreeMap<String, Values> {
        let mut weights = collect(&model.encoder);
        weights.extend(
            collect(&model.classifier)
                .into_iter()
                .map(|(name, values)| (format!("classifier.{name}"), values)),
        );
        weights
    }

    #[test]
    fn the_folded_network_equals_burns_forward() {
        for (seed, mask, graph, streams) in [
            (
                1,
                true,
                GraphKind::SpatialHop1 {
                    true_distances: true,
                },
                vec![Stream::Joint],
            ),
            (2, false, GraphKind::Agcn, Stream::ALL.to_vec()),
        ] {
            let config = EncoderConfig {
                width: 6,
                dim: 20,
                streams,
                graph,
                body_mask: mask,
                ..EncoderConfig::small(TopologyId::Kinect20, 18, 2)
            };
            let model = random_classifier(&config, 5, seed);
            let folded = fold(&config, 5, &names(&model)).unwrap();
            let mut numbers = Numbers::new(seed + 50);
            let shape = [3, 2, config.channels(), 18, 20];
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| numbers.unit())
                .collect();
            let presence = [Presence::FIRST, Presence(3), Presence(2)];
            let x = Tensor::from_data(TensorData::new(values.clone(), shape), &Device::flex());
            let expect: Vec<f32> = model
                .forward(x, &presence, &mut Pass::Infer)
                .into_data()
                .try_to_vec()
                .unwrap();
            let windows = values.chunks_exact(2 * folded.input_len());
            for ((window, presence), expect) in windows.zip(presence).zip(expect.chunks_exact(5)) {
                let bodies: Vec<usize> = if mask {
                    presence.bodies().collect()
                } else {
                    vec![0, 1]
                };
                for (found, expect) in folded.logits(window, &bodies).iter().zip(expect) {
                    assert!((found - expect).abs() < 1e-4, "{found} is not {expect}");
                }
            }
            let spread = expect
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(
                spread > 0.2,
                "the comparison says nothing when all logits are near zero"
            );
        }
    }

    #[test]
    fn a_missing_weight_is_named() {
        let config = EncoderConfig {
            width: 2,
            dim: 4,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let mut weights = names(&random_classifier(&config, 3, 1));
        weights.remove("blocks.4.residual_norm.var");
        let error = fold(&config, 3, &weights).unwrap_err();
        assert_eq!(
            error,
            FoldError::Weight {
                name: "blocks.4.residual_norm.var".to_owned(),
                expected: 4
            }
        );
    }

    #[test]
    fn an_encoder_without_a_folded_form_is_refused_and_says_what_to_do() {
        let dsta = EncoderConfig {
            kind: EncoderKind::Dsta,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let error = fold(&dsta, 3, &BTreeMap::new()).unwrap_err();
        assert!(matches!(error, FoldError::HostOnly(_)));
        assert!(error.to_string().contains("encoder-joint"), "{error}");
    }
}
