//! The last so many labels, some of them unknown: of the queue's keys, or of a teacher's guesses.

use tendon_model::parameters::Values;

/// Labels in a ring, oldest overwritten first, in step with a [`super::Queue`] of the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelRing {
    labels: Vec<Option<u16>>,
    next: usize,
}

impl LabelRing {
    /// Only unknown labels.
    pub fn new(size: usize) -> Self {
        Self {
            labels: vec![None; size],
            next: 0,
        }
    }

    /// All labels, in the order of the queue's keys.
    pub fn labels(&self) -> &[Option<u16>] {
        &self.labels
    }

    /// Overwrites the oldest labels; of more than fit, the last stay.
    pub fn push(&mut self, labels: &[Option<u16>]) {
        let size = self.labels.len();
        // The queue writes only what stays, so the position moves by that much.
        for label in &labels[labels.len().saturating_sub(size)..] {
            self.labels[self.next] = *label;
            self.next = (self.next + 1) % size;
        }
    }

    /// How often each of `classes` classes is in the ring, and how many labels are unknown.
    pub fn counts(&self, classes: usize) -> (Vec<usize>, usize) {
        let mut counts = vec![0; classes];
        let mut unknown = 0;
        for label in &self.labels {
            match label.map(usize::from) {
                Some(label) if label < classes => counts[label] += 1,
                _ => unknown += 1,
            }
        }
        (counts, unknown)
    }

    /// Labels, unknown ones as -1, and position, to be stored.
    pub fn state(&self) -> (Values, u64) {
        let number = |label: &Option<u16>| label.map_or(-1.0, f32::from);
        let data: Vec<f32> = self.labels.iter().map(number).collect();
        let shape = vec![data.len()];
        (Values { shape, data }, self.next as u64)
    }

    /// Goes on with stored labels; false, and nothing is changed, if they belong to a ring of another size.
    #[must_use]
    pub fn restore(&mut self, values: &Values, next: u64) -> bool {
        let size = self.labels.len();
        if values.data.len() != size || next >= size as u64 {
            return false;
        }
        let label = |value: &f32| (*value >= 0.0).then_some(*value as u16);
        self.labels = values.data.iter().map(label).collect();
        self.next = next as usize;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contrast::Queue;
    use burn::tensor::{Device, Tensor, TensorData};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    #[test]
    fn labels_stay_beside_their_keys() {
        let device = Device::flex();
        let mut queue = Queue::new(5, 1, ChaCha8Rng::seed_from_u64(0), &device);
        let mut ring = LabelRing::new(5);
        for batch in [vec![1, 2, 3], vec![4, 5, 6], (7..19).collect(), vec![20]] {
            let keys: Vec<f32> = batch.iter().map(|key| f32::from(*key)).collect();
            let data = TensorData::new(keys, [batch.len(), 1]);
            queue.push(Tensor::from_data(data, &device));
            ring.push(&batch.iter().map(|key| Some(*key)).collect::<Vec<_>>());
            let (keys, labels) = (queue.state(), ring.state());
            assert_eq!(keys.1, labels.1);
            for (key, label) in keys.0.data.iter().zip(&labels.0.data) {
                assert!(key == label || *label == -1.0, "{key} v {label}");
            }
        }
    }

    #[test]
    fn counts_tell_classes_and_unknown_labels() {
        let mut ring = LabelRing::new(6);
        ring.push(&[Some(0), Some(2), None, Some(2)]);
        assert_eq!(ring.counts(3), (vec![1, 0, 2], 3));
    }

    #[test]
    fn a_restored_ring_goes_on_where_it_stood() {
        let mut first = LabelRing::new(3);
        first.push(&[Some(1), None]);
        let (values, next) = first.state();
        let mut second = LabelRing::new(3);
        assert!(second.restore(&values, next));
        assert_eq!(first, second);
        assert!(!LabelRing::new(2).restore(&values, next));
    }
}
