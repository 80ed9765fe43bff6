//! Published ways to adapt, one a file, as near to their recipes as one tail for all allows.
//!
//! All share the device's int8 trunk. Those that only look at features and answers ([`t3a`], [`lame`], [`label_propagation`]) take
//! the shipped encoder's own. Those that normalise or learn ([`bn`], [`tent`], [`cotta`], [`rotta`], [`rdumb`], [`oftta`]) run the float classifier's last two
//! blocks on the trunk's features ([`float`]), because the int8 blocks have their BatchNorm folded in. Softmax has temperature 1
//! here, as published; learning rates are those of the papers.

pub mod adam;
pub mod augment;
pub mod bn;
pub mod cotta;
pub mod float;
pub mod label_propagation;
pub mod lame;
pub mod memory;
pub mod oftta;
pub mod rdumb;
pub mod rotta;
mod supports;
pub mod t3a;
pub mod tent;
pub mod vector;

use super::material::Source;
use super::method::{Adapting, Facts, Said, Shown};
use super::plan::MethodKind;
use float::{FloatTail, Input};
use std::time::Duration;

/// A way to adapt the float tail.
pub trait Recipe {
    /// Probabilities of each window of a batch, and what there is to learn from it if `learn`.
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>>;
}

/// A recipe as a method: dequantises trunk features, leaves empty windows to the shipped answer, takes times.
pub struct Floating<'c> {
    recipe: Box<dyn Recipe + 'c>,
    scale: f32,
    shape: [usize; 3],
    clock: &'c dyn Fn() -> Duration,
    facts: Facts,
}

impl Adapting for Floating<'_> {
    fn answer(&mut self, windows: &[Shown<'_>], learn: bool) -> Result<Vec<Said>, String> {
        let there = |shown: &&Shown<'_>| !shown.window.trunk.values().is_empty();
        let trunks = windows.iter().filter(there);
        let trunks: Vec<&[i8]> = trunks.map(|shown| shown.window.trunk.values()).collect();
        let mut said = Vec::new().into_iter();
        if !trunks.is_empty() {
            let input = Input::dequantized(&trunks, self.shape, self.scale);
            let started = (self.clock)();
            said = self.recipe.answer(&input, learn).into_iter();
            if learn {
                let spent = (self.clock)().saturating_sub(started);
                self.facts.update_ms.push(spent.as_secs_f64() * 1_000.0);
            }
        }
        let answers = windows.iter().map(|shown| match there(&shown) {
            true => said
                .next()
                .map(|probabilities| Said::likeliest(&probabilities, true))
                .ok_or_else(|| "a window without an answer".to_owned()),
            false => Ok(Said::likeliest(&shown.window.base, false)),
        });
        answers.collect()
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}

/// A published method on a source; nothing for kinds that are none.
///
/// # Errors
/// In words: the source has no classifier, or one that is not an ST-GCN.
pub fn make<'c>(
    kind: MethodKind,
    source: &'c Source,
    seed: u64,
    clock: &'c dyn Fn() -> Duration,
) -> Result<Option<Box<dyn Adapting + 'c>>, String> {
    let bundle = &source.bundle;
    let encoder = bundle.encoder().map_err(|error| error.to_string())?;
    let spec = encoder.spec();
    let float = || -> Result<FloatTail, String> {
        let loaded = source.classifier.as_ref();
        FloatTail::new(loaded.ok_or("the source has no classifier")?)
    };
    let recipe: Box<dyn Recipe + 'c> = match kind {
        MethodKind::None | MethodKind::Ours | MethodKind::Oracle => return Ok(None),
        MethodKind::T3a => return Ok(Some(Box::new(t3a::T3a::new(&encoder.tail_weights())))),
        MethodKind::Lame => return Ok(Some(Box::new(lame::Lame))),
        MethodKind::LabelPropagation => {
            return Ok(Some(Box::new(label_propagation::Propagation::default())));
        }
        MethodKind::Bn => Box::new(bn::BatchStatistics::new(float()?)),
        MethodKind::BnEma => Box::new(bn::MovingStatistics::new(float()?)),
        MethodKind::Tent => Box::new(tent::Tent::new(float()?)),
        MethodKind::Cotta => Box::new(cotta::Cotta::new(float()?, seed)),
        MethodKind::Rotta => Box::new(rotta::Rotta::new(float()?, seed)),
        MethodKind::Rdumb => Box::new(rdumb::RDumb::new(float()?, rdumb::RESET)),
        MethodKind::Oftta => Box::new(oftta::Oftta::new(float()?)),
    };
    Ok(Some(Box::new(Floating {
        recipe,
        scale: encoder.trunk_scale(),
        shape: [spec.joints, spec.trunk_frames, spec.trunk_channels],
        clock,
        facts: Facts::default(),
    })))
}
