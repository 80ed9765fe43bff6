//! The networks of one stream.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::head::{Head, HeadConfig};
use tendon_model::norm::BatchNorm;
use tendon_model::pass::{Normalized, Pass, absorb};
use tendon_shared::pose::Presence;

/// What is trained.
#[derive(Module, Debug)]
pub(super) struct Online {
    pub(super) encoder: Encoder,
    projector: Head,
    predictor: Head,
}

/// Its moving average, which predicts nothing.
#[derive(Module, Debug)]
pub(super) struct Target {
    pub(super) encoder: Encoder,
    projector: Head,
}

impl Online {
    /// A new network; the same seed gives the same one.
    pub(super) fn new(
        encoder: &EncoderConfig,
        [projector, predictor]: [HeadConfig; 2],
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            encoder: encoder.init(seed, device)?,
            projector: projector.init(seed.wrapping_add(1), device),
            predictor: predictor.init(seed.wrapping_add(2), device),
        })
    }

    /// Predictions and features of windows in a training pass that moves the running averages.
    ///
    /// # Shapes
    /// `[window, body, channel, frame, joint] -> [window, projection], [window, dim]`
    pub(super) fn train(
        &mut self,
        x: Tensor<5>,
        presence: &[Presence],
        noise: ChaCha8Rng,
    ) -> (Tensor<2>, Tensor<2>) {
        let mut pass = Pass::train(noise);
        let features = self.encoder.embed(x, presence, &mut pass);
        let projection = self.projector.forward(features.clone(), &mut pass);
        let prediction = self.predictor.forward(projection, &mut pass);
        absorb(self, pass);
        (prediction, features)
    }
}

impl Target {
    /// A new network; the same seed gives the same one.
    pub(super) fn new(
        encoder: &EncoderConfig,
        [projector, _]: [HeadConfig; 2],
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            encoder: encoder.init(seed, device)?,
            projector: projector.init(seed.wrapping_add(1), device),
        })
    }

    /// Projections of windows; a training pass moves the running averages.
    ///
    /// # Shapes
    /// `[window, body, channel, frame, joint] -> [window, projection]`
    pub(super) fn project(
        &mut self,
        x: Tensor<5>,
        presence: &[Presence],
        mut pass: Pass,
    ) -> Tensor<2> {
        let features = self.encoder.embed(x, presence, &mut pass);
        let projection = self.projector.forward(features, &mut pass);
        absorb(self, pass);
        projection
    }
}

impl Normalized for Online {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = self.encoder.norms();
        norms.extend(self.projector.norms());
        norms.extend(self.predictor.norms());
        norms
    }
}

impl Normalized for Target {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = self.encoder.norms();
        norms.extend(self.projector.norms());
        norms
    }
}
