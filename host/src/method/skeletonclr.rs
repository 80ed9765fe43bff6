//! SkeletonCLR: MoCo v2 on skeletons, the base of the other queue-based methods.
//!
//! # Source
//! Li et al., "3D Human Action Representation Learning via Cross-View Consistency Pursuit", CVPR 2021, single stream,
//! and its public code. Differences: the key network really starts as a copy of the query network; the queue may have
//! any size; dropout, temperature and decay are configuration, because the paper's values need its 94,000 steps.

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_model::augment::random::generator;
use tendon_model::ema::{Ema, TargetNorm, warmed_decay};
use tendon_model::encoder::{ConfigError, EncoderConfig, StGcn};
use tendon_model::head::{Head, HeadConfig, unit_rows};
use tendon_model::norm::BatchNorm;
use tendon_model::optimizer::{Optimizer, OptimizerConfig, gradient_norm};
use tendon_model::parameters::{collect, restore};
use tendon_model::pass::{Normalized, Pass, absorb};
use tendon_shared::pose::Presence;

use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, Pool, State, ViewSpec};
use crate::contrast::{InfoNce, Queue, spread};

/// Constants of SkeletonCLR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkeletonClrConfig {
    /// Softmax temperature.
    pub temperature: f64,
    /// Keys in the queue.
    pub queue: usize,
    /// Weight of the key network's old value in each step.
    pub ema_decay: f64,
    /// Starts with decay 0 and rises as `1 - 1 / (step + 1)`, for runs too short for the full decay.
    pub ema_warmup: bool,
    /// What the key network does about BatchNorm.
    pub target_norm: TargetNorm,
    /// BatchNorm in the projection head.
    pub head_norm: bool,
    /// Dimensions of the projection.
    pub projection: usize,
    /// How the query's view is made.
    pub query: Recipe,
    /// How the key's view is made.
    pub key: Recipe,
}

/// Encoder and projection head.
#[derive(Module, Debug)]
struct Branch {
    encoder: StGcn,
    head: Head,
}

impl Branch {
    /// Unit projections, `[batch, projection]`.
    fn forward(&self, x: Tensor<5>, presence: &[Presence], pass: &mut Pass) -> Tensor<2> {
        let embedding = self.encoder.embed(x, presence, pass);
        unit_rows(self.head.forward(embedding, pass))
    }
}

impl Normalized for Branch {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = self.encoder.norms();
        norms.extend(self.head.norms());
        norms
    }
}

/// The method with its networks.
pub struct SkeletonClr {
    config: SkeletonClrConfig,
    encoder: EncoderConfig,
    batch: usize,
    online: Branch,
    target: Branch,
    queue: Queue,
    optimizer_config: OptimizerConfig,
    optimizer: Optimizer,
    device: Device,
}

impl SkeletonClr {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: SkeletonClrConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let head = HeadConfig {
            input: encoder.dim,
            hidden: encoder.dim,
            output: config.projection,
            norm: config.head_norm,
        };
        let branch = |device: &Device| {
            Ok(Branch {
                encoder: encoder.init(seed, device)?,
                head: head.init(seed.wrapping_add(1), device),
            })
        };
        let training = device.clone().autodiff();
        let online = branch(&training)?;
        // The copy comes after every initialisation: published code re-draws the key network afterwards.
        let copy = Ema {
            decay: 0.0,
            norm: TargetNorm::Copy,
        };
        let target = copy.update(&online, branch(device)?);
        let noise = generator(seed, u64::MAX, u64::MAX, 0);
        Ok(Self {
            queue: Queue::new(config.queue, config.projection, noise, device),
            config,
            encoder: encoder.clone(),
            batch,
            online,
            target,
            optimizer_config: optimizer,
            optimizer: optimizer.init(),
            device: device.clone(),
        })
    }
}

impl Method for SkeletonClr {
    fn draws(&self) -> Vec<Draw> {
        let view = |recipe: &Recipe| ViewSpec {
            recipe: recipe.clone(),
            inputs: vec![self.encoder.streams.clone()],
        };
        let views = vec![view(&self.config.query), view(&self.config.key)];
        vec![Draw {
            pool: Pool::Unlabelled,
            count: self.batch,
            views,
        }]
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let [
            Drawn {
                views, presence, ..
            },
        ] = drawn
        else {
            unreachable!("the loop makes what draws() asks for")
        };
        let input = |view: usize| views[view][0].clone();

        let mut pass = Pass::train(moment.noise(0));
        let query = self
            .online
            .forward(Tensor::from_inner(input(0)), presence, &mut pass);
        absorb(&mut self.online, pass);

        let decay = match self.config.ema_warmup {
            true => warmed_decay(moment.step, self.config.ema_decay),
            false => self.config.ema_decay,
        };
        let ema = Ema {
            decay,
            norm: self.config.target_norm,
        };
        self.target = ema.update(&self.online, self.target.clone());
        let mut pass = ema.target_pass(moment.noise(1));
        let key = self.target.forward(input(1), presence, &mut pass);
        absorb(&mut self.target, pass);

        let lift = |tensor| Tensor::from_inner(tensor);
        let nce = InfoNce::new(
            query.clone(),
            lift(key.clone()),
            lift(self.queue.keys()),
            self.config.temperature,
        );
        self.queue.push(key);
        Ok(Loss {
            value: nce.loss(),
            spread: (spread(query), self.config.projection),
            figures: vec![("accuracy", nce.accuracy()), ("ema_decay", decay)],
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        let norm = gradient_norm(&self.online, gradients);
        self.online = self.optimizer.step(rate, self.online.clone(), gradients);
        norm
    }

    fn networks(&self) -> Vec<Network<'_>> {
        let streams = self.encoder.streams.clone();
        vec![Network {
            name: "",
            streams,
            encoder: &self.online.encoder,
        }]
    }

    fn encoders(&mut self) -> Vec<&mut StGcn> {
        vec![&mut self.online.encoder, &mut self.target.encoder]
    }

    fn state(&self) -> State {
        let mut state = State::default();
        state.insert("online", collect(&self.online));
        state.insert("target", collect(&self.target));
        state.insert("optimizer", self.optimizer.state());
        let (keys, next) = self.queue.state();
        state.tensors.insert("queue.keys".to_string(), keys);
        state.numbers.insert("queue.next".to_string(), next);
        state
            .numbers
            .insert("optimizer.steps".to_string(), self.optimizer.steps());
        state
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.online = restore(self.online.clone(), &state.below("online"))?;
        self.target = restore(self.target.clone(), &state.below("target"))?;
        let steps = state.number("optimizer.steps")?;
        self.optimizer = Optimizer::resume(
            self.optimizer_config,
            steps,
            &state.below("optimizer"),
            &self.device,
        );
        let keys = state.below("queue").remove("keys").unwrap_or_default();
        self.queue.restore(&keys, state.number("queue.next")?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::ema::TargetNorm;
    use tendon_shared::topology::TopologyId;

    fn method(target_norm: TargetNorm) -> SkeletonClr {
        let config = SkeletonClrConfig {
            temperature: 0.1,
            queue: 10,
            ema_decay: 0.9,
            ema_warmup: false,
            target_norm,
            head_norm: false,
            projection: 6,
            query: Recipe::normal(),
            key: Recipe::normal(),
        };
        let encoder = EncoderConfig {
            width: 2,
            dim: 4,
            ..EncoderConfig::small(TopologyId::Kinect20, 8, 1)
        };
        SkeletonClr::new(
            config,
            &encoder,
            OptimizerConfig::sgd(0.0),
            4,
            1,
            &Device::flex(),
        )
        .unwrap()
    }

    fn drawn() -> Vec<Drawn> {
        let view = |offset: f32| {
            let values: Vec<f32> = (0..4 * 3 * 8 * 20)
                .map(|index| ((index as f32) * 0.37 + offset).sin())
                .collect();
            let data = burn::tensor::TensorData::new(values, [4, 1, 3, 8, 20]);
            vec![Tensor::from_data(data, &Device::flex())]
        };
        vec![Drawn {
            views: vec![view(0.0), view(0.5)],
            presence: vec![Presence::FIRST; 4],
            labels: vec![],
        }]
    }

    const MOMENT: Moment = Moment {
        seed: 1,
        epoch: 0,
        step: 0,
    };

    #[test]
    fn the_key_network_starts_as_a_copy() {
        let method = method(TargetNorm::OwnTrain);
        assert_eq!(collect(&method.online), collect(&method.target));
    }

    #[test]
    fn every_parameter_of_the_key_network_moves_after_the_query_network_has_learned() {
        let mut method = method(TargetNorm::EmaBuffers);
        let before = collect(&method.target);
        for _ in 0..2 {
            let loss = method.loss(&drawn(), &MOMENT).unwrap();
            method.learn(&loss.value.backward(), 0.1);
        }
        let after = collect(&method.target);
        let still: Vec<_> = before
            .keys()
            .filter(|name| before[*name] == after[*name])
            .collect();
        // Biases before a BatchNorm have no gradient but for rounding.
        assert!(
            still.iter().all(|name| name.ends_with(".bias")),
            "{still:?}"
        );
    }

    #[test]
    fn keys_enter_the_queue_and_leave_no_gradient() {
        let mut method = method(TargetNorm::OwnTrain);
        method.loss(&drawn(), &MOMENT).unwrap();
        assert_eq!(method.state().numbers["queue.next"], 4);
        assert!(!method.queue.keys().is_autodiff());
    }

    #[test]
    fn a_restored_method_takes_the_same_steps() {
        let mut first = method(TargetNorm::OwnTrain);
        let step = |method: &mut SkeletonClr| {
            let loss = method.loss(&drawn(), &MOMENT).unwrap();
            method.learn(&loss.value.backward(), 0.1);
        };
        step(&mut first);
        let mut second = method(TargetNorm::OwnTrain);
        second.restore(&first.state()).unwrap();
        step(&mut first);
        step(&mut second);
        assert_eq!(first.state(), second.state());
    }
}
