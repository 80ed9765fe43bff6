//! A window as the int8 trunk sees it: all that learning needs, 10 KB a body.

use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Shape and scale of one body's trunk features, `[joint, frame, channel]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureShape {
    /// Joints.
    pub joints: usize,
    /// Frames left after the trunk's strides.
    pub frames: usize,
    /// Channels.
    pub channels: usize,
    /// What one int8 step is worth: value = scale * (q + 128).
    pub scale: f32,
}

impl FeatureShape {
    /// Values of one body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.joints * self.frames * self.channels
    }
}

/// Trunk features of the bodies that count, `[body, joint, frame, channel]`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features(Arc<[i8]>);

impl Features {
    /// Takes the features of every body that counts.
    #[must_use]
    pub fn new(values: &[i8]) -> Self {
        Self(values.into())
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[i8] {
        &self.0
    }

    /// How many bodies there are.
    #[must_use]
    pub fn bodies(&self, shape: &FeatureShape) -> usize {
        self.0.len() / shape.body_len().max(1)
    }

    /// Mean over bodies, joints and frames, one number a channel, of length one: a cheap signature to tell windows apart.
    #[must_use]
    pub fn signature(&self, shape: &FeatureShape) -> Vec<f32> {
        let mut mean = vec![0.0_f32; shape.channels];
        for row in self.0.chunks_exact(shape.channels.max(1)) {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += f32::from(*value) + 128.0;
            }
        }
        let norm = mean
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt()
            .max(1e-9);
        mean.iter_mut().for_each(|value| *value /= norm);
        mean
    }
}

/// Several windows as tensors.
pub struct FeatureBatch {
    /// `[body, joint, frame, channel]`, the bodies of all windows.
    pub bodies: Tensor<4>,
    /// `[window, body]`: averages the bodies of a window.
    pub average: Tensor<2>,
}

impl FeatureBatch {
    /// Puts windows together; a window without a body gives a row of zeros in `average`.
    #[must_use]
    pub fn new<'f>(
        windows: impl ExactSizeIterator<Item = &'f Features>,
        shape: &FeatureShape,
        device: &Device,
    ) -> Self {
        let count = windows.len();
        let mut values: Vec<f32> = Vec::new();
        let mut owners: Vec<(usize, usize)> = Vec::new();
        for (window, features) in windows.enumerate() {
            values.extend(
                features
                    .values()
                    .iter()
                    .map(|value| (f32::from(*value) + 128.0) * shape.scale),
            );
            let bodies = features.bodies(shape);
            owners.extend((0..bodies).map(|_| (window, bodies)));
        }
        let total = owners.len();
        let mut average = vec![0.0_f32; count * total];
        for (body, (window, bodies)) in owners.into_iter().enumerate() {
            if let Some(cell) = average.get_mut(window * total + body) {
                *cell = 1.0 / bodies as f32;
            }
        }
        let bodies = TensorData::new(values, [total, shape.joints, shape.frames, shape.channels]);
        Self {
            bodies: Tensor::from_data(bodies, device),
            average: Tensor::from_data(TensorData::new(average, [count, total]), device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FeatureShape = FeatureShape {
        joints: 1,
        frames: 1,
        channels: 2,
        scale: 0.5,
    };

    #[test]
    fn averages_the_bodies_of_each_window() {
        let windows = [
            Features::new(&[-126, -124]),
            Features::new(&[-126, -128, -124, -128]),
        ];
        let batch = FeatureBatch::new(windows.iter(), &SHAPE, &crate::adapt::device::plain());
        assert_eq!(batch.bodies.dims(), [3, 1, 1, 2]);
        let pooled = batch.average.matmul(batch.bodies.reshape([3, 2]));
        assert_eq!(
            pooled.into_data().try_to_vec::<f32>().unwrap(),
            [1.0, 2.0, 1.5, 0.0]
        );
    }

    #[test]
    fn the_signature_has_length_one() {
        assert_eq!(Features::new(&[-125, -124]).signature(&SHAPE), [0.6, 0.8]);
    }
}
