//! SGD and AdamW whose state is kept by parameter name, so that it can be stored and resumed bit for bit.
//!
//! Burn's optimisers key their state by numbers that a new process draws afresh. The formulas are PyTorch's.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::parameters::{Named, Path, Values, replace};

/// Which optimiser, with its constants. The learning rate is an argument of each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// Weight of the old velocity, 0..1.
        momentum: f64,
        /// Nesterov's look-ahead.
        nesterov: bool,
        /// L2 penalty added to the gradient.
        weight_decay: f64,
        /// Largest norm of the whole gradient; nothing means no limit.
        clip_norm: Option<f64>,
    },
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW {
        /// Weight of the old first moment.
        beta1: f64,
        /// Weight of the old second moment.
        beta2: f64,
        /// Added to the square root of the second moment.
        epsilon: f64,
        /// Decay of each weight a step, times the learning rate.
        weight_decay: f64,
        /// Largest norm of the whole gradient; nothing means no limit.
        clip_norm: Option<f64>,
    },
}

impl OptimizerConfig {
    /// SGD with momentum 0.9, as in every contrastive skeleton paper.
    pub fn sgd(weight_decay: f64) -> Self {
        Self::Sgd {
            momentum: 0.9,
            nesterov: false,
            weight_decay,
            clip_norm: None,
        }
    }

    /// AdamW with PyTorch's defaults.
    pub fn adamw(weight_decay: f64) -> Self {
        Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
            clip_norm: None,
        }
    }

    /// The optimiser without any history.
    pub fn init(self) -> Optimizer {
        Optimizer {
            config: self,
            steps: 0,
            moments: BTreeMap::new(),
        }
    }

    fn clip_norm(&self) -> Option<f64> {
        match self {
            Self::Sgd { clip_norm, .. } | Self::AdamW { clip_norm, .. } => *clip_norm,
        }
    }
}

/// An optimiser and its history.
pub struct Optimizer {
    config: OptimizerConfig,
    steps: u64,
    /// One or two moments a parameter, flat.
    moments: BTreeMap<String, Vec<Tensor<1>>>,
}

impl Optimizer {
    /// Moves every parameter that has a gradient.
    pub fn step<M: Module>(&mut self, rate: f64, module: M, gradients: &Gradients) -> M {
        self.steps += 1;
        let scale = self.config.clip_norm().map(|limit| {
            let norm = gradient_norm(&module, gradients);
            if norm > limit { limit / norm } else { 1.0 }
        });
        module.map(&mut Step {
            path: Path::default(),
            optimizer: self,
            gradients,
            rate,
            scale,
        })
    }

    /// Number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The history by name: `<parameter>.<moment>`.
    pub fn state(&self) -> Named {
        let mut named = Named::new();
        for (name, moments) in &self.moments {
            for (index, moment) in moments.iter().enumerate() {
                let data = moment
                    .clone()
                    .into_data()
                    .try_to_vec::<f32>()
                    .unwrap_or_default();
                named.insert(
                    format!("{name}.{index}"),
                    Values {
                        shape: vec![data.len()],
                        data,
                    },
                );
            }
        }
        named
    }

    /// An optimiser that goes on where `state` and `steps` were taken.
    pub fn resume(config: OptimizerConfig, steps: u64, state: &Named, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let mut moments: BTreeMap<String, Vec<Tensor<1>>> = BTreeMap::new();
        // Names sort so that moment 0 of a parameter comes before its moment 1.
        for (key, values) in state {
            let Some((name, _)) = key.rsplit_once('.') else {
                continue;
            };
            let data = TensorData::new(values.data.clone(), [values.data.len()]);
            moments
                .entry(name.to_string())
                .or_default()
                .push(Tensor::from_data(data, &device));
        }
        Self {
            config,
            steps,
            moments,
        }
    }

    /// The new value of one parameter, all flat.
    fn moved(
        &mut self,
        name: String,
        value: Tensor<1>,
        gradient: Tensor<1>,
        rate: f64,
    ) -> Tensor<1> {
        let old = self.moments.remove(&name).unwrap_or_default();
        match self.config {
            OptimizerConfig::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => {
                let gradient = if weight_decay > 0.0 {
                    gradient + value.clone() * weight_decay
                } else {
                    gradient
                };
                if momentum <= 0.0 {
                    return value - gradient * rate;
                }
                let velocity = match old.into_iter().next() {
                    Some(velocity) => velocity * momentum + gradient.clone(),
                    None => gradient.clone(),
                };
                let direction = if nesterov {
                    gradient + velocity.clone() * momentum
                } else {
                    velocity.clone()
                };
                self.moments.insert(name, vec![velocity]);
                value - direction * rate
            }
            OptimizerConfig::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                ..
            } => {
                let mut old = old.into_iter();
                let first = blend(old.next(), gradient.clone(), beta1);
                let second = blend(old.next(), gradient.clone() * gradient, beta2);
                let correct = |beta: f64| 1.0 - beta.powf(self.steps as f64);
                let scale = (second.clone() / correct(beta2)).sqrt() + epsilon;
                let direction = (first.clone() / correct(beta1)) / scale;
                self.moments.insert(name, vec![first, second]);
                value * (1.0 - rate * weight_decay) - direction * rate
            }
        }
    }
}

fn blend(old: Option<Tensor<1>>, new: Tensor<1>, weight: f64) -> Tensor<1> {
    let new = new * (1.0 - weight);
    match old {
        Some(old) => old * weight + new,
        None => new,
    }
}

struct Step<'a> {
    path: Path,
    optimizer: &'a mut Optimizer,
    gradients: &'a Gradients,
    rate: f64,
    scale: Option<f64>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let value = param.val();
        let Some(gradient) = value.grad(self.gradients) else {
            return param;
        };
        let shape = value.dims();
        let count = shape.iter().product::<usize>();
        let gradient = gradient.without_autodiff().reshape([count]);
        let gradient = match self.scale {
            Some(scale) => gradient * scale,
            None => gradient,
        };
        let value = value.without_autodiff().reshape([count]);
        let new = self
            .optimizer
            .moved(self.path.name(), value, gradient, self.rate);
        replace(param, |_| new.reshape(shape))
    }
}

/// Euclidean norm of the whole gradient.
pub fn gradient_norm(module: &impl Module, gradients: &Gradients) -> f64 {
    struct Norm<'a> {
        gradients: &'a Gradients,
        sum: f64,
    }
    impl burn::module::ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                self.sum += f64::from(gradient.powi_scalar(2).sum().into_scalar::<f32>());
            }
        }
    }
    let mut norm = Norm {
        gradients,
        sum: 0.0,
    };
    module.visit(&mut norm);
    norm.sum.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Head, HeadConfig};
    use crate::parameters::collect;
    use crate::pass::Pass;

    fn head(device: &Device) -> Head {
        HeadConfig {
            input: 2,
            hidden: 3,
            output: 1,
            norm: false,
        }
        .init(1, device)
    }

    fn step(head: Head, optimizer: &mut Optimizer, device: &Device) -> Head {
        let x = Tensor::from_floats([[1.0, 2.0], [3.0, -1.0]], device);
        let gradients = head.forward(x, &mut Pass::Infer).sum().backward();
        optimizer.step(0.1, head, &gradients)
    }

    fn check_resume(config: OptimizerConfig) {
        let device = Device::flex().autodiff();
        let mut straight = config.init();
        let mut expected = head(&device);
        let mut optimizer = config.init();
        let mut resumed = head(&device);
        for index in 0..4 {
            expected = step(expected, &mut straight, &device);
            if index == 2 {
                optimizer =
                    Optimizer::resume(config, optimizer.steps(), &optimizer.state(), &device);
            }
            resumed = step(resumed, &mut optimizer, &device);
        }
        assert_eq!(collect(&expected), collect(&resumed));
    }

    #[test]
    fn a_resumed_optimiser_takes_the_same_steps() {
        check_resume(OptimizerConfig::sgd(1e-4));
        check_resume(OptimizerConfig::adamw(1e-2));
    }

    #[test]
    fn sgd_follows_pytorchs_momentum() {
        // The output bias has gradient 2 (two rows): velocities 2, then 0.9 * 2 + 2 = 3.8; values -0.2, -0.58.
        let device = Device::flex().autodiff();
        let mut optimizer = OptimizerConfig::sgd(0.0).init();
        let first = step(head(&device), &mut optimizer, &device);
        assert!((collect(&first)["output.bias"].data[0] + 0.2).abs() < 1e-6);
        let second = step(first, &mut optimizer, &device);
        assert!((collect(&second)["output.bias"].data[0] + 0.58).abs() < 1e-6);
    }

    #[test]
    fn adamw_first_step_is_the_learning_rate() {
        let device = Device::flex().autodiff();
        let after = step(
            head(&device),
            &mut OptimizerConfig::adamw(0.0).init(),
            &device,
        );
        assert!((collect(&after)["output.bias"].data[0] + 0.1).abs() < 1e-6);
    }

    #[test]
    fn clipping_limits_the_whole_gradient() {
        let device = Device::flex().autodiff();
        let config = OptimizerConfig::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            clip_norm: Some(1.0),
        };
        let before = head(&device);
        let from = collect(&before);
        let to = collect(&step(before, &mut config.init(), &device));
        let moved: f32 = from
            .iter()
            .flat_map(|(name, values)| values.data.iter().zip(&to[name].data))
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        assert!((moved.sqrt() - 0.1).abs() < 1e-4, "moved {}", moved.sqrt());
    }
}
