//! SkeleMixCLR and SkeleMixCLR+: what is pasted into a window must be recognised, and so must the rest.
//!
//! Each mix of a batch passes the trained encoder once more. Its features are pooled inside and outside the regions; the
//! inside seeks the partner's key, the outside the window's own, and each has the other as one more negative.
//!
//! # Source
//! Chen et al., "Contrastive Learning from Spatio-Temporal Mixed Skeleton Sequences for Self-Supervised Skeleton-Based Action
//! Recognition", and its public code; several mixes a step make the "plus" version. Differences, each with a switch that
//! restores what is published: every window has a partner and a region of its own ([`MixSpec::each_window`]), a region of zeros
//! or noise need not find a partner that it does not show ([`SkeleMixClrConfig::blank_seeks_partner`]), and only bodies that are
//! there are mixed (the encoder's body mask).

use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::optimizer::OptimizerConfig;
use tendon_shared::pose::Presence;

use super::moco::{self, Branch, Moco, OWN, QUERY, draws};
use super::range::{RangeError, check};
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, SkeletonClrConfig, State};
use crate::contrast::{Fill, InfoNce, JointChoice, Mix, MixSpec, mask_pool, rows, spread};

/// Constants of SkeleMixCLR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkeleMixClrConfig {
    /// The contrast of whole windows.
    pub base: SkeletonClrConfig,
    /// How windows are mixed.
    pub mix: MixSpec,
    /// Mixes a step; the "plus" version has several.
    pub repeats: usize,
    /// Weight of the regions' losses.
    pub weight: f64,
    /// Takes the mean of the mixes' losses instead of their sum.
    pub mean: bool,
    /// A region of zeros or noise must find the partner's key too, as in the published code.
    pub blank_seeks_partner: bool,
}

impl SkeleMixClrConfig {
    /// Checks every number, for windows with so many frames of features.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self, feature_frames: usize) -> Result<(), RangeError> {
        self.base.validate()?;
        let [least, most] = self.mix.lengths;
        let lengths = format!("{:?}", self.mix.lengths);
        check(
            1 <= least && least <= most && most <= feature_frames,
            "method.mix.lengths",
            &lengths,
            "two rising numbers from 1 to a quarter of the window's frames",
        )?;
        let (least, most, limit) = match self.mix.joints {
            // All five parts in all frames would leave nothing outside.
            JointChoice::Parts { least, most } => (least, most, 4),
            JointChoice::Random { least, most } => (least, most, usize::MAX),
        };
        check(
            1 <= least && least <= most && most <= limit,
            "method.mix.joints",
            &format!("{least} to {most}"),
            "1 to 4 parts, or at least 1 joint",
        )?;
        check(
            self.repeats >= 1,
            "method.repeats",
            &self.repeats,
            "at least 1",
        )?;
        check(
            self.weight >= 0.0,
            "method.weight",
            &self.weight,
            "at least 0",
        )
    }
}

/// The method with its networks.
pub struct SkeleMixClr {
    config: SkeleMixClrConfig,
    encoder: EncoderConfig,
    batch: usize,
    moco: Moco<Branch>,
}

/// A mix with the unit projections of what is inside and outside its regions.
struct Mixed {
    mix: Mix,
    inside: Tensor<2>,
    outside: Tensor<2>,
}

impl SkeleMixClr {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: SkeleMixClrConfig,
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

    /// The mixes of one step.
    fn mixes(&self, presence: &[Presence], moment: &Moment) -> Vec<Mix> {
        let draw = |number| {
            Mix::draw(
                &self.config.mix,
                presence,
                self.encoder.body_mask,
                self.encoder.feature_frames(),
                self.encoder.topology.topology(),
                &mut moment.noise(OWN + 3 * number),
            )
        };
        (0..self.config.repeats as u64).map(draw).collect()
    }

    /// One mix through the trained encoder.
    fn mixed(&mut self, mix: Mix, number: u64, x: Tensor<5>, drawn: &Windows<'_>) -> Mixed {
        let [_, body, ..] = x.dims();
        let noise = |purpose| drawn.moment.noise(OWN + 3 * number + purpose);
        let x = Tensor::from_inner(mix.apply(x, self.config.mix.fill, &mut noise(1)));
        let frames = self.encoder.feature_frames();
        let mask = mix.feature_mask(body, frames, self.encoder.joints());
        let mask = Tensor::from_data(mask, &x.device());
        let online = &mut self.moco.online;
        let (mask, _) = online.encoder.fold(mask, drawn.presence);
        let (features, bodies) = online.train_features(x, drawn.presence, noise(2));
        let [inside, outside] =
            mask_pool(features, mask, &bodies).map(|pooled| online.train_head(pooled));
        Mixed {
            mix,
            inside,
            outside,
        }
    }

    /// The loss with given mixes.
    fn loss_of(
        &mut self,
        query: Tensor<5>,
        key: Tensor<5>,
        mixes: Vec<Mix>,
        drawn: &Windows<'_>,
    ) -> Loss {
        let (moment, presence) = (drawn.moment, drawn.presence);
        let whole = Tensor::from_inner(query.clone());
        let whole = self.moco.online.train(whole, presence, moment.noise(QUERY));
        let mixed: Vec<Mixed> = (0..)
            .zip(mixes)
            .map(|(number, mix)| self.mixed(mix, number, query.clone(), drawn))
            .collect();

        let (key, decay) = self
            .moco
            .key(moment, |target, pass| target.run(key, presence, pass));
        let keys: Tensor<2> = Tensor::from_inner(key.clone());
        let negatives = self.moco.negatives();
        let temperature = self.config.base.temperature;
        let nce = |query: &Tensor<2>, key| {
            InfoNce::new(query.clone(), key, negatives.clone(), temperature)
        };
        let instance = nce(&whole, keys.clone());
        let local = |query: &Tensor<2>, key, other: &Tensor<2>| {
            nce(query, key).and(query.clone(), other.clone().detach(), temperature)
        };
        let seeks = self.config.mix.fill == Fill::Swap || self.config.blank_seeks_partner;
        let regions: Vec<InfoNce> = mixed
            .iter()
            .flat_map(|mixed| {
                let partners = rows(keys.clone(), &mixed.mix.partners);
                let inside = seeks.then(|| local(&mixed.inside, partners, &mixed.outside));
                let outside = local(&mixed.outside, keys.clone(), &mixed.inside);
                inside.into_iter().chain([outside])
            })
            .collect();
        let share = if self.config.mean { mixed.len() } else { 1 } as f64;
        let zero = Tensor::zeros([1], &whole.device());
        let sum = regions.iter().fold(zero, |sum, nce| sum + nce.loss());
        let regional = sum * (0.5 / share);
        let found = regions.iter().map(InfoNce::accuracy).sum::<f64>() / regions.len() as f64;
        self.moco.queue.push(key);
        Loss {
            value: instance.loss() + regional.clone() * self.config.weight,
            spread: (spread(whole), self.config.base.projection),
            figures: vec![
                ("accuracy", instance.accuracy()),
                ("region_accuracy", found),
                ("region_loss", f64::from(regional.into_scalar::<f32>())),
                ("ema_decay", decay),
            ],
        }
    }
}

/// What all passes of a step share.
struct Windows<'a> {
    presence: &'a [Presence],
    moment: &'a Moment,
}

impl Method for SkeleMixClr {
    fn draws(&self) -> Vec<Draw> {
        let config = &self.config.base;
        draws(&self.encoder, self.batch, &[&config.query, &config.key])
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let (input, presence) = moco::drawn(drawn);
        let mixes = self.mixes(presence, moment);
        let windows = Windows { presence, moment };
        Ok(self.loss_of(input(0), input(1), mixes, &windows))
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
