//! PSP Learning: few labels, and at three scales of the skeleton a window's joints that find their own motion.
//!
//! One encoder and one classifier see joints and motion apart; their logits are added. Attention over the pyramid and projection
//! serve the contrast alone and are not written.
//!
//! # Source
//! PSP Learning's code. It does not say which windows share a batch for BatchNorm: `together`.

mod config;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig, pool};
use tendon_model::head::{Head, HeadConfig, unit_rows, xavier_classifier};
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{collect, restore};
use tendon_model::pass::{Pass, absorb};
use tendon_model::polymerised_attention::{LEVELS, PolymerisedAttention};
use tendon_shared::pose::Presence;
use tendon_shared::stream::Stream;

use super::descent::Descent;
use super::{
    Draw, Drawn, Loss, Material, Method, MethodError, Moment, Network, Pool, State, ViewSpec,
};
use crate::contrast::{cross_entropy, guesses, nt_xent, spread};

pub use config::PspConfig;

/// Streams, and views of each window.
const STREAMS: usize = 2;

/// What is trained.
#[derive(Module, Debug)]
struct Networks {
    encoder: Encoder,
    attention: PolymerisedAttention,
    /// Projects every level.
    head: Head,
    /// Judges either stream.
    classifier: Linear,
}

/// The method with its networks.
pub struct Psp {
    config: PspConfig,
    encoder: EncoderConfig,
    batch: usize,
    online: Networks,
    descent: Descent,
}

/// What comes out of the networks, of one stream after the other.
#[derive(Default)]
struct Seen {
    /// Embeddings of labelled windows, `[window, dim]`.
    labelled: Vec<Tensor<2>>,
    /// Unit projections of unlabelled windows on each level, `[window, dim]`.
    levels: [Vec<Tensor<2>>; LEVELS.len()],
}

impl Psp {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: PspConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        material: Material,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let trained = device.clone().autodiff();
        let (dim, topology) = (encoder.dim, encoder.topology.topology());
        let head = HeadConfig {
            input: dim,
            hidden: dim,
            output: dim,
            norm: false,
        };
        let seeds = |number| seed.wrapping_add(number);
        Ok(Self {
            online: Networks {
                encoder: encoder.init(seed, &trained)?,
                attention: PolymerisedAttention::new(dim, topology, seeds(1), &trained),
                head: head.init_xavier(seeds(2), &trained),
                classifier: xavier_classifier(dim, material.classes, seeds(3), &trained),
            },
            descent: Descent::new(optimizer, device),
            encoder: encoder.clone(),
            batch: material.batch,
            config,
        })
    }

    /// Runs some streams of all windows as one batch; running averages move.
    fn pass(
        &mut self,
        drawn: [&Drawn; 2],
        streams: &[usize],
        noise: u64,
        moment: &Moment,
        seen: &mut Seen,
    ) {
        let Networks {
            encoder,
            attention,
            head,
            ..
        } = &mut self.online;
        let [labelled, unlabelled] = drawn.map(|drawn| {
            let (x, presence) = joined(drawn, streams);
            encoder.fold(Tensor::from_inner(x), &presence)
        });
        let (known, all) = (
            labelled.0.dims()[0],
            labelled.0.dims()[0] + unlabelled.0.dims()[0],
        );
        let rows = Tensor::cat(vec![labelled.0, unlabelled.0], 0);
        let mut pass = Pass::train(moment.noise(noise));
        let features = encoder.features(rows, &mut pass);
        absorb(encoder, pass);
        let own = features.clone().narrow(0, 0, known);
        seen.labelled.push(labelled.1.mean(pool(own)));

        let mut pass = Pass::train(moment.noise(noise));
        let levels = attention.forward(features.narrow(0, known, all - known), &mut pass);
        absorb(attention, pass);
        for (projections, level) in seen.levels.iter_mut().zip(levels) {
            let embedding = unlabelled.1.mean(pool(level));
            // Without BatchNorm and dropout in the head, any pass is the same.
            let projection = head.forward(embedding, &mut Pass::Infer);
            projections.push(unit_rows(projection));
        }
    }
}

/// Some streams of a draw's windows, one after the other.
fn joined(drawn: &Drawn, streams: &[usize]) -> (Tensor<5>, Vec<Presence>) {
    let windows = streams.iter().map(|stream| drawn.views[*stream][0].clone());
    let presence = streams.iter().flat_map(|_| drawn.presence.clone());
    (Tensor::cat(windows.collect(), 0), presence.collect())
}

/// The classifier whose logits for a mean of embeddings are the sum of the logits for each.
fn summed(classifier: &Linear) -> Linear {
    let times = STREAMS as f64;
    let Linear { weight, bias } = classifier.valid();
    Linear {
        weight: weight.map(|weight| weight * times),
        bias: bias.map(|bias| bias.map(|bias| bias * times)),
    }
}

impl Method for Psp {
    fn draws(&self) -> Vec<Draw> {
        let view = |stream: &Stream| ViewSpec {
            recipe: self.config.view.clone(),
            inputs: vec![vec![*stream]],
            partner: false,
        };
        let views: Vec<ViewSpec> = self.encoder.streams.iter().map(view).collect();
        let draw = |pool, count| Draw {
            pool,
            count,
            views: views.clone(),
        };
        vec![
            draw(Pool::Labelled, self.config.labelled),
            draw(Pool::Unlabelled, self.batch),
        ]
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let [labelled, unlabelled] = drawn else {
            unreachable!("the loop makes what draws() asks for")
        };
        let drawn = [labelled, unlabelled];
        let mut seen = Seen::default();
        if self.config.together {
            self.pass(drawn, &[0, 1], 0, moment, &mut seen);
        } else {
            self.pass(drawn, &[0], 0, moment, &mut seen);
            self.pass(drawn, &[1], 1, moment, &mut seen);
        }

        let labels = &labelled.labels;
        let known = labels.len();
        let scores = self
            .online
            .classifier
            .forward(Tensor::cat(seen.labelled, 0));
        let logits = scores.clone().narrow(0, 0, known) + scores.narrow(0, known, known);
        let truth: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
        let truth = Tensor::from_data(TensorData::new(truth, [known]), &logits.device());
        let supervised = cross_entropy(logits.clone(), truth);
        let right = guesses(logits).into_iter().zip(labels);
        let right = right
            .filter(|(guess, label)| guess.class == **label)
            .count();

        let levels = seen.levels.map(|level| Tensor::cat(level, 0));
        let found = levels
            .clone()
            .map(|level| nt_xent(level, self.config.temperature));
        let [_, _, (_, accuracy)] = &found;
        let number = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
        let mut figures = vec![
            ("labelled_loss", number(&supervised)),
            ("labelled_accuracy", right as f64 / known as f64),
            ("accuracy", *accuracy),
        ];
        let names = ["body_contrast", "part_contrast", "joint_contrast"];
        let losses = found.map(|(loss, _)| loss);
        figures.extend(names.into_iter().zip(losses.iter().map(number)));
        let contrast = losses
            .into_iter()
            .fold(Tensor::zeros([1], &supervised.device()), Tensor::add);
        let [_, _, joint] = levels;
        Ok(Loss {
            value: supervised + contrast * self.config.contrast_weight,
            spread: (spread(joint), self.encoder.dim),
            figures,
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        self.descent.step(&mut self.online, gradients, rate)
    }

    /// First both streams, then the first one alone, which is an ordinary encoder.
    fn networks(&self) -> Vec<Network<'_>> {
        let network = |name, streams: &[Stream]| Network {
            name,
            streams: streams.to_vec(),
            encoder: &self.online.encoder,
        };
        let streams = &self.encoder.streams;
        let mut networks = vec![network("", streams)];
        networks.extend(
            streams
                .first()
                .map(|first| network(first.name(), &[*first])),
        );
        networks
    }

    fn classifiers(&self) -> Vec<Linear> {
        let classifier = &self.online.classifier;
        vec![summed(classifier), classifier.clone()]
    }

    fn encoders(&mut self) -> Vec<&mut Encoder> {
        vec![&mut self.online.encoder]
    }

    fn state(&self) -> State {
        let mut state = State::default();
        state.insert("online", collect(&self.online));
        self.descent.store(&mut state);
        state
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.online = restore(self.online.clone(), &state.below("online"))?;
        self.descent.restore(state)
    }
}

#[cfg(test)]
mod tests;
