//! From an encoder's last map to one vector a body: what a protocol on frozen features works with.
//!
//! The published protocols see the mean over joints and frames. It drops which limb moved and whether anything moved at all, and a
//! few hundred labels are too few for an encoder to have put that into the mean. [`Pooling::Parts`] keeps both.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tendon_shared::topology::Topology;

/// How a map becomes a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over joints and frames: `dim` features.
    #[default]
    Mean,
    /// For torso, arms and legs the mean over their joints, of which mean and spread over the frames: `10 * dim` features.
    Parts,
}

impl Pooling {
    /// Features of one window of an encoder with `dim` channels.
    #[must_use]
    pub fn len(self, dim: usize, topology: &Topology) -> usize {
        match self {
            Self::Mean => dim,
            Self::Parts => 2 * topology.parts.len() * dim,
        }
    }

    /// Pools maps of bodies.
    ///
    /// # Shapes
    /// `[body, joint, frame, dim] -> [body, feature]`
    #[must_use]
    pub fn apply(self, map: Tensor<4>, topology: &Topology) -> Tensor<2> {
        let [body, _, frame, dim] = map.dims();
        match self {
            Self::Mean => tendon_model::encoder::pool(map),
            Self::Parts => {
                let mut features = Vec::new();
                for part in &topology.parts {
                    let joints = part.joints.iter().map(|&joint| {
                        let joint = usize::from(joint);
                        map.clone().narrow(1, joint, 1)
                    });
                    let part = Tensor::cat(joints.collect(), 1)
                        .mean_dim(1)
                        .reshape([body, frame, dim]);
                    let mean = part.clone().mean_dim(1);
                    let spread = (part - mean.clone())
                        .powi_scalar(2)
                        .mean_dim(1)
                        .add_scalar(1e-8)
                        .sqrt();
                    features.push(mean.reshape([body, dim]));
                    features.push(spread.reshape([body, dim]));
                }
                Tensor::cat(features, 1)
            }
        }
    }
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
        let pooled = values(Pooling::Mean.apply(map(3), topology));
        assert_eq!(pooled.len(), Pooling::Mean.len(1, topology));
        assert!((pooled[0] - 9.5).abs() < 1e-5);
        let pooled = values(Pooling::Parts.apply(map(3), topology));
        assert_eq!(pooled.len(), Pooling::Parts.len(1, topology));
        for (part, pair) in topology.parts.iter().zip(pooled.chunks(2)) {
            let sum: f32 = part.joints.iter().map(|joint| f32::from(*joint)).sum();
            let own = sum / part.joints.len() as f32;
            // Frames 0, 1, 2 have mean 1 and spread sqrt(2 / 3).
            assert!((pair[0] - own).abs() < 1e-4);
            assert!((pair[1] - own * (2.0_f32 / 3.0).sqrt()).abs() < 1e-3);
        }
    }
}
