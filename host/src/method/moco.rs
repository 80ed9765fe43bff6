//! What all MoCo-type methods share: a trained network, its moving average, the queue of that one's keys.
//!
//! The methods differ in what they compute of these; none of them copies this. The key network starts as a copy made after
//! every initialisation (published code re-draws it afterwards), and the queue may have any size.

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use rand_chacha::ChaCha8Rng;
use tendon_model::augment::Recipe;
use tendon_model::augment::random::generator;
use tendon_model::bodies::Bodies;
use tendon_model::ema::{Ema, TargetNorm, warmed_decay};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::head::{Head, HeadConfig, unit_rows};
use tendon_model::norm::BatchNorm;
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{collect, restore};
use tendon_model::pass::{Normalized, Pass, absorb};
use tendon_shared::pose::Presence;

use super::descent::Descent;
use super::{Draw, Drawn, MethodError, Moment, Pool, SkeletonClrConfig, State, ViewSpec};
use crate::contrast::Queue;

/// Purposes of [`Moment::noise`]: dropout of the query's and of the key's pass. A method's own start at [`OWN`].
pub(super) const QUERY: u64 = 0;
pub(super) const KEY: u64 = 1;
pub(super) const OWN: u64 = 2;

/// Encoder and projection head.
#[derive(Module, Debug)]
pub(super) struct Branch {
    pub(super) encoder: Encoder,
    pub(super) head: Head,
}

impl Branch {
    /// A new branch; the same seed gives the same one.
    pub(super) fn new(
        encoder: &EncoderConfig,
        config: &SkeletonClrConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            encoder: encoder.init(seed, device)?,
            head: head(encoder, config).init(seed.wrapping_add(1), device),
        })
    }

    /// Unit projections of windows, `[batch, projection]`; a training pass moves the running averages.
    pub(super) fn run(&mut self, x: Tensor<5>, presence: &[Presence], mut pass: Pass) -> Tensor<2> {
        let embedding = self.encoder.embed(x, presence, &mut pass);
        let projection = unit_rows(self.head.forward(embedding, &mut pass));
        absorb(self, pass);
        projection
    }

    /// The same in a training pass.
    pub(super) fn train(
        &mut self,
        x: Tensor<5>,
        presence: &[Presence],
        noise: ChaCha8Rng,
    ) -> Tensor<2> {
        self.run(x, presence, Pass::train(noise))
    }

    /// Unpooled features of every row in a training pass that moves the encoder's running averages, and the windows
    /// that the rows belong to.
    ///
    /// # Shapes
    /// `[row, joint, frame, dim]`
    pub(super) fn train_features(
        &mut self,
        x: Tensor<5>,
        presence: &[Presence],
        noise: ChaCha8Rng,
    ) -> (Tensor<4>, Bodies) {
        let (rows, bodies) = self.encoder.fold(x, presence);
        let mut pass = Pass::train(noise);
        let features = self.encoder.features(rows, &mut pass);
        absorb(&mut self.encoder, pass);
        (features, bodies)
    }

    /// Unit projections of embeddings in a training pass of its own: a BatchNorm in the head sees them as one batch.
    pub(super) fn train_head(&mut self, embedding: Tensor<2>) -> Tensor<2> {
        // A head has no dropout, so nothing is drawn from this generator.
        run_head(
            &mut self.head,
            embedding,
            Pass::train(generator(0, 0, 0, 0)),
        )
    }
}

impl Normalized for Branch {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = self.encoder.norms();
        norms.extend(self.head.norms());
        norms
    }
}

/// One draw of unlabelled windows in one view a recipe. The second view is the key's: partners may stand in there.
pub(super) fn draws(encoder: &EncoderConfig, batch: usize, recipes: &[&Recipe]) -> Vec<Draw> {
    let view = |(number, recipe): (usize, &&Recipe)| ViewSpec {
        recipe: (*recipe).clone(),
        inputs: vec![encoder.streams.clone()],
        partner: number == 1,
    };
    vec![Draw {
        pool: Pool::Unlabelled,
        count: batch,
        views: recipes.iter().enumerate().map(view).collect(),
    }]
}

/// What the loop made of [`draws`].
///
/// # Panics
/// When it is something else: programmer error.
pub(super) fn drawn(drawn: &[Drawn]) -> (impl Fn(usize) -> Tensor<5>, &[Presence]) {
    let [drawn] = drawn else {
        unreachable!("the loop makes what draws() asks for")
    };
    (|view: usize| drawn.views[view][0].clone(), &drawn.presence)
}

/// The projection head of a configuration.
pub(super) fn head(encoder: &EncoderConfig, config: &SkeletonClrConfig) -> HeadConfig {
    HeadConfig {
        input: encoder.dim,
        hidden: encoder.dim,
        output: config.projection,
        norm: config.head_norm,
    }
}

/// Unit projections of embeddings; a training pass moves the head's running averages.
pub(super) fn run_head(head: &mut Head, embedding: Tensor<2>, mut pass: Pass) -> Tensor<2> {
    let projection = unit_rows(head.forward(embedding, &mut pass));
    absorb(head, pass);
    projection
}

/// The networks of a MoCo-type method, with what moves them.
pub(super) struct Moco<B> {
    pub(super) config: SkeletonClrConfig,
    pub(super) online: B,
    pub(super) target: B,
    pub(super) queue: Queue,
    descent: Descent,
}

impl<B: Module> Moco<B> {
    /// New networks, made by `branch` on the device it is given.
    pub(super) fn new(
        config: SkeletonClrConfig,
        optimizer: OptimizerConfig,
        seed: u64,
        device: &Device,
        branch: impl Fn(&Device) -> Result<B, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let online = branch(&device.clone().autodiff())?;
        // The copy comes after every initialisation: published code re-draws the key network afterwards.
        let copy = Ema {
            decay: 0.0,
            norm: TargetNorm::Copy,
        };
        let target = copy.update(&online, branch(device)?);
        let noise = generator(seed, u64::MAX, u64::MAX, 0);
        Ok(Self {
            queue: Queue::new(config.queue, config.projection, noise, device),
            config,
            online,
            target,
            descent: Descent::new(optimizer, device),
        })
    }

    /// Moves the key network towards the query network, then has it compute keys in the pass that its BatchNorm asks for. Also
    /// tells the decay used.
    pub(super) fn key<K>(
        &mut self,
        moment: &Moment,
        run: impl FnOnce(&mut B, Pass) -> K,
    ) -> (K, f64) {
        let decay = match self.config.ema_warmup {
            true => warmed_decay(moment.step, self.config.ema_decay),
            false => self.config.ema_decay,
        };
        let ema = Ema {
            decay,
            norm: self.config.target_norm,
        };
        self.target = ema.update(&self.online, self.target.clone());
        let key = run(&mut self.target, ema.target_pass(moment.noise(KEY)));
        (key, decay)
    }

    /// All keys of the queue, ready to be compared with what carries gradients.
    pub(super) fn negatives(&self) -> Tensor<2> {
        Tensor::from_inner(self.queue.keys())
    }

    /// See [`super::Method::learn`].
    pub(super) fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        self.descent.step(&mut self.online, gradients, rate)
    }

    /// See [`super::Method::state`].
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        state.insert("online", collect(&self.online));
        state.insert("target", collect(&self.target));
        self.descent.store(&mut state);
        let (keys, next) = self.queue.state();
        state.tensors.insert("queue.keys".to_string(), keys);
        state.numbers.insert("queue.next".to_string(), next);
        state
    }

    /// See [`super::Method::restore`].
    pub(super) fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.online = restore(self.online.clone(), &state.below("online"))?;
        self.target = restore(self.target.clone(), &state.below("target"))?;
        self.descent.restore(state)?;
        let keys = state.below("queue").remove("keys").unwrap_or_default();
        self.queue.restore(&keys, state.number("queue.next")?)?;
        Ok(())
    }
}
