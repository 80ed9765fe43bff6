//! SkeleMoCLR's stage before the first: an encoder learns from a frozen vision-text model's embeddings.
//!
//! Windows go through encoder and a linear map into the teacher's space, where each must find the embedding of its class name,
//! or of its own recording, and the other way round. The map is thrown away; the encoder starts one of the later stages.
//! It uses labels, or captions, of all windows that it draws.
//!
//! # Source
//! Reconstructed: SkeleMoCLR's abstract names the transfer from a vision-text model, no text or code says how. The loss is CLIP's
//! (Radford et al., 2021).

mod config;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tendon_model::alignment::Alignment;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::norm::BatchNorm;
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{Values, collect, restore};
use tendon_model::pass::{Normalized, Pass, absorb};

use super::descent::Descent;
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, Pool, State, ViewSpec};
use crate::contrast::{paired_accuracy, paired_loss, spread};

pub use config::{Candidates, TransferConfig};

/// Purpose of [`Moment::noise`]: dropout.
const DROPOUT: u64 = 0;

/// What a frozen teacher says about a run's windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Lessons {
    /// Unit embeddings, no two the same: `[text, space]`.
    pub texts: Values,
    /// Each window's embedding; nothing for windows that are not drawn.
    pub of_window: Vec<Option<usize>>,
}

impl Lessons {
    /// Windows that have an embedding.
    pub fn windows(&self) -> Vec<usize> {
        let numbers = self.of_window.iter().enumerate();
        numbers
            .filter_map(|(number, text)| text.map(|_| number))
            .collect()
    }
}

/// What is trained.
#[derive(Module, Debug)]
struct Online {
    encoder: Encoder,
    alignment: Alignment,
}

impl Normalized for Online {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        self.encoder.norms()
    }
}

/// The method with its network.
pub struct Transfer {
    config: TransferConfig,
    encoder: EncoderConfig,
    batch: usize,
    /// `[text, space]`, unit rows.
    texts: Tensor<2>,
    of_window: Vec<Option<usize>>,
    online: Online,
    descent: Descent,
    device: Device,
}

impl Transfer {
    /// A new network; the same seed gives the same one.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: TransferConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        (lessons, batch): (&Lessons, usize),
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let training = device.clone().autodiff();
        let space = lessons.texts.shape[1];
        let texts = TensorData::new(lessons.texts.data.clone(), lessons.texts.shape.clone());
        let alignment = Alignment::new(
            encoder.dim,
            space,
            config.temperature,
            config.learn_temperature,
            seed.wrapping_add(1),
            &training,
        );
        let online = Online {
            encoder: encoder.init(seed, &training)?,
            alignment,
        };
        Ok(Self {
            texts: Tensor::from_data(texts, device),
            of_window: lessons.of_window.clone(),
            encoder: encoder.clone(),
            batch,
            online,
            descent: Descent::new(optimizer, device),
            device: device.clone(),
            config,
        })
    }

    /// Embeddings that a step's windows choose from, and the column of each window's own.
    fn candidates(&self, numbers: &[usize]) -> (Tensor<2>, Vec<usize>) {
        let own = |number: &usize| self.of_window[*number].unwrap_or_default();
        let rows: Vec<usize> = numbers.iter().map(own).collect();
        match self.config.candidates {
            Candidates::All => (self.texts.clone(), rows),
            Candidates::Step => {
                let there: std::collections::BTreeSet<usize> = rows.iter().copied().collect();
                let there: Vec<usize> = there.into_iter().collect();
                let place = |row: &usize| there.partition_point(|other| other < row);
                let columns = rows.iter().map(place).collect();
                let picked: Vec<i32> = there.iter().map(|row| *row as i32).collect();
                let picked = Tensor::from_data(TensorData::from(&picked[..]), &self.device);
                (self.texts.clone().select(0, picked), columns)
            }
        }
    }
}

impl Method for Transfer {
    fn draws(&self) -> Vec<Draw> {
        vec![Draw {
            pool: Pool::Labelled,
            count: self.batch,
            views: vec![ViewSpec {
                recipe: self.config.view.clone(),
                inputs: vec![self.encoder.streams.clone()],
                partner: false,
            }],
        }]
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let [drawn] = drawn else {
            unreachable!("the loop makes what draws() asks for")
        };
        let (texts, columns) = self.candidates(&drawn.numbers);
        let mut pass = Pass::train(moment.noise(DROPOUT));
        let x = Tensor::from_inner(drawn.views[0][0].clone());
        let features = self.online.encoder.embed(x, &drawn.presence, &mut pass);
        absorb(&mut self.online, pass);
        let alignment = &self.online.alignment;
        let unit = alignment.project(features);
        let logits = alignment.logits(unit.clone(), Tensor::from_inner(texts));
        let [_, space] = unit.dims();
        Ok(Loss {
            spread: (spread(unit), space),
            figures: vec![
                ("accuracy", paired_accuracy(&logits, &columns)),
                ("temperature", alignment.temperature()),
            ],
            value: paired_loss(logits, &columns),
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        let norm = self.descent.step(&mut self.online, gradients, rate);
        let alignment = self.online.alignment.clone();
        self.online.alignment = alignment.limited(self.config.least_temperature);
        norm
    }

    fn networks(&self) -> Vec<Network<'_>> {
        Network::only(&self.encoder, &self.online.encoder)
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
