//! The network of MsMCLR: an encoder whose features are gated by motion attention at several scales, with a head for the whole
//! and one for each scale.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use tendon_model::augment::random::generator;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig, pool};
use tendon_model::head::Head;
use tendon_model::motion_attention::MotionAttention;
use tendon_model::pass::{Pass, absorb};
use tendon_model::pyramid::Groups;
use tendon_shared::pose::Presence;

use super::MsMclrConfig;
use crate::contrast::attention_drop;
use crate::method::moco;

/// Encoder, attention, heads.
#[derive(Module, Debug)]
pub(super) struct ScaledBranch {
    pub(super) encoder: Encoder,
    attention: Vec<MotionAttention>,
    head: Head,
    heads: Vec<Head>,
}

/// Which projections of a view are wanted.
#[derive(Default)]
pub(super) struct Wanted {
    /// Also of the whole without what stands out, from this attention on.
    pub(super) dropped: Option<f64>,
    /// Also of each scale.
    pub(super) scales: bool,
}

/// Unit projections of a view, `[batch, projection]` each.
pub(super) struct Projections {
    /// Of the features under all gates together.
    pub(super) whole: Tensor<2>,
    /// The same without what stands out.
    pub(super) dropped: Option<Tensor<2>>,
    /// Of each scale's groups under its own gate.
    pub(super) scales: Vec<Tensor<2>>,
}

impl ScaledBranch {
    /// A new branch; the same seed gives the same one, and encoder and first head are those of the other methods.
    pub(super) fn new(
        encoder: &EncoderConfig,
        config: &MsMclrConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let head = moco::head(encoder, &config.aim.base);
        let scales = config.scales.len() as u64;
        let seeds = |from: u64| (from..from + scales).map(|number| seed.wrapping_add(number));
        let attention = config.attention.iter().flat_map(|attention| {
            seeds(2 + scales).map(|seed| attention.init(encoder.dim, seed, device))
        });
        Ok(Self {
            encoder: encoder.init(seed, device)?,
            attention: attention.collect(),
            head: head.init(seed.wrapping_add(1), device),
            heads: seeds(2).map(|seed| head.init(seed, device)).collect(),
        })
    }

    /// Projections of windows; a training pass moves the running averages of every part that it reaches.
    pub(super) fn run(
        &mut self,
        x: Tensor<5>,
        presence: &[Presence],
        mut pass: Pass,
        scales: &[Groups],
        wanted: &Wanted,
    ) -> Projections {
        let again = Again::of(&pass);
        let (rows, bodies) = self.encoder.fold(x, presence);
        let features = self.encoder.features(rows, &mut pass);
        absorb(&mut self.encoder, pass);

        let gates: Vec<Tensor<4>> = self
            .attention
            .iter_mut()
            .zip(scales)
            .map(|(attention, groups)| {
                let mut pass = again.pass();
                let gate = attention.forward(groups.pool(features.clone()), &mut pass);
                absorb(attention, pass);
                groups.spread(gate)
            })
            .collect();
        let count = gates.len() as f64;
        let all = gates.iter().cloned().reduce(|sum, gate| sum + gate);
        let whole = gated(&features, all.map(|sum| sum / count));
        let project = |head: &mut Head, features| {
            let embedding = bodies.mean(pool(features));
            moco::run_head(head, embedding, again.pass())
        };
        let dropped = wanted
            .dropped
            .map(|keep| attention_drop(whole.clone(), keep));
        let whole = project(&mut self.head, whole);
        let dropped = dropped.map(|features| project(&mut self.head, features));
        let scales = match wanted.scales {
            false => Vec::new(),
            true => (0..)
                .zip(self.heads.iter_mut().zip(scales))
                .map(|(scale, (head, groups))| {
                    let own = gated(&features, gates.get(scale).cloned());
                    project(head, groups.pool(own))
                })
                .collect(),
        };
        Projections {
            whole,
            dropped,
            scales,
        }
    }
}

/// Features times one and their gate.
fn gated(features: &Tensor<4>, gate: Option<Tensor<4>>) -> Tensor<4> {
    match gate {
        Some(gate) => features.clone() * (gate + 1.0),
        None => features.clone(),
    }
}

/// What further parts of a network do when the encoder has run in a pass: they have no dropout, so only the kind counts.
enum Again {
    Train,
    Infer,
}

impl Again {
    fn of(pass: &Pass) -> Self {
        match pass {
            Pass::Train(_) => Self::Train,
            Pass::Infer => Self::Infer,
        }
    }

    fn pass(&self) -> Pass {
        match self {
            Self::Train => Pass::train(generator(0, 0, 0, 0)),
            Self::Infer => Pass::Infer,
        }
    }
}
