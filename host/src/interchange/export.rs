//! An encoder or a classifier as ONNX: BatchNorm folded, operations that every runtime knows.
//!
//! Opset 12, and of its operations `MatMul`, `Reshape`, `Transpose`, `Conv`, `Add`, `Mul`, `Relu`, `ReduceMean` and `Gemm` only: published
//! exports of ST-GCN fail on `Einsum` and on gathers. A window goes in body by body:
//!
//! - `body`: `[batch, channel, frame, joint]`, normalised and its streams stacked as the metadata says
//! - `embedding`: `[batch, dim]`; the embedding of a window is the mean over its bodies
//! - `logits`: `[batch, class]`, of windows with one body; only of a classifier

use super::onnx::{
    Attribute, Dim, Entry, FLOAT, Graph, INT, INT64, INTS, Kind, Length, Model, Node, OperatorSet,
    Shape, Tensor, TensorKind, Value,
};
use prost::Message as _;
use tendon_model::folded::{Block, Folded, Residual};
use tendon_model::graph::SUBSETS;
use tendon_model::temporal::{PADDING, TAPS};
use tendon_model::weights::Description;

/// Version of the format that opset 12 came with.
const IR_VERSION: i64 = 7;
const OPSET: i64 = 12;

/// The bytes of an ONNX file. `description` goes into its metadata.
#[must_use]
pub fn to_onnx(network: &Folded, description: &Description) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.network(network);
    let metadata = [
        ("topology", description.config.topology.name().to_owned()),
        ("streams", text(&description.config.streams)),
        ("normalize", text(&description.normalize)),
        ("classes", text(&description.classes)),
        ("provenance", text(&description.provenance)),
    ];
    let batch = || Length::Named("batch".to_owned());
    let known = |length: usize| Length::Known(length as i64);
    let value = |name: &str, shape: Vec<Length>| Value {
        name: name.to_owned(),
        kind: Some(Kind {
            tensor: Some(TensorKind {
                element: FLOAT,
                shape: Some(Shape {
                    dim: shape
                        .into_iter()
                        .map(|length| Dim {
                            length: Some(length),
                        })
                        .collect(),
                }),
            }),
        }),
    };
    let body = [network.channels, network.frames, network.joints].map(known);
    let mut output = vec![value("embedding", vec![batch(), known(network.dim())])];
    if network.classes() > 0 {
        output.push(value("logits", vec![batch(), known(network.classes())]));
    }
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "tendon".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(Graph {
            node: writer.nodes,
            name: "st-gcn".to_owned(),
            initializer: writer.constants,
            input: vec![value(
                "body",
                std::iter::once(batch()).chain(body).collect(),
            )],
            output,
        }),
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPSET,
        }],
        metadata: metadata
            .into_iter()
            .map(|(key, value)| Entry {
                key: key.to_owned(),
                value,
            })
            .collect(),
    };
    model.encode_to_vec()
}

/// A fact as JSON text.
fn text(value: &impl serde::Serialize) -> String {
    // None of the described types has a map with keys other than text, so this cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// Operations and constants under construction.
#[derive(Default)]
struct Writer {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl Writer {
    fn network(&mut self, network: &Folded) {
        let (joints, channels) = (network.joints, network.channels);
        // `[joint, channel]` becomes `[1, channel, 1, joint]`.
        let by_channel = |values: &[f32]| -> Vec<f32> {
            (0..channels * joints)
                .map(|index| values[(index % joints) * channels + index / joints])
                .collect()
        };
        let wide = [1, channels, 1, joints];
        let gain = self.constant("gain", &wide, &by_channel(&network.gain));
        let offset = self.constant("offset", &wide, &by_channel(&network.offset));
        let scaled = self.node("Mul", "scaled", &["body", &gain], vec![]);
        let mut now = self.node("Add", "input", &[&scaled, &offset], vec![]);
        let mut frames = network.frames;
        for (number, block) in network.blocks.iter().enumerate() {
            now = self.block(block, number, joints, frames, &now);
            frames = frames.div_ceil(block.stride);
        }
        let axes = ints("axes", &[2, 3]);
        self.node(
            "ReduceMean",
            "embedding",
            &[&now],
            vec![axes, int("keepdims", 0)],
        );
        let classes = network.classes();
        if classes > 0 {
            let weight = self.constant(
                "classifier.weight",
                &[network.dim(), classes],
                &network.weight,
            );
            let bias = self.constant("classifier.bias", &[classes], &network.bias);
            self.node("Gemm", "logits", &["embedding", &weight, &bias], vec![]);
        }
    }

    /// One block on `[batch, channel, frame, joint]`.
    fn block(
        &mut self,
        block: &Block,
        number: usize,
        joints: usize,
        frames: usize,
        x: &str,
    ) -> String {
        let at = |name: &str| format!("block{number}.{name}");
        let (input, output, stride) = (block.input, block.output, block.stride as i64);

        // All subsets at once: `[joint, subset * joint]`.
        let graph: Vec<f32> = (0..joints * SUBSETS * joints)
            .map(|index| {
                let (source, column) = (index / (SUBSETS * joints), index % (SUBSETS * joints));
                let (subset, target) = (column / joints, column % joints);
                block.adjacency[(subset * joints + source) * joints + target]
            })
            .collect();
        let graph = self.constant(&at("adjacency"), &[joints, SUBSETS * joints], &graph);
        let gathered = self.node("MatMul", &at("gathered"), &[x, &graph], vec![]);
        let split = [
            0,
            input as i64,
            frames as i64,
            SUBSETS as i64,
            joints as i64,
        ];
        let split = self.shape(&at("split"), &split);
        let subsets = self.node("Reshape", &at("subsets"), &[&gathered, &split], vec![]);
        let first = ints("perm", &[0, 3, 1, 2, 4]);
        let first = self.node("Transpose", &at("first"), &[&subsets], vec![first]);
        let joined = [0, (SUBSETS * input) as i64, frames as i64, joints as i64];
        let joined = self.shape(&at("joined"), &joined);
        let stacked = self.node("Reshape", &at("stacked"), &[&first, &joined], vec![]);
        let rows = SUBSETS * input;
        let weight = self.constant(
            &at("graph"),
            &[output, rows, 1, 1],
            &turned(&block.graph, rows, output, 1),
        );
        let mixed = self.node("Conv", &at("mixed"), &[&stacked, &weight], vec![]);
        let bias: Vec<f32> = (0..output * joints)
            .map(|index| block.graph_bias[(index % joints) * output + index / joints])
            .collect();
        let bias = self.constant(&at("graph.bias"), &[1, output, 1, joints], &bias);
        let biased = self.node("Add", &at("biased"), &[&mixed, &bias], vec![]);
        let hidden = self.node("Relu", &at("hidden"), &[&biased], vec![]);

        let weight = turned(&block.temporal, output, output, TAPS);
        let weight = self.constant(&at("temporal"), &[output, output, TAPS, 1], &weight);
        let bias = self.constant(&at("temporal.bias"), &[output], &block.temporal_bias);
        let pads = ints("pads", &[PADDING as i64, 0, PADDING as i64, 0]);
        let strides = || ints("strides", &[stride, 1]);
        let own = self.node(
            "Conv",
            &at("own"),
            &[&hidden, &weight, &bias],
            vec![pads, strides()],
        );
        let beside = match &block.residual {
            Residual::None => None,
            Residual::Identity => Some(x.to_owned()),
            Residual::Convolution { weight, bias } => {
                let weight = turned(weight, input, output, 1);
                let weight = self.constant(&at("residual"), &[output, input, 1, 1], &weight);
                let bias = self.constant(&at("residual.bias"), &[output], bias);
                Some(self.node("Conv", &at("beside"), &[x, &weight, &bias], vec![strides()]))
            }
        };
        let sum = match beside {
            Some(beside) => self.node("Add", &at("sum"), &[&own, &beside], vec![]),
            None => own,
        };
        self.node("Relu", &at("output"), &[&sum], vec![])
    }

    /// Adds an operation and returns the name of what it makes.
    fn node(
        &mut self,
        op: &str,
        output: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        self.nodes.push(Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{op}"),
            op_type: op.to_owned(),
            attribute: attributes,
        });
        output.to_owned()
    }

    /// Adds a constant and returns its name.
    fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constants.push(Tensor {
            dims: shape.iter().map(|&length| length as i64).collect(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
        name.to_owned()
    }

    /// Adds a shape and returns its name; 0 keeps the length of an axis.
    fn shape(&mut self, name: &str, shape: &[i64]) -> String {
        self.constants.push(Tensor {
            dims: vec![shape.len() as i64],
            data_type: INT64,
            name: name.to_owned(),
            raw_data: shape.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
        name.to_owned()
    }
}

/// `[tap, in, out]` as ONNX wants it: `[out, in, tap]`.
fn turned(weights: &[f32], input: usize, output: usize, taps: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(weights.len());
    for out in 0..output {
        for from in 0..input {
            turned.extend((0..taps).map(|tap| weights[(tap * input + from) * output + out]));
        }
    }
    turned
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        i: value,
        kind: INT,
        ..Attribute::default()
    }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ints: values.to_vec(),
        kind: INTS,
        ..Attribute::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::fold::{
        fold,
        tests::{names, random_classifier},
    };
    use std::collections::BTreeSet;
    use tendon_model::encoder::EncoderConfig;
    use tendon_model::weights::Provenance;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::topology::TopologyId;

    #[test]
    fn only_operations_that_every_runtime_knows_each_reading_what_is_there() {
        let config = EncoderConfig {
            width: 2,
            dim: 6,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        let network = fold(&config, 3, &names(&random_classifier(&config, 3, 1))).unwrap();
        let description = Description {
            config,
            normalize: NormalizeSpec {
                mode: Mode::Product,
                frames: 8,
                bodies: 1,
            },
            classes: ["sit", "stand", "walk"].map(str::to_owned).to_vec(),
            temperature: None,
            provenance: Provenance::default(),
            seen: Vec::new(),
        };
        let model = Model::decode(&to_onnx(&network, &description)[..]).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (7, 12));
        let graph = model.graph.unwrap();
        let mut known: BTreeSet<&str> = graph
            .initializer
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(known.len(), graph.initializer.len());
        for constant in &graph.initializer {
            let bytes = if constant.data_type == FLOAT { 4 } else { 8 };
            let values: i64 = constant.dims.iter().product();
            assert_eq!(
                constant.raw_data.len() as i64,
                bytes * values,
                "{}",
                constant.name
            );
        }
        known.insert(&graph.input[0].name);
        let allowed = [
            "MatMul",
            "Reshape",
            "Transpose",
            "Conv",
            "Add",
            "Mul",
            "Relu",
            "ReduceMean",
            "Gemm",
        ];
        for node in &graph.node {
            assert!(allowed.contains(&node.op_type.as_str()), "{}", node.op_type);
            for input in &node.input {
                assert!(
                    known.contains(input.as_str()),
                    "{} reads {input}",
                    node.name
                );
            }
            assert!(
                known.insert(&node.output[0]),
                "{} is made twice",
                node.output[0]
            );
        }
        assert!(
            graph
                .output
                .iter()
                .all(|output| known.contains(output.name.as_str()))
        );
        assert!(
            model
                .metadata
                .iter()
                .any(|entry| entry.value.contains("stand"))
        );
    }

    #[test]
    fn taps_come_last() {
        // Two taps, three inputs, one output.
        let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(turned(&weights, 3, 1, 2), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
