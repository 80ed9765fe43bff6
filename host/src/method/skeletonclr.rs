//! SkeletonCLR: MoCo v2 on skeletons, the base of the other queue-based methods.
//!
//! # Source
//! Li et al., "3D Human Action Representation Learning via Cross-View Consistency Pursuit", CVPR 2021, single stream,
//! and its public code. Differences: the key network really starts as a copy of the query network; the queue may have
//! any size; dropout, temperature and decay are configuration, because the paper's values need its 94,000 steps.

use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_model::ema::TargetNorm;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::optimizer::OptimizerConfig;

use super::moco::{self, Branch, Moco, QUERY, draws};
use super::range::{RangeError, check};
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, State};
use crate::contrast::{InfoNce, spread};

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

impl SkeletonClrConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        let (temperature, queue, decay) = (self.temperature, self.queue, self.ema_decay);
        check(
            temperature > 0.0,
            "method.temperature",
            &temperature,
            "above 0",
        )?;
        check(queue >= 1, "method.queue", &queue, "at least 1")?;
        check(
            (0.0..=1.0).contains(&decay),
            "method.ema_decay",
            &decay,
            "0 to 1",
        )
    }
}

/// The method with its networks.
pub struct SkeletonClr {
    encoder: EncoderConfig,
    batch: usize,
    moco: Moco<Branch>,
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
        let branch = |device: &Device| Branch::new(encoder, &config, seed, device);
        Ok(Self {
            encoder: encoder.clone(),
            batch,
            moco: Moco::new(config.clone(), optimizer, seed, device, branch)?,
        })
    }
}

impl Method for SkeletonClr {
    fn draws(&self) -> Vec<Draw> {
        let config = &self.moco.config;
        draws(&self.encoder, self.batch, &[&config.query, &config.key])
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let (input, presence) = moco::drawn(drawn);
        let moco = &mut self.moco;
        let query = Tensor::from_inner(input(0));
        let query = moco.online.train(query, presence, moment.noise(QUERY));
        let (key, decay) = moco.key(moment, |target, pass| target.run(input(1), presence, pass));
        let nce = InfoNce::new(
            query.clone(),
            Tensor::from_inner(key.clone()),
            moco.negatives(),
            moco.config.temperature,
        );
        moco.queue.push(key);
        Ok(Loss {
            value: nce.loss(),
            spread: (spread(query), moco.config.projection),
            figures: vec![("accuracy", nce.accuracy()), ("ema_decay", decay)],
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        self.moco.learn(gradients, rate)
    }

    fn networks(&self) -> Vec<Network<'_>> {
        Network::only(&self.encoder, &self.moco.online.encoder)
    }

    fn encoders(&mut self) -> Vec<&mut Encoder> {
        vec![&mut self.moco.online.encoder, &mut self.moco.target.encoder]
    }

    fn state(&self) -> State {
        self.moco.state()
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.moco.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::parameters::collect;
    use tendon_shared::pose::Presence;
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
            numbers: vec![],
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
        assert_eq!(collect(&method.moco.online), collect(&method.moco.target));
    }

    #[test]
    fn every_parameter_of_the_key_network_moves_after_the_query_network_has_learned() {
        let mut method = method(TargetNorm::EmaBuffers);
        let before = collect(&method.moco.target);
        for _ in 0..2 {
            let loss = method.loss(&drawn(), &MOMENT).unwrap();
            method.learn(&loss.value.backward(), 0.1);
        }
        let after = collect(&method.moco.target);
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
        assert!(!method.moco.queue.keys().is_autodiff());
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
