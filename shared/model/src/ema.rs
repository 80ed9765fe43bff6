//! The exponential moving average that makes a target (key, teacher) out of an online (query, student) network.
//!
//! What happens to BatchNorm's running averages decides whether such a teacher works; published code
//! disagrees, so it is an explicit choice here and never a side effect.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::parameters::{Path, is_buffer, replace, visit};
use crate::pass::Pass;

/// What the target does about BatchNorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetNorm {
    /// The target normalises with its own batches and keeps its own running averages; only parameters are
    /// averaged. Mean Teacher and all MoCo-type skeleton code. Needs batches of 64 or so.
    OwnTrain,
    /// The running averages are averaged like parameters; the target uses them.
    EmaBuffers,
    /// The running averages are copied from the online network; the target uses them. The online
    /// network's may come from strong views.
    Copy,
    /// The running averages stay as they were shipped; the target uses them. For the device.
    Frozen,
}

/// Moves a target towards an online network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ema {
    /// Weight of the target's old value, 0..=1.
    pub decay: f64,
    /// What happens to running averages.
    pub norm: TargetNorm,
}

impl Ema {
    /// `target <- decay * target + (1 - decay) * online`, tensors matched by name.
    ///
    /// Both must have been built from one configuration; a tensor the online network lacks stays.
    pub fn update<O: Module, T: Module>(&self, online: &O, target: T) -> T {
        let mut values = BTreeMap::new();
        visit(online, |name, _, tensor| {
            values.insert(name.to_string(), tensor);
        });
        target.map(&mut Average {
            path: Path::default(),
            ema: *self,
            values,
        })
    }

    /// The pass in which the target must run.
    pub fn target_pass(&self, noise: ChaCha8Rng) -> Pass {
        match self.norm {
            TargetNorm::OwnTrain => Pass::train(noise),
            TargetNorm::EmaBuffers | TargetNorm::Copy | TargetNorm::Frozen => Pass::Infer,
        }
    }
}

/// Mean Teacher's warm-up: the decay of update `step`, `min(1 - 1 / (step + 1), decay)`.
pub fn warmed_decay(step: u64, decay: f64) -> f64 {
    (1.0 - 1.0 / (step as f64 + 1.0)).min(decay)
}

struct Average {
    path: Path,
    ema: Ema,
    values: BTreeMap<String, Tensor<1>>,
}

impl ModuleMapper for Average {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let decay = match (is_buffer(&name), self.ema.norm) {
            (true, TargetNorm::OwnTrain | TargetNorm::Frozen) => return param,
            (true, TargetNorm::Copy) => 0.0,
            (true, TargetNorm::EmaBuffers) | (false, _) => self.ema.decay,
        };
        let Some(online) = self.values.remove(&name) else {
            return param;
        };
        let old = param.val().without_autodiff();
        let shape = old.dims();
        replace(param, |_| {
            old * decay + online.reshape(shape) * (1.0 - decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Head, HeadConfig};
    use crate::parameters::{Named, collect};
    use crate::pass::absorb;
    use burn::tensor::{Device, Distribution};
    use rand_chacha::rand_core::SeedableRng as _;

    fn head(seed: u64, device: &Device) -> Head {
        HeadConfig {
            input: 3,
            hidden: 4,
            output: 2,
            norm: true,
        }
        .init(seed, device)
    }

    fn pair() -> (Head, Head) {
        let device = Device::flex();
        let mut online = head(1, &device.clone().autodiff());
        let mut pass = Pass::train(ChaCha8Rng::seed_from_u64(0));
        let x = Tensor::random(
            [8, 3],
            Distribution::Normal(1.0, 2.0),
            &device.clone().autodiff(),
        );
        online.forward(x, &mut pass);
        absorb(&mut online, pass);
        (online, head(2, &device))
    }

    fn check(norm: TargetNorm, buffer: impl Fn(f32, f32) -> f32) {
        let (online, target) = pair();
        let before = collect(&target);
        let online_values = collect(&online);
        let after = collect(&Ema { decay: 0.75, norm }.update(&online, target));
        compare(&before, &online_values, &after, |name, old, new| {
            if is_buffer(name) {
                buffer(old, new)
            } else {
                0.75 * old + 0.25 * new
            }
        });
    }

    fn compare(
        before: &Named,
        online: &Named,
        after: &Named,
        expect: impl Fn(&str, f32, f32) -> f32,
    ) {
        assert_eq!(before.len(), after.len());
        for (name, values) in after {
            for (index, value) in values.data.iter().enumerate() {
                let expected = expect(name, before[name].data[index], online[name].data[index]);
                assert!(
                    (value - expected).abs() < 1e-6,
                    "{name}[{index}]: {value} v {expected}"
                );
            }
        }
    }

    #[test]
    fn own_train_leaves_the_targets_buffers_alone() {
        check(TargetNorm::OwnTrain, |old, _| old);
    }

    #[test]
    fn ema_buffers_averages_them() {
        check(TargetNorm::EmaBuffers, |old, new| 0.75 * old + 0.25 * new);
    }

    #[test]
    fn copy_takes_the_online_buffers() {
        check(TargetNorm::Copy, |_, new| new);
    }

    #[test]
    fn frozen_keeps_the_shipped_buffers() {
        check(TargetNorm::Frozen, |old, _| old);
    }

    #[test]
    fn decay_zero_makes_an_exact_copy() {
        let (online, target) = pair();
        let target = Ema {
            decay: 0.0,
            norm: TargetNorm::Copy,
        }
        .update(&online, target);
        assert_eq!(collect(&online), collect(&target));
    }

    // Golden values of Mean Teacher's schedule.
    #[test]
    fn warm_up_starts_at_zero_and_ends_at_the_decay() {
        assert_eq!(warmed_decay(0, 0.999), 0.0);
        assert!((warmed_decay(9, 0.999) - 0.9).abs() < 1e-12);
        assert_eq!(warmed_decay(999, 0.999), 0.999);
        assert_eq!(warmed_decay(5000, 0.999), 0.999);
    }
}
