//! CMCS: two networks that learn by agreeing and by leaving their own past, then by what several streams agree on.
//!
//! One file for three objectives that build on each other: SkeletonBYOL, CMAL, and CSCL, whose second stage has streams vote
//! about which windows belong together. Each stream has a network, heads and a moving average of its own; one optimiser
//! moves all.
//!
//! # Source
//! Liu et al., "Cross-Model Cross-Stream Learning for Self-Supervised Human Action Recognition", and its public code for CMAL
//! and CSCL; SkeletonBYOL is BYOL on the same networks, its loop is not public. Differences: the average really starts as a copy; it goes on moving in
//! the second stage unless [`Objective::Cscl`] freezes it, as the released loop does; heads are the streams' own;
//! votes may take the opposites of predictions (`opposite`), because CMAL as published draws each prediction to the opposite of its target.

mod config;
mod network;

use burn::tensor::{Device, Gradients, Tensor};
use tendon_model::augment::Recipe;
use tendon_model::ema::{Ema, TargetNorm, warmed_decay};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{collect, restore};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;

use super::descent::Descent;
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, Pool, State, ViewSpec};
use crate::contrast::{Pair, spread, vote, vote_loss};

pub use config::{CmcsConfig, Objective};
use network::{Online, Target};

/// The method with its networks, one of each a stream.
pub struct Cmcs {
    config: CmcsConfig,
    /// Stacked streams of each network.
    inputs: Vec<Vec<Stream>>,
    batch: usize,
    online: Vec<Online>,
    target: Vec<Target>,
    /// How the targets move after the step whose loss was computed last; nothing leaves them where they are.
    ema: Option<Ema>,
    descent: Descent,
}

impl Cmcs {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: CmcsConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let inputs = config.inputs(&encoder.streams);
        let encoder = |streams: &Vec<Stream>| EncoderConfig {
            streams: streams.clone(),
            ..encoder.clone()
        };
        let training = device.clone().autodiff();
        // Three seeds a network: encoder, projector, predictor.
        let seeds = (0..).map(|number: u64| seed.wrapping_add(3 * number));
        let online = inputs.iter().zip(seeds.clone()).map(|(streams, seed)| {
            Online::new(
                &encoder(streams),
                config.heads(encoder(streams).dim),
                seed,
                &training,
            )
        });
        let online = online.collect::<Result<Vec<_>, _>>()?;
        let target = inputs.iter().zip(seeds).map(|(streams, seed)| {
            Target::new(
                &encoder(streams),
                config.heads(encoder(streams).dim),
                seed,
                device,
            )
        });
        // The copy comes after every initialisation: published code re-draws the target afterwards.
        let copy = Ema {
            decay: 0.0,
            norm: TargetNorm::Copy,
        };
        let target = copy.update(&online, target.collect::<Result<Vec<_>, _>>()?);
        Ok(Self {
            config,
            inputs,
            batch,
            online,
            target,
            ema: None,
            descent: Descent::new(optimizer, device),
        })
    }

    /// Predictions and targets of one stream; also how far its features are spread.
    fn pair(&mut self, stream: usize, drawn: &Drawn, moment: &Moment) -> (Pair, f64) {
        let presence: &[Presence] = &drawn.presence;
        let input = |view: usize| drawn.views[view][stream].clone();
        // Two purposes a view and stream: dropout of the trained network and of its average.
        let noise = |view: usize, of: usize| moment.noise((4 * stream + 2 * view + of) as u64);
        let ema = self.config.ema(self.config.ema_decay);
        let (online, target) = (&mut self.online[stream], &mut self.target[stream]);
        let passes = [0, 1]
            .map(|view| online.train(Tensor::from_inner(input(view)), presence, noise(view, 0)));
        let features = spread(tendon_model::head::unit_rows(passes[0].1.clone()));
        let targets = [0, 1].map(|view| {
            let pass = ema.target_pass(noise(view, 1));
            Tensor::from_inner(target.project(input(view), presence, pass))
        });
        let pair = Pair {
            predictions: passes.map(|(prediction, _)| prediction),
            targets,
        };
        (pair, features)
    }
}

/// The lowest spread of all predictions and targets: one stream that collapses is enough to stop a run.
fn lowest_spread(pairs: &[Pair]) -> f64 {
    let all = |pair: &Pair| {
        let tensors = pair.predictions.iter().chain(&pair.targets).cloned();
        let spread = |tensor| spread(tendon_model::head::unit_rows(tensor));
        tensors.map(spread).collect::<Vec<_>>()
    };
    pairs.iter().flat_map(all).fold(f64::INFINITY, f64::min)
}

impl Method for Cmcs {
    fn draws(&self) -> Vec<Draw> {
        let view = |(number, recipe): (usize, &Recipe)| ViewSpec {
            recipe: recipe.clone(),
            inputs: self.inputs.clone(),
            partner: number == 1,
        };
        vec![Draw {
            pool: Pool::Unlabelled,
            count: self.batch,
            views: self.config.views.iter().enumerate().map(view).collect(),
        }]
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let [drawn] = drawn else {
            unreachable!("the loop makes what draws() asks for")
        };
        let (pairs, features): (Vec<Pair>, Vec<f64>) = (0..self.inputs.len())
            .map(|stream| self.pair(stream, drawn, moment))
            .unzip();
        let objective = self.config.objective;
        let single = |pair: &Pair| match objective {
            Objective::Byol => pair.byol(),
            Objective::Cmal { push } | Objective::Cscl { push, .. } => pair.cmal(push),
        };
        let zero = Tensor::zeros([1], &pairs[0].predictions[0].device());
        let sum = |losses: Vec<Tensor<1>>| losses.into_iter().fold(zero.clone(), Tensor::add);
        let mut value = sum(pairs.iter().map(single).collect());
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let mut figures = vec![
            (
                "own_cosine",
                mean(pairs.iter().map(Pair::own_cosine).collect()),
            ),
            (
                "feature_spread",
                features.into_iter().fold(f64::INFINITY, f64::min),
            ),
        ];

        let decay = match self.config.ema_warmup {
            true => warmed_decay(moment.step, self.config.ema_decay),
            false => self.config.ema_decay,
        };
        self.ema = Some(self.config.ema(decay));
        if let Objective::Cscl {
            from_epoch,
            weight,
            neighbours,
            votes,
            opposite,
            freeze_target,
            ..
        } = objective
            && moment.epoch >= from_epoch
        {
            let across = |pair: &Pair| pair.across(opposite);
            let across: Vec<[Tensor<2>; 2]> = pairs.iter().map(across).collect();
            let labels = vote(&across, neighbours, votes);
            let rows = labels.dims()[0] as f64;
            let agreed = f64::from(labels.clone().sum().into_scalar::<f32>()) / rows - 1.0;
            let labels = Tensor::from_inner(labels);
            let matched = sum(across
                .into_iter()
                .flatten()
                .map(|similarity| vote_loss(similarity, labels.clone()))
                .collect());
            figures.push(("agreed_neighbours", agreed));
            value = value + matched * weight;
            if freeze_target {
                self.ema = None;
            }
        }
        figures.push(("ema_decay", self.ema.map_or(1.0, |ema| ema.decay)));
        Ok(Loss {
            value,
            spread: (lowest_spread(&pairs), self.config.projection),
            figures,
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        let norm = self.descent.step(&mut self.online, gradients, rate);
        if let Some(ema) = self.ema.take() {
            self.target = ema.update(&self.online, self.target.clone());
        }
        norm
    }

    fn networks(&self) -> Vec<Network<'_>> {
        let name = |streams: &[Stream]| match (self.inputs.len(), streams) {
            (2.., [stream]) => stream.name(),
            _ => "",
        };
        let networks = self.inputs.iter().zip(&self.online);
        networks
            .map(|(streams, online)| Network {
                name: name(streams),
                streams: streams.clone(),
                encoder: &online.encoder,
            })
            .collect()
    }

    fn encoders(&mut self) -> Vec<&mut Encoder> {
        let online = self.online.iter_mut().map(|online| &mut online.encoder);
        let target = self.target.iter_mut().map(|target| &mut target.encoder);
        online.chain(target).collect()
    }

    fn state(&self) -> State {
        let mut state = State::default();
        state.insert("online", collect(&self.online));
        state.insert("target", collect(&self.target));
        self.descent.store(&mut state);
        state
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.online = restore(self.online.clone(), &state.below("online"))?;
        self.target = restore(self.target.clone(), &state.below("target"))?;
        self.descent.restore(state)
    }
}

#[cfg(test)]
mod tests;
