//! The skeleton as a graph: which joints exchange features, in three subsets.
//!
//! Entry `[subset][source][target]` is the weight with which a source joint's features enter a
//! target joint. The matrices are constants of a topology; the encoder multiplies them with a learnable
//! edge importance. Works for every topology whose bones form a tree.

use serde::{Deserialize, Serialize};
use tendon_shared::topology::Topology;

/// Number of adjacency subsets in both published graphs.
pub const SUBSETS: usize = 3;

/// Which published graph the encoder uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphKind {
    /// CrosSCLR, AimCLR and CMCS: self, neighbours at least as far from the centre, neighbours nearer.
    SpatialHop1 {
        /// `false` keeps the reference code's quirk: distances are only known up to one hop, so all
        /// joints further from the centre count as equally far. `true` measures real hops.
        true_distances: bool,
    },
    /// SkeleMixCLR (2s-AGCN): self, inward and outward along the bones.
    Agcn,
}

/// Three column-normalised matrices, `[subset][source][target]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjacency {
    /// Number of joints of the topology.
    pub joints: usize,
    /// Weights, `[SUBSETS * joints * joints]`.
    pub values: Vec<f32>,
}

impl Adjacency {
    /// The graph of `kind` over `topology`.
    ///
    /// # Source
    /// ST-GCN's "spatial" strategy with one hop, and 2s-AGCN's `get_spatial_graph`.
    pub fn new(topology: &Topology, kind: GraphKind) -> Self {
        match kind {
            GraphKind::SpatialHop1 { true_distances } => spatial_hop1(topology, true_distances),
            GraphKind::Agcn => agcn(topology),
        }
    }

    /// One entry.
    pub fn get(&self, subset: usize, source: usize, target: usize) -> f32 {
        self.values[(subset * self.joints + source) * self.joints + target]
    }

    fn empty(joints: usize) -> Self {
        Self {
            joints,
            values: vec![0.0; SUBSETS * joints * joints],
        }
    }

    fn set(&mut self, subset: usize, source: usize, target: usize, value: f32) {
        self.values[(subset * self.joints + source) * self.joints + target] = value;
    }
}

fn spatial_hop1(topology: &Topology, true_distances: bool) -> Adjacency {
    let joints = topology.joint_count();
    let mut linked = vec![false; joints * joints];
    for joint in 0..joints {
        linked[joint * joints + joint] = true;
    }
    for &(child, parent) in topology.bones {
        linked[usize::from(child) * joints + usize::from(parent)] = true;
        linked[usize::from(parent) * joints + usize::from(child)] = true;
    }
    let mut distance = hops(&linked, joints, usize::from(topology.root));
    if !true_distances {
        for hop in &mut distance {
            *hop = (*hop).min(2);
        }
    }
    let mut adjacency = Adjacency::empty(joints);
    for target in 0..joints {
        let degree = (0..joints)
            .filter(|source| linked[source * joints + target])
            .count() as f32;
        for source in (0..joints).filter(|source| linked[source * joints + target]) {
            let subset = if source == target {
                0
            } else if distance[source] >= distance[target] {
                1
            } else {
                2
            };
            adjacency.set(subset, source, target, 1.0 / degree);
        }
    }
    adjacency
}

/// Hops from `start` to every joint; unreachable joints are `usize::MAX`.
fn hops(linked: &[bool], joints: usize, start: usize) -> Vec<usize> {
    let mut distance = vec![usize::MAX; joints];
    distance[start] = 0;
    let mut front = vec![start];
    while !front.is_empty() {
        let mut next = Vec::new();
        for joint in front {
            for neighbour in 0..joints {
                if linked[joint * joints + neighbour] && distance[neighbour] == usize::MAX {
                    distance[neighbour] = distance[joint] + 1;
                    next.push(neighbour);
                }
            }
        }
        front = next;
    }
    distance
}

fn agcn(topology: &Topology) -> Adjacency {
    let joints = topology.joint_count();
    let mut adjacency = Adjacency::empty(joints);
    let mut children = vec![0_u32; joints];
    let mut parents = vec![0_u32; joints];
    for &(child, parent) in topology.bones {
        children[usize::from(parent)] += 1;
        parents[usize::from(child)] += 1;
    }
    for joint in 0..joints {
        adjacency.set(0, joint, joint, 1.0);
    }
    for &(child, parent) in topology.bones {
        let (child, parent) = (usize::from(child), usize::from(parent));
        adjacency.set(1, parent, child, 1.0 / parents[child] as f32);
        adjacency.set(2, child, parent, 1.0 / children[parent] as f32);
    }
    adjacency
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_shared::topology::TopologyId;

    fn subset(adjacency: &Adjacency, subset: usize) -> (usize, f32) {
        let size = adjacency.joints * adjacency.joints;
        let values = &adjacency.values[subset * size..(subset + 1) * size];
        (
            values.iter().filter(|value| **value != 0.0).count(),
            values.iter().sum(),
        )
    }

    fn check(id: TopologyId, kind: GraphKind, expect: [(usize, f32); 3]) {
        let adjacency = Adjacency::new(id.topology(), kind);
        for (index, (count, sum)) in expect.into_iter().enumerate() {
            let (found_count, found_sum) = subset(&adjacency, index);
            assert_eq!(found_count, count, "non-zero entries of subset {index}");
            assert!(
                (found_sum - sum).abs() < 1e-4,
                "sum of subset {index}: {found_sum}"
            );
        }
    }

    // Golden values for the 25-joint graph, computed independently with plain Python.
    #[test]
    fn spatial_graph_with_the_reference_quirk_has_golden_sums() {
        check(
            TopologyId::Ntu25,
            GraphKind::SpatialHop1 {
                true_distances: false,
            },
            [(25, 8.95), (40, 13.3), (8, 2.75)],
        );
    }

    #[test]
    fn spatial_graph_with_true_distances_has_golden_sums() {
        check(
            TopologyId::Ntu25,
            GraphKind::SpatialHop1 {
                true_distances: true,
            },
            [(25, 8.95), (24, 7.3), (24, 8.75)],
        );
    }

    #[test]
    fn agcn_graph_has_golden_sums() {
        check(
            TopologyId::Ntu25,
            GraphKind::Agcn,
            [(25, 25.0), (24, 24.0), (24, 20.0)],
        );
        let adjacency = Adjacency::new(TopologyId::Ntu25.topology(), GraphKind::Agcn);
        for row in [1, 2, 4, 8] {
            assert_eq!(adjacency.get(2, row, 20), 0.25);
        }
    }

    #[test]
    fn diagonal_is_one_over_the_golden_degree() {
        let degrees = [
            4, 3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 2, 5, 2, 3, 2, 3,
        ];
        let adjacency = Adjacency::new(
            TopologyId::Ntu25.topology(),
            GraphKind::SpatialHop1 {
                true_distances: true,
            },
        );
        for (joint, degree) in degrees.into_iter().enumerate() {
            assert!((adjacency.get(0, joint, joint) - 1.0 / degree as f32).abs() < 1e-6);
        }
    }

    #[test]
    fn every_topology_feeds_every_joint_with_weight_one() {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let adjacency = Adjacency::new(
                topology,
                GraphKind::SpatialHop1 {
                    true_distances: true,
                },
            );
            for target in 0..topology.joint_count() {
                let sum: f32 = (0..SUBSETS)
                    .flat_map(|subset| {
                        (0..topology.joint_count()).map(move |source| (subset, source))
                    })
                    .map(|(subset, source)| adjacency.get(subset, source, target))
                    .sum();
                assert!(
                    (sum - 1.0).abs() < 1e-5,
                    "{}: joint {target} gets {sum}",
                    topology.name
                );
            }
        }
    }
}
