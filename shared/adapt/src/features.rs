//! A window as the int8 trunk sees it: all that learning needs, 10 KB a body, and what the tail reads of it once it was asked.

use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Arc, OnceLock};
use tendon_model::sketch::TailRead;

/// Shape of one body's trunk features, `[joint, frame, channel]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureShape {
    /// Joints.
    pub joints: usize,
    /// Frames left after the trunk's strides.
    pub frames: usize,
    /// Channels.
    pub channels: usize,
}

impl FeatureShape {
    /// Values of one body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.joints * self.frames * self.channels
    }
}

/// Trunk features of the bodies that count, `[body, joint, frame, channel]`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Features(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    values: Box<[i8]>,
    /// What the encoder's last blocks make of the values. Every update asks about the same windows several times, and running these
    /// blocks was most of its time; kept, it goes with the window.
    read: OnceLock<TailRead>,
}

impl PartialEq for Features {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

impl Eq for Features {}

impl Features {
    /// Takes the features of every body that counts.
    #[must_use]
    pub fn new(values: &[i8]) -> Self {
        Self(Arc::new(Kept {
            values: values.into(),
            read: OnceLock::new(),
        }))
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[i8] {
        &self.0.values
    }

    /// What the tail reads of them: kept from an earlier call, or made by `read`. All calls must mean the same encoder; nothing when
    /// `read` fails.
    pub fn read(&self, read: impl FnOnce() -> Option<TailRead>) -> Option<&TailRead> {
        if self.0.read.get().is_none() {
            // Whoever is first wins: both made the same.
            let _ = self.0.read.set(read()?);
        }
        self.0.read.get()
    }

    /// The features of each body.
    pub fn bodies(&self, shape: &FeatureShape) -> impl ExactSizeIterator<Item = &[i8]> {
        self.values().chunks_exact(shape.body_len().max(1))
    }

    /// Mean over bodies, joints and frames, one number a channel, of length one: a cheap signature to tell windows apart.
    #[must_use]
    pub fn signature(&self, shape: &FeatureShape) -> Vec<f32> {
        let mut mean = vec![0.0_f32; shape.channels];
        for row in self.values().chunks_exact(shape.channels.max(1)) {
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

/// The matrix that averages the bodies of each window, `[window, body]`; a window without a body has a row of zeros.
#[must_use]
pub fn average(windows: &[&Features], shape: &FeatureShape, device: &Device) -> Tensor<2> {
    let owners: Vec<(usize, usize)> = windows
        .iter()
        .enumerate()
        .flat_map(|(window, features)| {
            let bodies = features.bodies(shape).len();
            std::iter::repeat_n((window, bodies), bodies)
        })
        .collect();
    let total = owners.len();
    let mut average = vec![0.0_f32; windows.len() * total];
    for (body, (window, bodies)) in owners.into_iter().enumerate() {
        if let Some(cell) = average.get_mut(window * total + body) {
            *cell = 1.0 / bodies as f32;
        }
    }
    Tensor::from_data(TensorData::new(average, [windows.len(), total]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_bundle::testing::{Shape, random_encoder};
    use tendon_engine::Encoder;
    use tendon_model::sketch::Sketch;

    const SHAPE: FeatureShape = FeatureShape {
        joints: 1,
        frames: 1,
        channels: 2,
    };

    #[test]
    fn averages_the_bodies_of_each_window() {
        let windows = [
            Features::new(&[-126, -124]),
            Features::new(&[]),
            Features::new(&[-126, -128, -124, -128]),
        ];
        let windows: Vec<&Features> = windows.iter().collect();
        let average = average(&windows, &SHAPE, &crate::device::plain());
        assert_eq!(average.dims(), [3, 3]);
        assert_eq!(
            average.into_data().try_to_vec::<f32>().unwrap(),
            [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]
        );
    }

    #[test]
    fn what_the_tail_reads_is_made_once_however_often_it_is_asked_for() {
        let blob = random_encoder(&Shape::small(5, 16, 3), 2);
        let encoder = Encoder::parse(&blob).unwrap();
        let sketch = Sketch::new(&encoder.tail_weights(), 4, &crate::device::plain());
        let window = Features::new(&vec![7; encoder.spec().trunk_len()]);
        let copy = window.clone();
        let read = || {
            let bodies = std::iter::once(window.values());
            sketch.read(&encoder, bodies).ok()
        };
        assert_eq!(window.read(|| None), None);
        let first = window.read(read).cloned();
        assert_eq!(first, read());
        assert_eq!(copy.read(|| panic!("kept with the window")), first.as_ref());
    }

    #[test]
    fn the_signature_has_length_one() {
        assert_eq!(Features::new(&[-125, -124]).signature(&SHAPE), [0.6, 0.8]);
    }
}
