//! Brings poses to what the encoder knows, before it sees them: a camera that hangs otherwise is levelled, a noisy sensor is
//! steadied, a person of another build is given limbs of the usual length.
//!
//! Nothing is learnt: each correction follows from a median over recent windows and from the [`Reference`] that the bundle carries,
//! has a dead zone in which it does nothing at all, and ends where it is no longer believable. Aligned poses are answered only
//! while they look more like training windows than the plain ones do, or tell much more ([`Proof`]); otherwise the plain ones are.
//!
//! # Source
//! Reconstructed from measurements, not from a paper: of a tilted, noisy or differently built stream's lost accuracy, adapting
//! weights or statistics brings back a little, correcting the cause nearly all (`docs/adaptation.md`).

pub mod config;
mod level;
mod limbs;
pub mod measure;
mod proof;
mod reference;
mod steady;

pub use config::AlignConfig;
pub use proof::{Look, Proof};
pub use reference::{Measured, Reference};

use level::Level;
use limbs::Limbs;
use steady::Steady;
use tendon_shared::topology::Topology;

/// What was corrected in a clip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Corrected {
    /// The camera's tilt and roll.
    pub level: bool,
    /// The person's build.
    pub limbs: bool,
    /// The sensor's noise.
    pub steady: bool,
}

impl Corrected {
    /// Whether anything was.
    #[must_use]
    pub fn any(self) -> bool {
        self.level || self.limbs || self.steady
    }
}

/// Everything that is known of one home's camera, sensor and people.
#[derive(Debug, Clone)]
pub struct Aligner {
    config: AlignConfig,
    topology: &'static Topology,
    reference: Reference,
    level: Level,
    limbs: Limbs,
    steady: Steady,
}

impl Aligner {
    /// An aligner that has seen nothing.
    #[must_use]
    pub fn new(config: AlignConfig, topology: &'static Topology, reference: Reference) -> Self {
        Self {
            config,
            topology,
            reference,
            level: Level::default(),
            limbs: Limbs::default(),
            steady: Steady::default(),
        }
    }

    /// Forgets camera, sensor and people.
    pub fn forget(&mut self) {
        self.level = Level::default();
        self.limbs = Limbs::default();
        self.steady = Steady::default();
    }

    /// Learns from a clip of `track` and corrects it. `poses` are `[frame, joint, 3]`, frames lie `spacing_ms` milliseconds apart.
    pub fn align(&mut self, track: u64, spacing_ms: f32, poses: &mut [f32]) -> Corrected {
        let mut corrected = Corrected::default();
        let (config, topology) = (&self.config, self.topology);
        let jitter = measure::jitter(topology, poses, spacing_ms);
        if let Some(jitter) = jitter {
            self.steady.see(jitter);
        }
        let known = self.reference.jitter;
        if let Some(width) = self.steady.width(&config.steady, known, jitter) {
            steady::smooth(topology, poses, spacing_ms, width);
            corrected.steady = true;
        }
        if let Some(direction) = measure::upright(topology, poses) {
            self.level.see(direction);
        }
        if let Some(rotation) = self.level.rotation(&config.level, self.reference.upright) {
            level::turn(&rotation, poses);
            corrected.level = true;
        }
        if let Some(lengths) = measure::limbs(topology, poses) {
            let own = self.limbs.see(track, lengths);
            if let Some(factors) =
                limbs::factors(&config.limbs, topology, &own, &self.reference.limbs)
            {
                limbs::stretch(topology, &factors, poses);
                corrected.limbs = true;
            }
        }
        corrected
    }
}

#[cfg(test)]
pub(crate) mod tests;
