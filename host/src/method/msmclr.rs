//! MsMCLR: AimCLR whose features are gated by motion at three scales, and whose strong view learns from the normal one at each.
//!
//! # Source
//! Reconstructed from the abstract of "Multi-scale Motion Contrastive Learning for Self-Supervised Skeleton-Based Action
//! Recognition"; there is no public code. What is known: three scale levels, cross-frame and cross-node motion
//! features, strong augmentation, two distributional divergences, and that the normal view's distribution teaches the strong
//! one's at several scales. How is ours, and each choice is a switch of [`MsMclrConfig`] or of its recipe.

mod branch;

use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use tendon_model::augment::random::generator;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::motion_attention::MotionAttentionConfig;
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::pass::Pass;
use tendon_model::pyramid::{Groups, Scale};

use super::moco::{self, Moco, OWN, QUERY, draws};
use super::range::{RangeError, check};
use super::{AimClrConfig, Draw, Drawn, Loss, Method, MethodError, Moment, Network, State};
use crate::contrast::{InfoNce, Queue, distribution_divergence, spread};
use branch::{ScaledBranch, Wanted};

/// Constants of MsMCLR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsMclrConfig {
    /// AimCLR's constants; the first divergence is its.
    pub aim: AimClrConfig,
    /// Levels of the skeleton pyramid.
    pub scales: Vec<Scale>,
    /// The motion attention at each scale; nothing leaves features as they are.
    pub attention: Option<MotionAttentionConfig>,
    /// Weight of the second divergence, the mean over scales.
    pub scale_weight: f64,
    /// A queue of keys for each scale instead of the one of whole windows.
    pub queue_each_scale: bool,
}

impl MsMclrConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        self.aim.validate()?;
        let scales = &self.scales;
        let twice = (1..scales.len()).any(|index| scales[..index].contains(&scales[index]));
        let found = format!("{scales:?}");
        let good = !scales.is_empty() && !twice;
        check(good, "method.scales", &found, "one or more, each once")?;
        let weight = self.scale_weight;
        check(weight >= 0.0, "method.scale_weight", &weight, "at least 0")?;
        let Some(attention) = self.attention else {
            return Ok(());
        };
        let reduced = attention.reduced;
        check(
            reduced >= 1,
            "method.attention.reduced",
            &reduced,
            "at least 1",
        )?;
        let crosses = attention.cross_frame || attention.cross_node;
        let expected = "true, or cross_node";
        check(crosses, "method.attention.cross_frame", &"false", expected)
    }
}

/// The method with its networks.
pub struct MsMclr {
    config: MsMclrConfig,
    encoder: EncoderConfig,
    batch: usize,
    scales: Vec<Groups>,
    moco: Moco<ScaledBranch>,
    /// One a scale, if each has its own.
    queues: Vec<Queue>,
}

impl MsMclr {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: MsMclrConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let base = &config.aim.base;
        let branch = |device: &Device| ScaledBranch::new(encoder, &config, seed, device);
        let moco = Moco::new(base.clone(), optimizer, seed, device, branch)?;
        let topology = encoder.topology.topology();
        let scales = config.scales.iter();
        let queues = if config.queue_each_scale {
            config.scales.len()
        } else {
            0
        };
        let queue = |number: u64| {
            let noise = generator(seed, u64::MAX, u64::MAX, 1 + number);
            Queue::new(base.queue, base.projection, noise, device)
        };
        Ok(Self {
            scales: scales.map(|scale| Groups::new(*scale, topology)).collect(),
            queues: (0..queues as u64).map(queue).collect(),
            moco,
            config,
            encoder: encoder.clone(),
            batch,
        })
    }
}

impl Method for MsMclr {
    fn draws(&self) -> Vec<Draw> {
        let AimClrConfig { base, extreme, .. } = &self.config.aim;
        draws(
            &self.encoder,
            self.batch,
            &[&base.query, &base.key, extreme],
        )
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let (input, presence) = moco::drawn(drawn);
        let lift = |view: usize| Tensor::from_inner(input(view));
        let Self {
            config,
            moco,
            scales,
            queues,
            ..
        } = self;
        let mut train = |view, purpose, dropped| {
            let pass = Pass::train(moment.noise(purpose));
            let wanted = Wanted {
                dropped,
                scales: true,
            };
            moco.online.run(lift(view), presence, pass, scales, &wanted)
        };
        let normal = train(0, QUERY, None);
        let strong = train(2, OWN, config.aim.drop_attention);
        let (key, decay) = moco.key(moment, |target, pass| {
            let wanted = Wanted {
                dropped: None,
                scales: config.queue_each_scale,
            };
            target.run(input(1), presence, pass, scales, &wanted)
        });

        let nce = |view: &Tensor<2>, key: &Tensor<2>, queue: &Queue| {
            let (key, negatives) = (key.clone(), queue.keys());
            let (key, negatives) = (Tensor::from_inner(key), Tensor::from_inner(negatives));
            InfoNce::new(view.clone(), key, negatives, config.aim.base.temperature)
        };
        let whole = |view: &Tensor<2>| nce(view, &key.whole, &moco.queue);
        let query = whole(&normal.whole);
        let views = std::iter::once(&strong.whole).chain(&strong.dropped);
        let students: Vec<InfoNce> = views.map(whole).collect();
        let objective = config.aim.objective(&query, &students, moment.epoch);

        let zero = objective.value.zeros_like();
        let pairs = normal.scales.iter().zip(&strong.scales).enumerate();
        let scaled = pairs.fold(zero, |sum, (scale, (teacher, student))| {
            let key = key.scales.get(scale).unwrap_or(&key.whole);
            let queue = queues.get(scale).unwrap_or(&moco.queue);
            let (teacher, student) = (nce(teacher, key, queue), nce(student, key, queue));
            sum + distribution_divergence(&student, &teacher)
        });
        let scaled = scaled / normal.scales.len() as f64;
        for (queue, keys) in queues.iter_mut().zip(key.scales) {
            queue.push(keys);
        }
        moco.queue.push(key.whole);
        Ok(Loss {
            value: objective.value + scaled.clone() * config.scale_weight,
            spread: (spread(normal.whole), config.aim.base.projection),
            figures: vec![
                ("accuracy", query.accuracy()),
                ("extreme_accuracy", students[0].accuracy()),
                ("divergence", objective.divergence),
                ("scale_divergence", f64::from(scaled.into_scalar::<f32>())),
                ("ema_decay", decay),
            ],
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
        let mut state = self.moco.state();
        for (number, queue) in self.queues.iter().enumerate() {
            let (keys, next) = queue.state();
            state.tensors.insert(format!("scale{number}.keys"), keys);
            state.numbers.insert(format!("scale{number}.next"), next);
        }
        state
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.moco.restore(state)?;
        for (number, queue) in self.queues.iter_mut().enumerate() {
            let name = format!("scale{number}");
            let keys = state.below(&name).remove("keys").unwrap_or_default();
            queue.restore(&keys, state.number(&format!("{name}.next"))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
