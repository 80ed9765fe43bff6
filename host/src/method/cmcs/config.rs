//! Constants of CMCS.

use serde::{Deserialize, Serialize};
use tendon_model::augment::Recipe;
use tendon_model::ema::{Ema, TargetNorm};
use tendon_model::head::HeadConfig;
use tendon_shared::stream::Stream;

use crate::method::range::{RangeError, check};

/// Constants of CMCS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmcsConfig {
    /// What is to be learnt.
    pub objective: Objective,
    /// A network for each of the encoder's streams; otherwise one network with all of them stacked.
    pub apart: bool,
    /// Units of projector and predictor between their layers.
    pub hidden: usize,
    /// Dimensions of projections and predictions.
    pub projection: usize,
    /// Weight of the target's old value in each step.
    pub ema_decay: f64,
    /// Starts with decay 0 and rises as `1 - 1 / (step + 1)`, for runs too short for the full decay.
    pub ema_warmup: bool,
    /// What the target does about BatchNorm.
    pub target_norm: TargetNorm,
    /// How both views are made.
    pub views: [Recipe; 2],
}

/// What is to be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Objective {
    /// SkeletonBYOL: each view's prediction meets the target of the other view.
    Byol,
    /// CMAL: the views' predictions meet and leave the targets of their own views.
    Cmal {
        /// Weight of leaving.
        push: f64,
    },
    /// CSCL: CMAL, and from some epoch on streams vote about which windows belong together.
    Cscl {
        /// Weight of leaving.
        push: f64,
        /// First epoch with votes.
        from_epoch: u64,
        /// Weight of the votes' loss.
        weight: f64,
        /// Most similar windows that a stream names for each window.
        neighbours: usize,
        /// Streams that must agree.
        votes: usize,
        /// Votes, and what follows them, take the opposites of predictions: CMAL has drawn predictions there. The released code takes
        /// predictions themselves, so a stream first votes for the least similar windows and then turns round.
        opposite: bool,
        /// Leaves the targets where they are while streams vote, as in the released loop.
        freeze_target: bool,
    },
}

impl CmcsConfig {
    /// Checks every number, for an encoder with so many streams.
    ///
    /// # Errors
    /// Names the first one out of range.
    pub fn validate(&self, streams: usize) -> Result<(), RangeError> {
        check(
            self.hidden >= 1,
            "method.hidden",
            &self.hidden,
            "at least 1",
        )?;
        check(
            self.projection >= 1,
            "method.projection",
            &self.projection,
            "at least 1",
        )?;
        check(
            (0.0..=1.0).contains(&self.ema_decay),
            "method.ema_decay",
            &self.ema_decay,
            "0 to 1",
        )?;
        let push = |push: f64| check(push >= 0.0, "method.objective.push", &push, "at least 0");
        let Objective::Cscl {
            push: weight_of_leaving,
            weight,
            neighbours,
            votes,
            ..
        } = self.objective
        else {
            return match self.objective {
                Objective::Cmal { push: weight } => push(weight),
                _ => Ok(()),
            };
        };
        push(weight_of_leaving)?;
        check(
            weight >= 0.0,
            "method.objective.weight",
            &weight,
            "at least 0",
        )?;
        check(
            neighbours >= 1,
            "method.objective.neighbours",
            &neighbours,
            "at least 1",
        )?;
        let networks = if self.apart { streams } else { 1 };
        check(
            (1..=networks).contains(&votes),
            "method.objective.votes",
            &votes,
            "at least 1 and at most the number of networks: streams if `apart`, otherwise 1",
        )
    }

    /// Stacked streams of each network.
    pub(super) fn inputs(&self, streams: &[Stream]) -> Vec<Vec<Stream>> {
        match self.apart {
            true => streams.iter().map(|stream| vec![*stream]).collect(),
            false => vec![streams.to_vec()],
        }
    }

    /// Projector and predictor of an encoder with so many features.
    pub(super) fn heads(&self, dim: usize) -> [HeadConfig; 2] {
        [dim, self.projection].map(|input| HeadConfig {
            input,
            hidden: self.hidden,
            output: self.projection,
            norm: true,
        })
    }

    /// How targets move with a decay.
    pub(super) fn ema(&self, decay: f64) -> Ema {
        Ema {
            decay,
            norm: self.target_norm,
        }
    }
}
