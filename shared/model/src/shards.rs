//! One batch on several devices: cut along its first axis, computed in step, put together again.
//!
//! The autodiff graph reaches across devices. Copies of weights and sums for BatchNorm are moved within it, so that the
//! backward pass brings the gradients of all parts together on the first device, as if it had computed the whole
//! batch. Rounding differs, and a value on the edge of a ReLU may fall on either side: gradients of a large network differ
//! by some thousandths, as those of the CPU's fused and plain blocks do. One thread gives work to all devices; those that compute while it goes on (GPUs) work at the same time.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};

/// Cuts a batch into one part for each device; the first stays where it is. A batch with fewer rows than there are devices
/// has fewer parts.
///
/// # Shapes
/// `[batch, ..]` into parts `[share, ..]`, in order, whose shares differ by one at most
pub(crate) fn cut<const D: usize>(x: Tensor<D>, devices: &[Device]) -> Vec<Tensor<D>> {
    let batch = x.dims()[0];
    let parts = devices.len().min(batch).max(1);
    if parts == 1 {
        return vec![x];
    }
    let mut start = 0;
    let part = |(index, device): (usize, &Device)| {
        let share = batch / parts + usize::from(index < batch % parts);
        let part = x.clone().narrow(0, start, share);
        start += share;
        if index == 0 {
            part
        } else {
            part.to_device(device)
        }
    };
    devices[..parts].iter().enumerate().map(part).collect()
}

/// Puts the parts of a batch together on the first one's device.
///
/// # Panics
/// When there is no part: programmer error.
pub(crate) fn join<const D: usize>(parts: Vec<Tensor<D>>) -> Tensor<D> {
    let mut parts = parts.into_iter();
    let first = parts.next().expect("a batch has a part");
    if parts.len() == 0 {
        return first;
    }
    let device = first.device();
    let rest = parts.map(|part| part.to_device(&device));
    Tensor::cat(std::iter::once(first).chain(rest).collect(), 0)
}

/// A copy for each further part: of a tensor of the first part's device, which comes first itself.
pub(crate) fn copies<const D: usize, const E: usize>(
    tensor: Tensor<D>,
    parts: &[Tensor<E>],
) -> Vec<Tensor<D>> {
    let rest = parts[1..].iter();
    std::iter::once(tensor.clone())
        .chain(rest.map(|part| tensor.clone().to_device(&part.device())))
        .collect()
}

/// A copy of a module whose gradients flow back to the module.
pub(crate) fn copy<M: Module>(module: &M, device: &Device) -> M {
    struct Copy<'a>(&'a Device);
    impl ModuleMapper for Copy<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.to_device(self.0))
        }
    }
    module.clone().map(&mut Copy(device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::{Encoder, EncoderConfig};
    use crate::parameters::{Named, collect, collect_gradients};
    use crate::pass::{Pass, absorb};
    use burn::tensor::TensorData;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use tendon_shared::pose::Presence;
    use tendon_shared::topology::TopologyId;

    const WINDOWS: usize = 5;

    fn values<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|index| (index as f32 * 1.37).sin())
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn encoder(devices: usize, seed: u64) -> Encoder {
        let config = EncoderConfig {
            width: 4,
            dim: 12,
            dropout: 0.3,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 2)
        };
        let mut encoder = config.init(seed, &Device::flex().autodiff()).unwrap();
        assert!(encoder.share(&vec![Device::flex(); devices]));
        encoder
    }

    /// Embeddings, gradients, weights and running averages after one pass over windows with two, one and no bodies.
    fn pass(devices: usize, seed: u64) -> (Vec<f32>, Named, Named) {
        let device = Device::flex().autodiff();
        let mut encoder = encoder(devices, seed);
        let x = values([WINDOWS, 2, 3, 16, 20], &device);
        let both = Presence::FIRST.with(1);
        let presence = [both, Presence::FIRST, Presence::NONE, both, both];
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(1));
        let found = encoder.embed(x, &presence, &mut pass);
        let weights = values(found.dims(), &device);
        let gradients = (found.clone().powi_scalar(2) * weights).sum().backward();
        let gradients = collect_gradients(&encoder, &gradients);
        absorb(&mut encoder, pass);
        (read(found), gradients, collect(&encoder))
    }

    /// Largest difference, relative to the largest expected value or to `least`.
    fn error(found: &[f32], expected: &[f32], least: f32) -> f32 {
        assert_eq!(found.len(), expected.len());
        let scale = expected
            .iter()
            .fold(least, |most, value| most.max(value.abs()));
        let pairs = found.iter().zip(expected);
        pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / scale
    }

    /// The largest error of any tensor; see [`error`].
    fn worst(found: &Named, expected: &Named, least: impl Fn(&str) -> f32) -> f32 {
        assert!(found.keys().eq(expected.keys()));
        let errors = found
            .iter()
            .map(|(name, values)| error(&values.data, &expected[name].data, least(name)));
        errors.fold(0.0, f32::max)
    }

    #[test]
    fn several_devices_compute_what_one_computes() {
        // Seven rows: shares of 4 and 3, of 3, 2 and 2, and of one each with devices to spare.
        for devices in [2, 3, 9] {
            let mut errors: Vec<f32> = (3..6)
                .map(|seed| {
                    let (expected, expected_gradients, expected_state) = pass(1, seed);
                    let (found, gradients, state) = pass(devices, seed);
                    assert!(error(&found, &expected, 0.0) < 2e-5);
                    assert!(worst(&state, &expected_state, |_| 0.01) < 2e-5);
                    let values = expected_gradients.values().flat_map(|values| &values.data);
                    let most = values.fold(0.0_f32, |most, value| most.max(value.abs()));
                    // Biases before a BatchNorm have gradients of zero but for rounding.
                    let least = |name: &str| match name.ends_with("bias") {
                        true => 0.1 * most,
                        false => 0.01 * most,
                    };
                    worst(&gradients, &expected_gradients, least)
                })
                .collect();
            // In one of three networks a value may lie on the edge of a ReLU.
            errors.sort_by(f32::total_cmp);
            assert!(errors[1] < 2e-5 && errors[2] < 0.1, "{errors:?}");
        }
    }

    #[test]
    fn several_devices_give_the_same_bytes_each_time() {
        assert_eq!(pass(3, 0), pass(3, 0));
    }

    #[test]
    fn unpooled_features_come_back_in_order() {
        let x = values([WINDOWS, 3, 16, 20], &Device::flex().autodiff());
        let run = |devices| {
            let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(1));
            read(encoder(devices, 3).features(x.clone(), &mut pass))
        };
        assert!(error(&run(2), &run(1), 0.0) < 2e-5);
    }

    #[test]
    fn a_copy_leads_gradients_back() {
        let device = Device::flex().autodiff();
        let encoder = encoder(1, 3);
        let Encoder::StGcn(encoder) = encoder else {
            unreachable!("the small encoder is an ST-GCN")
        };
        let block = &encoder.blocks[0].graph;
        let copied = copy(block, &device);
        let gradients = (copied.weight.val() * 3.0).sum().backward();
        let found = block.weight.val().grad(&gradients).unwrap();
        assert!(read(found).iter().all(|value| *value == 3.0));
    }
}
