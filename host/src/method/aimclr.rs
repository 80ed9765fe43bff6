//! AimCLR: extreme views learn from normal ones where a window lies among all keys.
//!
//! The normal query is contrasted as in SkeletonCLR. An extreme view, and the same view without the features that stand out most,
//! take over its distribution over key and queue ([`distribution_divergence`]). From an epoch on, keys of the queue that a view
//! finds most similar count as positives too ([`mined_loss`]).
//!
//! # Source
//! Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences for Self-Supervised Action Recognition", AAAI 2022,
//! and its public code. Differences: log-softmax instead of the logarithm of a softmax; the blur's kernel is normalised unless
//! the recipe says otherwise.

use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig, pool};
use tendon_model::optimizer::OptimizerConfig;

use super::moco::{self, Branch, Moco, OWN, QUERY, draws};
use super::range::{RangeError, check};
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, SkeletonClrConfig, State};
use crate::contrast::{
    InfoNce, attention_drop, distribution_divergence, mined, mined_loss, spread,
};

/// Constants of AimCLR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AimClrConfig {
    /// The contrast of normal views.
    pub base: SkeletonClrConfig,
    /// How the extreme view is made.
    pub extreme: Recipe,
    /// Attention from which on features are dropped, 0..1, for a third view; nothing leaves that view out.
    pub drop_attention: Option<f64>,
    /// Weight of each view's divergence.
    pub divergence_weight: f64,
    /// First epoch of nearest-neighbour mining.
    pub mining_epoch: u64,
}

impl AimClrConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self) -> Result<(), RangeError> {
        self.base.validate()?;
        let keep = self.drop_attention.unwrap_or(0.7);
        check(
            keep > 0.5 && keep < 1.0,
            "method.drop_attention",
            &keep,
            "above 0.5 and below 1",
        )?;
        let weight = self.divergence_weight;
        check(
            weight >= 0.0,
            "method.divergence_weight",
            &weight,
            "at least 0",
        )
    }

    /// The loss of a normal query and of its students, and the figures that go with it.
    pub(super) fn objective(&self, query: &InfoNce, students: &[InfoNce], epoch: u64) -> Objective {
        let contrast = if epoch < self.mining_epoch {
            query.loss()
        } else {
            let views: Vec<&InfoNce> = std::iter::once(query).chain(students).collect();
            mined_loss(query, mined(&views))
        };
        let zero = contrast.zeros_like();
        let divergence = students.iter().fold(zero, |sum, student| {
            sum + distribution_divergence(student, query)
        });
        Objective {
            value: contrast + divergence.clone() * self.divergence_weight,
            divergence: f64::from(divergence.into_scalar::<f32>()),
        }
    }
}

/// See [`AimClrConfig::objective`].
pub(super) struct Objective {
    pub(super) value: Tensor<1>,
    pub(super) divergence: f64,
}

/// The method with its networks.
pub struct AimClr {
    config: AimClrConfig,
    encoder: EncoderConfig,
    batch: usize,
    moco: Moco<Branch>,
}

impl AimClr {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: AimClrConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let branch = |device: &Device| Branch::new(encoder, &config.base, seed, device);
        Ok(Self {
            moco: Moco::new(config.base.clone(), optimizer, seed, device, branch)?,
            config,
            encoder: encoder.clone(),
            batch,
        })
    }
}

impl Method for AimClr {
    fn draws(&self) -> Vec<Draw> {
        let AimClrConfig { base, extreme, .. } = &self.config;
        draws(
            &self.encoder,
            self.batch,
            &[&base.query, &base.key, extreme],
        )
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let (input, presence) = moco::drawn(drawn);
        let moco = &mut self.moco;
        let lift = |view: usize| Tensor::from_inner(input(view));
        let query = moco.online.train(lift(0), presence, moment.noise(QUERY));
        let (features, bodies) = moco
            .online
            .train_features(lift(2), presence, moment.noise(OWN));
        let mut views = vec![features.clone()];
        views.extend(
            self.config
                .drop_attention
                .map(|keep| attention_drop(features, keep)),
        );
        let students: Vec<Tensor<2>> = views
            .into_iter()
            .map(|view| moco.online.train_head(bodies.mean(pool(view))))
            .collect();

        let (key, decay) = moco.key(moment, |target, pass| target.run(input(1), presence, pass));
        let (keys, negatives) = (Tensor::from_inner(key.clone()), moco.negatives());
        let nce = |view: Tensor<2>| {
            let temperature = self.config.base.temperature;
            InfoNce::new(view, keys.clone(), negatives.clone(), temperature)
        };
        let whole = nce(query.clone());
        let students: Vec<InfoNce> = students.into_iter().map(nce).collect();
        let objective = self.config.objective(&whole, &students, moment.epoch);
        moco.queue.push(key);
        Ok(Loss {
            value: objective.value,
            spread: (spread(query), self.config.base.projection),
            figures: vec![
                ("accuracy", whole.accuracy()),
                ("extreme_accuracy", students[0].accuracy()),
                ("divergence", objective.divergence),
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
        self.moco.state()
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.moco.restore(state)
    }
}

#[cfg(test)]
mod tests;
