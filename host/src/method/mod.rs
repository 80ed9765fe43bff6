//! What a pretraining method is: how it asks for views, makes a loss of them and moves its networks.
//!
//! A method never reads a file and never augments: [`Method::draws`] says which windows in which views a step
//! needs, the loop (`pretrain`) makes them, [`Method::loss`] turns them into one number and [`Method::learn`]
//! moves the networks. Everything random comes from counters in [`Moment`]; everything a resumed run needs is in [`State`].
//!
//! What the methods ask of this seam:
//! - **SkeleMixCLR**: one draw, views query and key (normal recipe, T = 64). The mixing partner, parts and
//!   frames come from `Moment::noise`, the paste and the mask pooling from `Encoder::fold` and `features`; the head runs
//!   twice, each time in a pass of its own, so its BatchNorm sees two batches. Queue and target as in the base.
//! - **CMCS**: one draw, two views, three inputs each (joint, motion, bone); `networks` lists three encoders with their own heads,
//!   predictors and targets, one optimiser moves them all. The second stage starts by `Moment::epoch`, its
//!   frozen target is a flag; the EMA after the optimiser's step belongs in `learn`. No queue: `State` has no fixed fields.
//! - **PSP**: two draws, 9 labelled and 90 unlabelled windows; two views (independent temporal draws), view 0 as joints,
//!   view 1 as motion; both go through one shared encoder (`EncoderConfig::shared_streams`). Attention and MLP are dropped at the
//!   end: `networks` does not list them. Its encoder is the second kind of [`Encoder`]. No target at all.
//! - **AimCLR, MsMCLR**: one draw, views query, key (normal) and strong (extreme recipe); MsMCLR's attention acts on the unpooled
//!   features, and it has a head for the whole and one for each scale; weights, scales and switches are its own configuration.
//! - **SkeleMoCLR**: labelled and unlabelled draws, views weak and strong; classifier beside the encoder with another learning rate
//!   (`OptimizerConfig` is the method's own, so it may keep two optimisers in `learn` and in `State`); labels of
//!   queue entries are a second ring in `State::numbers`; `networks` lists student and teacher, so the monitor reports both. Its stage before
//!   the first ([`Transfer`]) has no teacher network: the run hands the teacher's embeddings over, `Drawn::numbers` says whose are asked for.

mod aimclr;
mod cmcs;
mod descent;
mod moco;
mod msmclr;
mod psp;
mod range;
mod skelemixclr;
mod skelemoclr;
mod skeletonclr;
#[cfg(test)]
mod testing;
mod transfer;

use burn::nn::Linear;
use burn::tensor::{Gradients, Tensor};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tendon_model::augment::Recipe;
use tendon_model::augment::random::generator;
use tendon_model::encoder::{Encoder, EncoderConfig};
use tendon_model::parameters::{Named, RestoreError};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;

pub use aimclr::{AimClr, AimClrConfig};
pub use cmcs::{Cmcs, CmcsConfig, Objective};
pub use msmclr::{MsMclr, MsMclrConfig};
pub use psp::{Psp, PspConfig};
pub use range::{RangeError, check};
pub use skelemixclr::{SkeleMixClr, SkeleMixClrConfig};
pub use skelemoclr::{ClassRule, Material, SkeleMoClr, SkeleMoClrConfig, Statistics};
pub use skeletonclr::{SkeletonClr, SkeletonClrConfig};
pub use transfer::{Candidates, Lessons, Transfer, TransferConfig};

use crate::contrast::{Collapse, QueueError};

/// Which windows a draw takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Windows whose labels are hidden.
    Unlabelled,
    /// Windows whose labels may be used.
    Labelled,
}

/// One augmented version of each window of a draw.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewSpec {
    /// How it is made.
    pub recipe: Recipe,
    /// Stacked streams, one list for each input wanted: the view is made once, the streams are derived from it.
    pub inputs: Vec<Vec<Stream>>,
    /// A partner may stand in for the window, if the run has any ([`crate::pretrain::partners`]).
    pub partner: bool,
}

/// Windows that one step needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// Where they come from.
    pub pool: Pool,
    /// How many.
    pub count: usize,
    /// In which views.
    pub views: Vec<ViewSpec>,
}

/// The windows of one draw.
pub struct Drawn {
    /// `[view][input]`: `[window, body, channel, frame, joint]`, off the autodiff graph.
    pub views: Vec<Vec<Tensor<5>>>,
    /// Which bodies are there, one a window.
    pub presence: Vec<Presence>,
    /// Class of each window; empty for an unlabelled draw.
    pub labels: Vec<u16>,
    /// Which of the run's windows these are.
    pub numbers: Vec<usize>,
}

/// When a step happens, and its random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seed of the run.
    pub seed: u64,
    /// Pass over the data, from 0.
    pub epoch: u64,
    /// Step, from 0 over the whole run.
    pub step: u64,
}

impl Moment {
    /// A generator of its own for each `purpose` at each step.
    pub fn noise(&self, purpose: u64) -> ChaCha8Rng {
        // Views count samples in this place, so the step's purposes start from the far end.
        generator(self.seed, self.step, u64::MAX, purpose)
    }
}

/// The loss of one step.
pub struct Loss {
    /// What is to become smaller.
    pub value: Tensor<1>,
    /// Standard deviation of unit embeddings, and their dimensions: see [`crate::contrast::spread`].
    pub spread: (f64, usize),
    /// Further figures for the log, by name.
    pub figures: Vec<(&'static str, f64)>,
}

/// An encoder that a method trains.
pub struct Network<'a> {
    /// Its name in file names; empty for the only one.
    pub name: &'static str,
    /// Streams that its input stacks.
    pub streams: Vec<Stream>,
    /// The encoder.
    pub encoder: &'a Encoder,
}

impl<'a> Network<'a> {
    /// The only encoder of a method.
    fn only(config: &EncoderConfig, encoder: &'a Encoder) -> Vec<Self> {
        vec![Self {
            name: "",
            streams: config.streams.clone(),
            encoder,
        }]
    }
}

/// Everything that a resumed run needs besides its configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Tensors by name.
    pub tensors: Named,
    /// Whole numbers by name.
    pub numbers: BTreeMap<String, u64>,
}

impl State {
    /// Adds tensors under a prefix.
    pub fn insert(&mut self, prefix: &str, tensors: Named) {
        self.tensors.extend(
            tensors
                .into_iter()
                .map(|(name, values)| (format!("{prefix}.{name}"), values)),
        );
    }

    /// Tensors below a prefix.
    pub fn below(&self, prefix: &str) -> Named {
        let strip = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_string());
        self.tensors
            .iter()
            .filter_map(|(name, values)| Some((strip(name)?, values.clone())))
            .collect()
    }

    /// A number by name.
    ///
    /// # Errors
    /// There is none.
    pub fn number(&self, name: &str) -> Result<u64, MethodError> {
        let missing = || RestoreError::Missing {
            name: name.to_string(),
        };
        Ok(*self.numbers.get(name).ok_or_else(missing)?)
    }
}

/// Why a method cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// The stored state does not fit the configuration.
    #[error("the checkpoint does not fit: {0}")]
    Restore(#[from] RestoreError),
    /// The stored queue does not fit the configuration.
    #[error("the checkpoint does not fit: {0}")]
    Queue(#[from] QueueError),
    /// Training has collapsed.
    #[error(transparent)]
    Collapse(#[from] Collapse),
}

/// A pretraining method with its networks.
pub trait Method {
    /// The windows and views of every step.
    fn draws(&self) -> Vec<Draw>;

    /// The loss of one step; may move targets and queues, not the trained networks.
    ///
    /// # Errors
    /// Training cannot go on.
    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError>;

    /// Moves the trained networks along the gradients; returns the gradients' norm.
    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64;

    /// The encoders worth evaluating and writing.
    fn networks(&self) -> Vec<Network<'_>>;

    /// Classifiers on the encoders of [`Self::networks`], in the same order; none if the method knows no classes.
    fn classifiers(&self) -> Vec<Linear> {
        Vec::new()
    }

    /// Every encoder that runs on a step's windows, trained or not: the loop may have several devices share its rows (see
    /// [`Encoder::share`]). All else stays on the first device, with the whole batch. A method that names none runs on one
    /// device only.
    fn encoders(&mut self) -> Vec<&mut Encoder> {
        Vec::new()
    }

    /// What has to be stored.
    fn state(&self) -> State;

    /// Goes on from a stored state.
    ///
    /// # Errors
    /// The state belongs to another configuration; the method is unusable then.
    fn restore(&mut self, state: &State) -> Result<(), MethodError>;
}
