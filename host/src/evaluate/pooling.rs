//! From an encoder's last map to one vector a body: what a protocol on frozen features works with.
//!
//! The published protocols see the mean over joints and frames. It drops which limb moved and whether anything moved at all, and a
//! few hundred labels are too few for an encoder to have put that into the mean. [`Pooling::Parts`] keeps both.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tendon_model::encoder::EncoderConfig;
use tendon_shared::topology::Topology;

/// How a map becomes a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over joints and frames: `dim` features.
    #[default]
    Mean,
    /// For torso, arms and legs the mean over their joints, of which mean and spread over the frames: `10 * dim` features.
    Parts,
    /// For every joint mean and spread over the frames: `2 * joint * dim` features.
    Joints,
    /// Nothing is pooled: `joint * frame * dim` features, in this order.
    Map,
}

impl Pooling {
    /// Features of one window.
    #[must_use]
    pub fn len(self, config: &EncoderConfig) -> usize {
        let (dim, topology) = (config.dim, config.topology.topology());
        match self {
            Self::Mean => dim,
            Self::Parts => 2 * topology.parts.len() * dim,
            Self::Joints => 2 * topology.joint_count() * dim,
            Self::Map => topology.joint_count() * config.feature_frames() * dim,
        }
    }

    /// Pools maps of bodies.
    ///
    /// # Shapes
    /// `[body, joint, frame, dim] -> [body, feature]`
    #[must_use]
    pub fn apply(self, map: Tensor<4>, topology: &Topology) -> Tensor<2> {
        let [body, joint, frame, dim] = map.dims();
        match self {
            Self::Mean => tendon_model::encoder::pool(map),
            Self::Joints => {
                let (mean, spread) = over_frames(map);
                Tensor::cat(vec![mean, spread], 2).reshape([body, 2 * joint * dim])
            }
            Self::Map => map.reshape([body, joint * frame * dim]),
            Self::Parts => {
                let mut features = Vec::new();
                for part in &topology.parts {
                    let joints = part.joints.iter().map(|&joint| {
                        let joint = usize::from(joint);
                        map.clone().narrow(1, joint, 1)
                    });
                    let part = Tensor::cat(joints.collect(), 1).mean_dim(1);
                    let (mean, spread) = over_frames(part);
                    features.push(mean.reshape([body, dim]));
                    features.push(spread.reshape([body, dim]));
                }
                Tensor::cat(features, 1)
            }
        }
    }
}

/// Mean and standard deviation over the frames.
///
/// # Shapes
/// `[body, joint, frame, dim] -> [body, joint, dim]`, twice
fn over_frames(map: Tensor<4>) -> (Tensor<3>, Tensor<3>) {
    let [body, joint, _, dim] = map.dims();
    let mean = map.clone().mean_dim(2);
    let spread = (map - mean.clone())
        .powi_scalar(2)
        .mean_dim(2)
        .add_scalar(1e-8)
        .sqrt();
    let flat = |tensor: Tensor<4>| tensor.reshape([body, joint, dim]);
    (flat(mean), flat(spread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use tendon_shared::topology::TopologyId;

    /// One body, one channel; each joint's value is its number times the frame.
    fn map(frames: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..20 * frames)
            .map(|index| (index / frames) as f32 * (index % frames) as f32)
            .collect();
        Tensor::from_data(TensorData::new(values, [1, 20, frames, 1]), &Device::flex())
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn the_mean_sees_neither_limb_nor_motion_and_parts_see_both() {
        let topology = TopologyId::Kinect20.topology();
        let config = EncoderConfig {
            dim: 1,
            ..EncoderConfig::small(TopologyId::Kinect20, 12, 1)
        };
        let pooled = values(Pooling::Mean.apply(map(3), topology));
        assert_eq!(pooled.len(), Pooling::Mean.len(&config));
        assert!((pooled[0] - 9.5).abs() < 1e-5);
        let pooled = values(Pooling::Parts.apply(map(3), topology));
        assert_eq!(pooled.len(), Pooling::Parts.len(&config));
        for (part, pair) in topology.parts.iter().zip(pooled.chunks(2)) {
            let sum: f32 = part.joints.iter().map(|joint| f32::from(*joint)).sum();
            let own = sum / part.joints.len() as f32;
            // Frames 0, 1, 2 have mean 1 and spread sqrt(2 / 3).
            assert!((pair[0] - own).abs() < 1e-4);
            assert!((pair[1] - own * (2.0_f32 / 3.0).sqrt()).abs() < 1e-3);
        }
    }
}
