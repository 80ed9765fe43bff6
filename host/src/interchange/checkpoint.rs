//! Encoders of published PyTorch code: the ST-GCN of SkeletonCLR, CrosSCLR, AimCLR, SkeleMixCLR and CMCS.
//!
//! All of them call its weights alike; only the name in front differs (`encoder_q`, `encoder_q_motion`, `online_backbone_joint`, ...).
//! Shapes say topology, width and dimensions; the stored adjacency says which graph it was; window length and stream are not in
//! such files. Nothing in them is executed: `pytorch-reader` understands tensors and refuses everything else.

use pytorch_reader::{DType, PytorchReader, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::graph::{Adjacency, GraphKind, SUBSETS};
use tendon_model::parameters::{Named, RestoreError, Values, restore};
use tendon_model::st_gcn::BLOCKS;
use tendon_model::temporal::TAPS;
use tendon_shared::stream::Stream;
use tendon_shared::topology::TopologyId;

/// Larger files are no skeleton encoders.
const MAX_BYTES: u64 = 2 << 30;
/// Largest difference of two adjacencies that are the same one.
const SAME: f32 = 1e-4;

/// What such a file does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    /// The network's name in front of its weights; the first known one by default.
    pub network: Option<String>,
    /// The stream that it reads; by default what its name says, or joints.
    pub stream: Option<Stream>,
    /// Frames of a window.
    pub frames: usize,
    /// Bodies of a window.
    pub bodies: usize,
}

/// A checkpoint that is no such encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Too large.
    #[error("{0} is larger than 2 GiB: no skeleton encoder is")]
    TooLarge(PathBuf),
    /// Of another kind.
    #[error(
        "{0} holds a DSTA network (PSP Learning), and only ST-GCN encoders can be imported: train one with `tendon pretrain` and configs/pretrain/psp-paper.toml"
    )]
    Dsta(PathBuf),
    /// Not a PyTorch checkpoint.
    #[error("{path} is no PyTorch checkpoint: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no network of this kind.
    #[error("there is no ST-GCN {wanted}; there are tensors such as {examples}")]
    NoNetwork {
        /// Which was wanted.
        wanted: String,
        /// Some names.
        examples: String,
    },
    /// A tensor is missing or has another shape than its neighbours say.
    #[error("tensor {name}: {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The adjacency is none that is known.
    #[error(
        "the adjacency is neither that of CrosSCLR, AimCLR and CMCS nor that of SkeleMixCLR on a {0} skeleton"
    )]
    Graph(&'static str),
    /// The encoder is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor does not fit.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Names of networks in published code, the one to take first.
const NETWORKS: [&str; 7] = [
    "encoder_q",
    "encoder_q_motion",
    "encoder_q_bone",
    "online_backbone_joint",
    "online_backbone_motion",
    "online_backbone_bone",
    "online_backbone",
];

/// A parameter that DSTA networks have and ST-GCN networks have not.
const DSTA_ONLY: &str = "input_map.0.weight";

/// Reads an encoder; `device` is where its weights come to lie.
///
/// # Errors
/// See [`CheckpointError`].
pub fn read(
    path: &Path,
    missing: &Missing,
    device: &burn::tensor::Device,
) -> Result<(Encoder, EncoderConfig), CheckpointError> {
    let tensors = open(path)?;
    if tensors.keys().any(|name| name.ends_with(DSTA_ONLY)) {
        return Err(CheckpointError::Dsta(path.to_path_buf()));
    }
    let prefix = prefix(&tensors, missing.network.as_deref())?;
    let own = Network {
        tensors: &tensors,
        prefix: &prefix,
    };
    let joints = own.get("data_bn.weight")?.data.len() / 3;
    let topology = TopologyId::ALL
        .into_iter()
        .find(|id| id.topology().joint_count() == joints)
        .ok_or_else(|| own.wrong("data_bn.weight", "no known skeleton has so many joints"))?;
    let first = own.get("st_gcn_networks.0.gcn.conv.weight")?;
    let last = own.get(&format!("st_gcn_networks.{}.tcn.0.weight", BLOCKS - 1))?;
    let stream = missing.stream.unwrap_or(match prefix.as_str() {
        name if name.ends_with("_motion.") => Stream::Motion,
        // Not "backbone".
        name if name.ends_with("_bone.") => Stream::Bone,
        _ => Stream::Joint,
    });
    let config = EncoderConfig {
        graph: own.graph(topology)?,
        streams: vec![stream],
        width: first.data.len() / (3 * SUBSETS),
        dim: last.data.len(),
        dropout: 0.0,
        body_mask: false,
        ..EncoderConfig::small(topology, missing.frames, missing.bodies)
    };
    let encoder = config.init(0, device)?;
    let weights = own.weights(&config)?;
    Ok((restore(encoder, &weights)?, config))
}

/// Tensors by name, without what wrappers put in front.
fn open(path: &Path) -> Result<BTreeMap<String, Tensor>, CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.to_path_buf(),
        source,
    };
    if std::fs::metadata(path).map_err(io)?.len() > MAX_BYTES {
        return Err(CheckpointError::TooLarge(path.to_path_buf()));
    }
    let reader = PytorchReader::new(path).map_err(|error| CheckpointError::Format {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let plain = |name: String| {
        let mut name = name.as_str();
        for wrapper in ["state_dict.", "model_state_dict.", "model.", "module."] {
            name = name.strip_prefix(wrapper).unwrap_or(name);
        }
        name.to_owned()
    };
    let tensors = reader.into_tensors().into_iter();
    Ok(tensors
        .map(|(name, tensor)| (plain(name), tensor))
        .collect())
}

/// What stands before the names of the network's weights: its name with a dot, or nothing.
fn prefix(
    tensors: &BTreeMap<String, Tensor>,
    wanted: Option<&str>,
) -> Result<String, CheckpointError> {
    let there = |name: &str| {
        let prefix = if name.is_empty() {
            String::new()
        } else {
            format!("{name}.")
        };
        tensors
            .contains_key(&format!("{prefix}data_bn.weight"))
            .then_some(prefix)
    };
    let found = match wanted {
        Some(name) => there(name),
        None => std::iter::once("").chain(NETWORKS).find_map(there),
    };
    found.ok_or_else(|| {
        let some: Vec<&str> = tensors.keys().take(4).map(String::as_str).collect();
        CheckpointError::NoNetwork {
            wanted: wanted.map_or_else(
                || format!("called {}", NETWORKS.join(", ")),
                |name| format!("called {name}"),
            ),
            examples: some.join(", "),
        }
    })
}

/// One network of a checkpoint.
struct Network<'t> {
    tensors: &'t BTreeMap<String, Tensor>,
    prefix: &'t str,
}

impl Network<'_> {
    fn wrong(&self, name: &str, problem: &str) -> CheckpointError {
        CheckpointError::Tensor {
            name: format!("{}{name}", self.prefix),
            problem: problem.to_owned(),
        }
    }

    fn get(&self, name: &str) -> Result<Values, CheckpointError> {
        let tensor = self
            .tensors
            .get(&format!("{}{name}", self.prefix))
            .ok_or_else(|| self.wrong(name, "it is missing"))?;
        if tensor.byte_len() as u64 > MAX_BYTES {
            return Err(self.wrong(name, "it is larger than a whole encoder"));
        }
        let bytes = tensor
            .read()
            .map_err(|error| self.wrong(name, &error.to_string()))?;
        let data: Vec<f32> = match tensor.dtype() {
            DType::F32 => floats(&bytes, f32::from_ne_bytes),
            DType::F64 => floats(&bytes, |bytes: [u8; 8]| f64::from_ne_bytes(bytes) as f32),
            _ => return Err(self.wrong(name, "it does not hold 32- or 64-bit floats")),
        };
        if let Some(index) = data.iter().position(|value| !value.is_finite()) {
            let problem = format!("value {index} is not finite");
            return Err(self.wrong(name, &problem));
        }
        Ok(Values {
            shape: tensor.shape().to_vec(),
            data,
        })
    }

    /// A tensor of `count` values.
    fn sized(&self, name: &str, count: usize) -> Result<Vec<f32>, CheckpointError> {
        let values = self.get(name)?;
        if values.data.len() == count {
            Ok(values.data)
        } else {
            let problem = format!("it has {} values, expected {count}", values.data.len());
            Err(self.wrong(name, &problem))
        }
    }

    /// Which of the known graphs the stored adjacency is.
    fn graph(&self, topology: TopologyId) -> Result<GraphKind, CheckpointError> {
        let stored = self.get("A")?;
        let kinds = [
            GraphKind::SpatialHop1 {
                true_distances: false,
            },
            GraphKind::SpatialHop1 {
                true_distances: true,
            },
            GraphKind::Agcn,
        ];
        let same = |kind: &GraphKind| {
            let own = Adjacency::new(topology.topology(), *kind).values;
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < SAME;
            own.len() == stored.data.len() && own.iter().zip(&stored.data).all(near)
        };
        kinds
            .into_iter()
            .find(same)
            .ok_or(CheckpointError::Graph(topology.name()))
    }

    /// All weights under our names and in our layouts.
    fn weights(&self, config: &EncoderConfig) -> Result<Named, CheckpointError> {
        let joints = config.joints();
        let mut weights = Named::new();
        let mut put = |name: String, shape: Vec<usize>, data: Vec<f32>| {
            weights.insert(name, Values { shape, data });
        };
        for (part, values) in self.norm("data_bn", 3 * joints)? {
            put(format!("input_norm.{part}"), vec![3 * joints], values);
        }
        for (number, spec) in config.blocks().iter().enumerate() {
            let (input, output) = (spec.input, spec.output);
            let at = |name: &str| format!("blocks.{number}.{name}");
            let from = |name: &str| format!("st_gcn_networks.{number}.{name}");
            let edge = self.sized(
                &format!("edge_importance.{number}"),
                SUBSETS * joints * joints,
            )?;
            put(at("edge"), vec![SUBSETS, joints, joints], edge);
            let graph = self.sized(&from("gcn.conv.weight"), SUBSETS * output * input)?;
            let graph = turned(&graph, SUBSETS, output, input);
            put(at("graph.weight"), vec![SUBSETS, input, output], graph);
            let bias = self.sized(&from("gcn.conv.bias"), SUBSETS * output)?;
            put(at("graph.bias"), vec![SUBSETS, output], bias);
            let temporal = self.sized(&from("tcn.2.weight"), output * output * TAPS)?;
            let temporal = taps_first(&temporal, output, output);
            put(at("temporal.weight"), vec![TAPS, output, output], temporal);
            let bias = self.sized(&from("tcn.2.bias"), output)?;
            put(at("temporal.bias"), vec![output], bias);
            let mut norms = vec![("norm1", from("tcn.0")), ("norm2", from("tcn.3"))];
            if spec.residual && !(input == output && spec.stride == 1) {
                let residual = self.sized(&from("residual.0.weight"), output * input)?;
                let residual = turned(&residual, 1, output, input);
                put(at("residual.weight"), vec![input, output], residual);
                let bias = self.sized(&from("residual.0.bias"), output)?;
                put(at("residual.bias"), vec![output], bias);
                norms.push(("residual_norm", from("residual.1")));
            }
            for (name, from) in norms {
                for (part, values) in self.norm(&from, output)? {
                    put(at(&format!("{name}.{part}")), vec![output], values);
                }
            }
        }
        Ok(weights)
    }

    /// A BatchNorm under our names.
    fn norm(
        &self,
        name: &str,
        channels: usize,
    ) -> Result<[(&'static str, Vec<f32>); 4], CheckpointError> {
        let get = |part: &str| self.sized(&format!("{name}.{part}"), channels);
        Ok([
            ("gamma", get("weight")?),
            ("beta", get("bias")?),
            ("mean", get("running_mean")?),
            ("var", get("running_var")?),
        ])
    }
}

fn floats<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|one| value(*one)).collect()
}

/// `[group, out, in] -> [group, in, out]`
fn turned(values: &[f32], groups: usize, output: usize, input: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(values.len());
    for group in 0..groups {
        for from in 0..input {
            turned.extend((0..output).map(|out| values[(group * output + out) * input + from]));
        }
    }
    turned
}

/// `[out, in, tap] -> [tap, in, out]`
fn taps_first(values: &[f32], output: usize, input: usize) -> Vec<f32> {
    let mut first = Vec::with_capacity(values.len());
    for tap in 0..TAPS {
        for from in 0..input {
            first.extend((0..output).map(|out| values[(out * input + from) * TAPS + tap]));
        }
    }
    first
}
