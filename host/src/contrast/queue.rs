//! The queue of negatives: keys of recent batches in a ring.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use tendon_model::augment::random::normal;
use tendon_model::head::unit_rows;
use tendon_model::parameters::Values;

/// Keys on the device, overwritten oldest first. Any batch size fits any queue size.
#[derive(Debug, Clone)]
pub struct Queue {
    keys: Tensor<2>,
    next: usize,
}

/// Stored keys that do not fit the queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored queue has shape {found:?} and position {next}, expected {expected:?}")]
pub struct QueueError {
    found: Vec<usize>,
    expected: [usize; 2],
    next: u64,
}

impl Queue {
    /// A queue of `size` random unit keys.
    pub fn new(size: usize, dim: usize, mut noise: ChaCha8Rng, device: &Device) -> Self {
        let values: Vec<f32> = (0..size * dim).map(|_| normal(&mut noise)).collect();
        let keys = Tensor::from_data(TensorData::new(values, [size, dim]), device);
        Self {
            keys: unit_rows(keys),
            next: 0,
        }
    }

    /// All keys, `[size, dim]`, oldest anywhere.
    pub fn keys(&self) -> Tensor<2> {
        self.keys.clone()
    }

    /// Overwrites the oldest keys with `[batch, dim]` new ones; of a batch larger than the queue, the last stay.
    pub fn push(&mut self, batch: Tensor<2>) {
        let [size, dim] = self.keys.dims();
        let [count, _] = batch.dims();
        let batch = if count > size {
            batch.narrow(0, count - size, size)
        } else {
            batch
        };
        let [count, _] = batch.dims();
        let first = count.min(size - self.next);
        let keys = self.keys.clone().slice_assign(
            [self.next..self.next + first, 0..dim],
            batch.clone().narrow(0, 0, first),
        );
        self.keys = if count > first {
            keys.slice_assign(
                [0..count - first, 0..dim],
                batch.narrow(0, first, count - first),
            )
        } else {
            keys
        };
        self.next = (self.next + count) % size;
    }

    /// Keys and position, to be stored.
    pub fn state(&self) -> (Values, u64) {
        let shape = self.keys.dims().to_vec();
        let data = self
            .keys
            .clone()
            .into_data()
            .try_to_vec()
            .unwrap_or_default();
        (Values { shape, data }, self.next as u64)
    }

    /// Goes on with stored keys and position.
    ///
    /// # Errors
    /// They belong to a queue of another size.
    pub fn restore(&mut self, keys: &Values, next: u64) -> Result<(), QueueError> {
        let expected = self.keys.dims();
        if keys.shape != expected
            || keys.data.len() != expected[0] * expected[1]
            || next >= expected[0] as u64
        {
            return Err(QueueError {
                found: keys.shape.clone(),
                expected,
                next,
            });
        }
        let device = self.keys.device();
        self.keys = Tensor::from_data(TensorData::new(keys.data.clone(), expected), &device);
        self.next = next as usize;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng as _;

    fn queue(size: usize) -> Queue {
        Queue::new(size, 1, ChaCha8Rng::seed_from_u64(0), &Device::flex())
    }

    fn push(queue: &mut Queue, values: &[f32]) {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        queue.push(Tensor::from_data(data, &Device::flex()));
    }

    #[test]
    fn a_batch_that_does_not_divide_the_queue_wraps_round() {
        let mut queue = queue(5);
        push(&mut queue, &[1.0, 2.0, 3.0]);
        push(&mut queue, &[4.0, 5.0, 6.0]);
        assert_eq!(queue.state().0.data, [6.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(queue.state().1, 1);
    }

    #[test]
    fn of_a_batch_larger_than_the_queue_the_last_keys_stay() {
        let mut queue = queue(2);
        push(&mut queue, &[1.0, 2.0, 3.0]);
        assert_eq!(queue.state().0.data, [2.0, 3.0]);
    }

    #[test]
    fn a_restored_queue_goes_on_where_it_stood() {
        let mut first = queue(5);
        push(&mut first, &[1.0, 2.0, 3.0]);
        let (keys, next) = first.state();
        let mut second = queue(5);
        second.restore(&keys, next).unwrap();
        push(&mut first, &[4.0, 5.0, 6.0]);
        push(&mut second, &[4.0, 5.0, 6.0]);
        assert_eq!(first.state(), second.state());
        assert!(queue(4).restore(&keys, next).is_err());
    }

    #[test]
    fn new_keys_have_length_one() {
        assert!(
            queue(9)
                .state()
                .0
                .data
                .iter()
                .all(|key| (key.abs() - 1.0).abs() < 1e-6)
        );
    }
}
