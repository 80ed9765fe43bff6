//! PSP Learning's attention over the skeleton pyramid: who looks at whom among five parts helps to say it among ten, and both
//! among joints.
//!
//! # Source
//! PSP Learning's code (pyramid polymerising attention), with its constants.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use tendon_shared::topology::Topology;

use crate::attention::{heads, similarity};
use crate::init::Initializer;
use crate::leaky::leaky_sum;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};
use crate::pyramid::{Groups, Scale};

/// Attention heads of a level.
const HEADS: usize = 4;
/// The pyramid from the top, and the order of everything that is a level's.
pub const LEVELS: [Scale; 3] = [Scale::Body, Scale::Part, Scale::Joint];
/// What a level takes of the ones above it, in the order of [`LEVELS`]: shares by which the code makes up for their size, 2 / 10 of
/// bodies in parts, 6 / 25 of bodies and 3 / 25 of parts in joints.
const SHARES: [&[f64]; 3] = [&[], &[0.2], &[0.24, 0.12]];

/// One level's maps.
#[derive(Module, Debug)]
pub struct Level {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: BatchNorm,
}

/// The attention of all levels.
#[derive(Module, Debug)]
pub struct PolymerisedAttention {
    /// In the order of [`LEVELS`].
    levels: Vec<Level>,
    #[module(skip)]
    pyramid: Pyramid,
}

/// Which nodes of a level belong to which node above.
#[derive(Clone, Debug)]
struct Pyramid {
    /// How levels are pooled from joints.
    groups: Vec<Groups>,
    /// For each level and each level above it, which node of that one holds each of its nodes.
    above: Vec<Vec<Vec<usize>>>,
    /// Nodes of each level.
    nodes: Vec<usize>,
}

impl Pyramid {
    fn new(topology: &Topology) -> Self {
        let members = LEVELS.map(|level| level.groups(topology));
        let holder = |upper: &Vec<Vec<usize>>, node: &Vec<usize>| {
            // Levels are nested, so a node's first joint says where all of it belongs.
            let first = node.first();
            let holds = |group: &Vec<usize>| first.is_some_and(|joint| group.contains(joint));
            upper.iter().position(holds).unwrap_or(0)
        };
        let above = (0..LEVELS.len()).map(|level| {
            let uppers = members[..level].iter();
            let of = |upper| {
                members[level]
                    .iter()
                    .map(|node| holder(upper, node))
                    .collect()
            };
            uppers.map(of).collect()
        });
        Self {
            above: above.collect(),
            groups: LEVELS.map(|level| Groups::new(level, topology)).into(),
            nodes: members.iter().map(Vec::len).collect(),
        }
    }

    /// Gives each pair of nodes of `level` what the pair of nodes above them has.
    ///
    /// # Shapes
    /// `[head, batch, upper node, upper node] -> [head, batch, node, node]`
    fn expand(&self, map: Tensor<4>, level: usize, upper: usize) -> Tensor<4> {
        let (rows, columns) = (self.nodes[level], self.nodes[upper]);
        let mut values = vec![0.0_f32; rows * columns];
        for (row, holder) in values
            .chunks_exact_mut(columns)
            .zip(&self.above[level][upper])
        {
            row[*holder] = 1.0;
        }
        let data = TensorData::new(values, [1, 1, rows, columns]);
        let choice = Tensor::<4>::from_data(data, &map.device());
        choice.clone().matmul(map).matmul(choice.transpose())
    }
}

impl Level {
    fn new(dim: usize, init: &mut Initializer<'_>) -> Self {
        let mut map = |bias: bool| Linear {
            bias: bias.then(|| init.constant([dim], 0.0)),
            ..init.kaiming(dim, dim)
        };
        let (query, key, value, output) = (map(true), map(true), map(true), map(false));
        Self {
            query,
            key,
            value,
            output,
            norm: BatchNorm::neutral(dim, init),
        }
    }

    /// Who looks at whom by this level alone, `[batch, node, frame, dim] -> [head, batch, node, node]`.
    fn attention(&self, x: &Tensor<4>) -> Tensor<4> {
        let query = heads(&self.query, x.clone(), None, HEADS);
        similarity(query, heads(&self.key, x.clone(), None, HEADS))
    }

    /// What each node sees, added to itself; the same shape in and out.
    fn attend(&self, x: Tensor<4>, attention: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [batch, node, frame, dim] = x.dims();
        let seen = attention.matmul(heads(&self.value, x.clone(), None, HEADS));
        let rows = seen
            .reshape([HEADS, batch, node, frame, dim / HEADS])
            .permute([1, 2, 3, 0, 4])
            .reshape([batch * node * frame, dim]);
        let seen = self.norm.forward(self.output.forward(rows), pass);
        let x = x.reshape([batch * node * frame, dim]);
        leaky_sum(x, seen).reshape([batch, node, frame, dim])
    }
}

impl PolymerisedAttention {
    /// A new module for features of `dim` channels, a multiple of four.
    pub fn new(dim: usize, topology: &Topology, seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        Self {
            levels: LEVELS.map(|_| Level::new(dim, &mut init)).into(),
            pyramid: Pyramid::new(topology),
        }
    }

    /// The features of each level, in the order of [`LEVELS`].
    ///
    /// # Shapes
    /// `[batch, joint, frame, dim]` to `[batch, node, frame, dim]` each
    pub fn forward(&self, x: Tensor<4>, pass: &mut Pass) -> Vec<Tensor<4>> {
        let pooled = self.pyramid.groups.iter().zip(LEVELS);
        let pooled: Vec<Tensor<4>> = pooled
            .map(|(groups, level)| match level {
                Scale::Joint => x.clone(),
                Scale::Part | Scale::Body => groups.pool(x.clone()),
            })
            .collect();
        // What a level passes on is its own attention, without what it took from above.
        let own = self.levels.iter().zip(&pooled);
        let own: Vec<Tensor<4>> = own.map(|(level, x)| level.attention(x)).collect();
        let levels = self.levels.iter().zip(pooled).enumerate();
        levels
            .map(|(level, (maps, x))| {
                let taken = SHARES[level].iter().zip(&own).enumerate();
                let attention = taken.fold(own[level].clone(), |sum, (upper, (share, map))| {
                    sum + self.pyramid.expand(map.clone(), level, upper) * *share
                });
                maps.attend(x, attention, pass)
            })
            .collect()
    }
}

impl Normalized for PolymerisedAttention {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let levels = self.levels.iter_mut();
        levels.map(|level| &mut level.norm).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameter_count;
    use burn::tensor::Distribution;
    use tendon_shared::topology::TopologyId;

    fn read(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    // 0.79 M in the published code: three times a map to queries, keys and values and one back, 256 channels, and a BatchNorm.
    #[test]
    fn the_published_size_has_the_published_number_of_parameters() {
        let topology = TopologyId::Ntu25.topology();
        let attention = PolymerisedAttention::new(256, topology, 0, &Device::flex());
        // Biases in front of a BatchNorm are left out here.
        let left_out = 3 * 256;
        assert_eq!(parameter_count(&attention) + left_out, 791_040);
    }

    // Body, part and joint of the left hand of Kinect v2 are in each other, and the entry of a pair is that of the pair above.
    #[test]
    fn expansion_takes_the_entry_of_the_pair_above() {
        let topology = TopologyId::Ntu25.topology();
        let pyramid = Pyramid::new(topology);
        assert_eq!(pyramid.nodes, [5, 10, 25]);
        let device = Device::flex();
        for (level, upper) in [(1, 0), (2, 0), (2, 1)] {
            let (nodes, uppers) = (pyramid.nodes[level], pyramid.nodes[upper]);
            let values: Vec<f32> = (0..uppers * uppers).map(|value| value as f32).collect();
            let map = TensorData::new(values, [1, 1, uppers, uppers]);
            let found = read(pyramid.expand(Tensor::from_data(map, &device), level, upper));
            let groups = |level: usize| LEVELS[level].groups(topology);
            let (low, high) = (groups(level), groups(upper));
            let holder = |node: usize| {
                let holds = |group: &Vec<usize>| low[node].iter().all(|j| group.contains(j));
                high.iter().position(holds).unwrap()
            };
            for (index, found) in found.into_iter().enumerate() {
                let (row, column) = (index / nodes, index % nodes);
                let expect = holder(row) * uppers + holder(column);
                assert_eq!(found, expect as f32);
            }
        }
    }

    #[test]
    fn every_level_has_its_nodes_on_every_topology() {
        let device = Device::flex();
        for id in TopologyId::ALL {
            let topology = id.topology();
            let attention = PolymerisedAttention::new(8, topology, 0, &device);
            let shape = [2, topology.joint_count(), 3, 8];
            let x = Tensor::random(shape, Distribution::Default, &device);
            let found = attention.forward(x, &mut Pass::Infer);
            for (level, found) in LEVELS.into_iter().zip(found) {
                assert_eq!(
                    found.dims(),
                    [2, level.groups(topology).len(), 3, 8],
                    "{id}"
                );
            }
        }
    }

    #[test]
    fn levels_below_follow_the_attention_above() {
        let device = Device::flex();
        let topology = TopologyId::Sbu15.topology();
        let attention = PolymerisedAttention::new(8, topology, 0, &device);
        let x = Tensor::random([2, 15, 3, 8], Distribution::Default, &device);
        let before = attention.forward(x.clone(), &mut Pass::Infer);
        let mut other = attention.clone();
        // Without a query nobody looks at anybody by the body level.
        other.levels[0].query = Linear {
            weight: other.levels[0]
                .query
                .weight
                .clone()
                .map(|weight| weight * 0.0),
            bias: None,
        };
        let after = other.forward(x, &mut Pass::Infer);
        for (before, after) in before.into_iter().zip(after) {
            assert_ne!(read(before), read(after));
        }
    }
}
