//! Motion attention: where and when features move decides how much each counts.
//!
//! # Source
//! Reconstructed: the abstract of MsMCLR names cross-frame and cross-node motion features at three scales, and no public text or
//! code says more. Every choice is a switch of [`MotionAttentionConfig`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};

/// The choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MotionAttentionConfig {
    /// Channels in which similarities are computed.
    pub reduced: usize,
    /// Attends to differences of neighbouring frames instead of the features themselves.
    pub motion: bool,
    /// Frames attend to frames.
    pub cross_frame: bool,
    /// Nodes attend to nodes.
    pub cross_node: bool,
}

impl MotionAttentionConfig {
    /// A new module for features of `dim` channels.
    pub fn init(&self, dim: usize, seed: u64, device: &Device) -> MotionAttention {
        let mut init = Initializer::new(seed, device);
        let mut pair = |with: bool| {
            with.then(|| Similarity {
                query: init.linear(self.reduced, self.reduced),
                key: init.linear(self.reduced, self.reduced),
            })
        };
        let (frames, nodes) = (pair(self.cross_frame), pair(self.cross_node));
        MotionAttention {
            reduce: init.linear(dim, self.reduced),
            frames,
            nodes,
            expand: init.linear(self.reduced, dim),
            norm: BatchNorm::new(dim, &mut init),
            motion: self.motion,
        }
    }
}

/// Queries and keys of one attention.
#[derive(Module, Debug)]
pub struct Similarity {
    query: Linear,
    key: Linear,
}

impl Similarity {
    /// Weights of each entry for each other, `[row, entry, channel] -> [row, entry, entry]`.
    fn weights(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, _, channel] = x.dims();
        let query = self.query.forward(x.clone());
        let logits = query.matmul(self.key.forward(x).transpose());
        softmax(logits / (channel as f64).sqrt(), 2)
    }
}

/// Gates of features from their motion.
#[derive(Module, Debug)]
pub struct MotionAttention {
    reduce: Linear,
    frames: Option<Similarity>,
    nodes: Option<Similarity>,
    expand: Linear,
    norm: BatchNorm,
    motion: bool,
}

impl MotionAttention {
    /// The gate of each value, 0..1.
    ///
    /// # Shapes
    /// `[row, node, frame, channel]`, the same in and out
    pub fn forward(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [row, node, frame, channel] = x.dims();
        let x = if self.motion { motion(x) } else { x };
        let x = self.reduce.forward(x);
        let [.., reduced] = x.dims();
        let mut mixed = x.zeros_like();
        if let Some(frames) = &self.frames {
            let weights = frames.weights(x.clone().mean_dim(1).reshape([row, frame, reduced]));
            mixed = mixed + weights.reshape([row, 1, frame, frame]).matmul(x.clone());
        }
        if let Some(nodes) = &self.nodes {
            let weights = nodes.weights(x.clone().mean_dim(2).reshape([row, node, reduced]));
            let flat = x.reshape([row, node, frame * reduced]);
            mixed = mixed + weights.matmul(flat).reshape([row, node, frame, reduced]);
        }
        let wide = self.expand.forward(mixed);
        let gates = self
            .norm
            .forward(wide.reshape([row * node * frame, channel]), pass);
        sigmoid(gates).reshape([row, node, frame, channel])
    }
}

impl Normalized for MotionAttention {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        vec![&mut self.norm]
    }
}

/// What each frame's successor has more; nothing for the last.
///
/// # Shapes
/// `[row, node, frame, channel]`, the same in and out
fn motion(x: Tensor<4>) -> Tensor<4> {
    let [row, node, frame, channel] = x.dims();
    let last = Tensor::zeros([row, node, 1, channel], &x.device());
    if frame == 1 {
        return last;
    }
    let steps = x.clone().narrow(2, 1, frame - 1) - x.narrow(2, 0, frame - 1);
    Tensor::cat(vec![steps, last], 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, TensorData};

    fn read(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    const CONFIG: MotionAttentionConfig = MotionAttentionConfig {
        reduced: 4,
        motion: true,
        cross_frame: true,
        cross_node: true,
    };

    #[test]
    fn motion_is_the_next_frame_minus_this_one() {
        let x = TensorData::new(vec![1.0_f32, 3.0, 2.0], [1, 1, 3, 1]);
        let found = read(motion(Tensor::from_data(x, &Device::flex())));
        assert_eq!(found, [2.0, -1.0, 0.0]);
        let still = Tensor::<4>::ones([1, 2, 1, 1], &Device::flex());
        assert_eq!(read(motion(still)), [0.0, 0.0]);
    }

    #[test]
    fn gates_have_the_features_shape_and_lie_between_zero_and_one() {
        let device = Device::flex();
        let x = Tensor::random([2, 5, 3, 6], Distribution::Normal(0.0, 5.0), &device);
        for (cross_frame, cross_node) in [(true, true), (true, false), (false, true)] {
            let config = MotionAttentionConfig {
                cross_frame,
                cross_node,
                ..CONFIG
            };
            let gates = config
                .init(6, 0, &device)
                .forward(x.clone(), &mut Pass::Infer);
            assert_eq!(gates.dims(), x.dims());
            assert!(read(gates).iter().all(|gate| *gate > 0.0 && *gate < 1.0));
        }
    }

    #[test]
    fn a_window_that_stands_still_opens_all_gates_alike() {
        let device = Device::flex();
        let x = Tensor::random([1, 5, 1, 6], Distribution::Default, &device);
        let gates = CONFIG
            .init(6, 0, &device)
            .forward(x.repeat_dim(2, 4), &mut Pass::Infer);
        let gates = read(gates);
        assert!(gates.chunks(6).all(|cell| cell == &gates[..6]));
    }

    #[test]
    fn nodes_in_another_order_have_the_same_gates() {
        let device = Device::flex();
        let attention = CONFIG.init(6, 0, &device);
        let x = Tensor::<4>::random([1, 3, 4, 6], Distribution::Default, &device);
        let turn =
            |x: Tensor<4>| Tensor::cat(vec![x.clone().narrow(1, 1, 2), x.narrow(1, 0, 1)], 1);
        let first = turn(attention.forward(x.clone(), &mut Pass::Infer));
        let second = attention.forward(turn(x), &mut Pass::Infer);
        for (a, b) in read(first).iter().zip(read(second)) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
