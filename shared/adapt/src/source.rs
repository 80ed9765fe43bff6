//! A few labelled windows of the training set, as trunk features, that travel in the signed bundle.
//!
//! They keep the student from drifting away, and judge every tail by the accuracy that it still has on them.

use super::features::{FeatureShape, Features};

/// The bundle's source buffer.
#[derive(Debug, Clone, Default)]
pub struct SourceBuffer {
    features: Vec<Features>,
    labels: Vec<u16>,
}

impl SourceBuffer {
    /// Splits `values`, `[window, joint, frame, channel]`, into windows of one body; `labels` has one a window. Windows
    /// without a label, or with a label beyond `classes`, are left out.
    #[must_use]
    pub fn new(values: &[i8], labels: &[u16], shape: &FeatureShape, classes: usize) -> Self {
        let windows = values.chunks_exact(shape.body_len().max(1)).zip(labels);
        let known = windows.filter(|(_, label)| usize::from(**label) < classes);
        let (features, labels) = known
            .map(|(values, label)| (Features::new(values), *label))
            .unzip();
        Self { features, labels }
    }

    /// How many windows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the bundle brought none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The windows' features.
    #[must_use]
    pub fn features(&self) -> &[Features] {
        &self.features
    }

    /// The windows' classes.
    #[must_use]
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// `count` windows, walking evenly through the buffer: the `turn`-th call continues where the last one ended. Buffers
    /// are ordered by class, so a large odd stride visits the classes in turn.
    pub fn walk(&self, count: usize, turn: u64) -> impl Iterator<Item = (&Features, u16)> {
        let len = self.len().max(1) as u64;
        let stride = stride(len);
        (0..count.min(self.len()) as u64).filter_map(move |step| {
            let place = (turn.wrapping_mul(count as u64).wrapping_add(step) % len)
                .wrapping_mul(stride)
                % len;
            let index = usize::try_from(place).ok()?;
            Some((self.features.get(index)?, *self.labels.get(index)?))
        })
    }
}

/// A number without a common divisor with `len`, near the golden section of it: its multiples spread evenly.
fn stride(len: u64) -> u64 {
    let mut stride = (len * 618 / 1_000).max(1);
    while divisor(stride, len) != 1 {
        stride += 1;
    }
    stride
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FeatureShape = FeatureShape {
        joints: 1,
        frames: 1,
        channels: 1,
    };

    #[test]
    fn visits_every_window_before_one_comes_again() {
        let labels: Vec<u16> = (0..12).collect();
        let buffer = SourceBuffer::new(&[0; 12], &labels, &SHAPE, 12);
        let mut seen: Vec<u16> = (0..3)
            .flat_map(|turn| {
                buffer
                    .walk(4, turn)
                    .map(|(_, label)| label)
                    .collect::<Vec<_>>()
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, labels);
    }

    #[test]
    fn leaves_out_labels_that_the_model_does_not_know() {
        let buffer = SourceBuffer::new(&[1, 2, 3], &[0, 9], &SHAPE, 2);
        assert_eq!((buffer.len(), buffer.labels()), (1, [0].as_slice()));
        assert_eq!(SourceBuffer::default().walk(4, 1).count(), 0);
    }
}
