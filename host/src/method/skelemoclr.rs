//! SkeleMoCLR's second stage: few labels, and a teacher's guesses for the rest.
//!
//! The key network is the teacher. It sees weak views; its confident guesses label the strong views that the trained network
//! sees, and the keys in the queue, whose negatives are then of other classes. The first stage is [`super::SkeletonClr`], whose
//! encoder this one starts from (`start`).
//!
//! # Source
//! Reconstructed from six ideas that the paper's abstract names; neither text nor code is public. FixMatch (threshold, strong and
//! weak views), FlexMatch (thresholds of classes), Mean Teacher (rise of the weight), MoCo v2 and SupCon give the formulas.
//! What nobody says is a switch in [`SkeleMoClrConfig`].

mod config;

use burn::module::Module as _;
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use tendon_model::augment::Recipe;
use tendon_model::classifier::Classifier;
use tendon_model::ema::{Ema, TargetNorm};
use tendon_model::encoder::{ConfigError, Encoder, EncoderConfig};
use tendon_model::head::unit_rows;
use tendon_model::optimizer::{Optimizer, OptimizerConfig, gradient_norm};
use tendon_model::parameters::{RestoreError, collect, restore};
use tendon_model::pass::{Pass, absorb};
use tendon_shared::pose::Presence;

use super::moco::{Branch, Moco, OWN, QUERY};
use super::{Draw, Drawn, Loss, Method, MethodError, Moment, Network, Pool, State, ViewSpec};
use crate::contrast::{
    Guess, InfoNce, LabelRing, class_aware_loss, cross_entropy, guesses, same_class, spread,
};

pub use config::{ClassRule, SkeleMoClrConfig, Statistics};

/// The method with its networks.
pub struct SkeleMoClr {
    config: SkeleMoClrConfig,
    encoder: EncoderConfig,
    batch: usize,
    moco: Moco<Branch>,
    /// Of the trained network.
    student: Linear,
    /// Its moving average.
    teacher: Linear,
    optimizer: Optimizer,
    optimizer_config: OptimizerConfig,
    /// Classes of the queue's keys.
    key_labels: LabelRing,
    /// The latest confident guess about each unlabelled window, or rather the last so many guesses.
    latest: LabelRing,
    device: Device,
}

/// What a run's data decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Material {
    /// Training windows.
    pub windows: usize,
    /// Classes.
    pub classes: usize,
    /// Unlabelled windows of a step.
    pub batch: usize,
}

/// What the teacher says about a step's windows.
struct Taught {
    /// Unit keys, first of the labelled windows.
    keys: Tensor<2>,
    /// About the unlabelled windows.
    guesses: Vec<Guess>,
    decay: f64,
}

impl SkeleMoClr {
    /// New networks; the same seed gives the same ones.
    ///
    /// # Errors
    /// The encoder's configuration is out of range.
    pub fn new(
        config: SkeleMoClrConfig,
        encoder: &EncoderConfig,
        optimizer: OptimizerConfig,
        material: Material,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let branch = |device: &Device| Branch::new(encoder, &config.base, seed, device);
        let moco = Moco::new(config.base.clone(), optimizer, seed, device, branch)?;
        let classifier = |encoder: &Encoder, dim| {
            let seed = seed.wrapping_add(2);
            Classifier::new(encoder.clone(), dim, material.classes, seed).classifier
        };
        Ok(Self {
            student: classifier(&moco.online.encoder, encoder.dim),
            teacher: classifier(&moco.target.encoder, encoder.dim),
            optimizer: optimizer.init(),
            optimizer_config: optimizer,
            key_labels: LabelRing::new(config.base.queue),
            latest: LabelRing::new(material.windows),
            encoder: encoder.clone(),
            batch: material.batch,
            device: device.clone(),
            moco,
            config,
        })
    }

    /// Embeddings and unit projections by the trained network, first of the labelled windows; moves its running averages.
    fn study(&mut self, drawn: &[&Drawn; 2], moment: &Moment) -> (Tensor<2>, Tensor<2>) {
        let batches = match self.config.together {
            true => vec![joined(drawn, 0)],
            false => drawn.iter().map(|drawn| joined(&[*drawn], 0)).collect(),
        };
        let mut embeddings = Vec::new();
        let mut projections = Vec::new();
        for (number, (x, presence)) in (0..).zip(batches) {
            let mut pass = Pass::train(moment.noise(QUERY + (OWN + 1) * number));
            let online = &mut self.moco.online;
            let x = Tensor::from_inner(x);
            let embedding = online.encoder.embed(x, &presence, &mut pass);
            projections.push(unit_rows(online.head.forward(embedding.clone(), &mut pass)));
            embeddings.push(embedding);
            if self.config.statistics == Statistics::Trained {
                absorb(online, pass);
            }
        }
        if self.config.statistics == Statistics::Weak {
            let (x, presence) = joined(&drawn[1..], 1);
            let quiet = self.moco.online.clone().no_grad();
            let mut pass = Pass::train(moment.noise(OWN));
            let embedding = quiet
                .encoder
                .embed(Tensor::from_inner(x), &presence, &mut pass);
            quiet.head.forward(embedding, &mut pass);
            absorb(&mut self.moco.online, pass);
        }
        (Tensor::cat(embeddings, 0), Tensor::cat(projections, 0))
    }

    /// Moves the teacher, then asks it.
    fn teach(&mut self, drawn: &[&Drawn; 2], moment: &Moment) -> Taught {
        let (x, presence) = joined(drawn, 1);
        let ((embedding, keys), decay) = self.moco.key(moment, |target, mut pass| {
            let embedding = target.encoder.embed(x, &presence, &mut pass);
            let keys = unit_rows(target.head.forward(embedding.clone(), &mut pass));
            absorb(target, pass);
            (embedding, keys)
        });
        let ema = Ema {
            decay,
            norm: TargetNorm::Copy,
        };
        self.teacher = ema.update(&self.student, self.teacher.clone());
        let [all, _] = embedding.dims();
        let labelled = drawn[0].presence.len();
        let unlabelled = embedding.narrow(0, labelled, all - labelled);
        Taught {
            keys,
            guesses: guesses(self.teacher.forward(unlabelled)),
            decay,
        }
    }
}

/// Windows of several draws in one view, one after the other.
fn joined(drawn: &[&Drawn], view: usize) -> (Tensor<5>, Vec<Presence>) {
    let windows = drawn.iter().map(|drawn| drawn.views[view][0].clone());
    let presence = drawn.iter().flat_map(|drawn| drawn.presence.clone());
    (Tensor::cat(windows.collect(), 0), presence.collect())
}

/// Mean cross-entropy with the kept guesses, over all windows.
fn guessed_loss(logits: Tensor<2>, guesses: &[Guess], kept: &[Option<u16>]) -> Tensor<1> {
    let device = logits.device();
    let count = guesses.len();
    let classes: Vec<i64> = guesses.iter().map(|guess| i64::from(guess.class)).collect();
    let keep: Vec<f32> = kept
        .iter()
        .map(|kept| f32::from(u8::from(kept.is_some())))
        .collect();
    let classes = Tensor::<2, Int>::from_data(TensorData::new(classes, [count, 1]), &device);
    let keep = Tensor::<2>::from_data(TensorData::new(keep, [count, 1]), &device);
    (log_softmax(logits, 1).gather(1, classes) * keep)
        .neg()
        .mean()
}

/// Share of rows whose highest score is the label's, 0..=1.
fn accuracy(logits: Tensor<2>, labels: &[u16]) -> f64 {
    let found = guesses(logits);
    let right = found.iter().zip(labels);
    right
        .filter(|(guess, label)| guess.class == **label)
        .count() as f64
        / labels.len() as f64
}

impl Method for SkeleMoClr {
    fn draws(&self) -> Vec<Draw> {
        let base = &self.config.base;
        let view = |recipe: &Recipe| ViewSpec {
            recipe: recipe.clone(),
            inputs: vec![self.encoder.streams.clone()],
            // The teacher labels the very window that the student sees.
            partner: false,
        };
        let draw = |pool, count, views: [&Recipe; 2]| Draw {
            pool,
            count,
            views: views.map(view).to_vec(),
        };
        vec![
            draw(Pool::Labelled, self.config.labelled, [&base.key, &base.key]),
            draw(Pool::Unlabelled, self.batch, [&base.query, &base.key]),
        ]
    }

    fn loss(&mut self, drawn: &[Drawn], moment: &Moment) -> Result<Loss, MethodError> {
        let [labelled, unlabelled] = drawn else {
            unreachable!("the loop makes what draws() asks for")
        };
        let drawn = [labelled, unlabelled];
        let (embeddings, queries) = self.study(&drawn, moment);
        let taught = self.teach(&drawn, moment);

        let [_, classes] = self.student.weight.val().dims();
        let thresholds = self.config.threshold.classes(&self.latest, classes);
        let label = |guess: &Guess, least: f64| {
            (f64::from(guess.confidence) >= least).then_some(guess.class)
        };
        let guessed = taught.guesses.iter();
        let kept: Vec<Option<u16>> = guessed
            .clone()
            .map(|guess| label(guess, thresholds[usize::from(guess.class)]))
            .collect();
        let confidence = self.config.threshold.confidence();
        let confident: Vec<_> = guessed.map(|guess| label(guess, confidence)).collect();
        self.latest.push(&confident);

        let logits = self.student.forward(embeddings);
        let (known, all) = (labelled.labels.len(), logits.dims()[0]);
        let own = logits.clone().narrow(0, 0, known);
        let truth: Vec<i64> = labelled
            .labels
            .iter()
            .map(|label| i64::from(*label))
            .collect();
        let truth = Tensor::from_data(TensorData::new(truth, [known]), &own.device());
        let supervised = cross_entropy(own.clone(), truth);
        let strong = logits.narrow(0, known, all - known);
        let pseudo = guessed_loss(strong, &taught.guesses, &kept);

        let truth = labelled.labels.iter().map(|label| Some(*label));
        let anchors: Vec<Option<u16>> = truth.chain(kept.iter().copied()).collect();
        let nce = InfoNce::new(
            queries.clone(),
            Tensor::from_inner(taught.keys.clone()),
            self.moco.negatives(),
            self.config.base.temperature,
        );
        let same = same_class(&anchors, self.key_labels.labels(), &self.device);
        let contrast = match self.config.classes {
            ClassRule::Ignored => nce.loss(),
            ClassRule::NoNegatives => class_aware_loss(&nce, same, false),
            ClassRule::Positives => class_aware_loss(&nce, same, true),
        };
        self.moco.queue.push(taught.keys);
        self.key_labels.push(&anchors);

        let weight = self.config.pseudo_weight(moment.step);
        let number = |loss: &Tensor<1>| f64::from(loss.clone().into_scalar::<f32>());
        let kept = kept.iter().flatten().count() as f64 / kept.len() as f64;
        let threshold = thresholds.iter().sum::<f64>() / thresholds.len() as f64;
        let figures = vec![
            ("labelled_loss", number(&supervised)),
            ("labelled_accuracy", accuracy(own, &labelled.labels)),
            ("pseudo_loss", number(&pseudo)),
            ("pseudo_weight", weight),
            ("kept", kept),
            ("threshold", threshold),
            ("contrast_loss", number(&contrast)),
            ("accuracy", nce.accuracy()),
            ("ema_decay", taught.decay),
        ];
        Ok(Loss {
            value: supervised + pseudo * weight + contrast * self.config.contrast_weight,
            spread: (spread(queries), self.config.base.projection),
            figures,
        })
    }

    fn learn(&mut self, gradients: &Gradients, rate: f64) -> f64 {
        let norm = gradient_norm(&self.student, gradients);
        let own = rate * self.config.classifier_rate;
        self.student = self.optimizer.step(own, self.student.clone(), gradients);
        self.moco.learn(gradients, rate).hypot(norm)
    }

    fn networks(&self) -> Vec<Network<'_>> {
        let network = |name, encoder| Network {
            name,
            streams: self.encoder.streams.clone(),
            encoder,
        };
        vec![
            network("student", &self.moco.online.encoder),
            network("teacher", &self.moco.target.encoder),
        ]
    }

    fn classifiers(&self) -> Vec<Linear> {
        vec![self.student.clone(), self.teacher.clone()]
    }

    fn encoders(&mut self) -> Vec<&mut Encoder> {
        vec![&mut self.moco.online.encoder, &mut self.moco.target.encoder]
    }

    fn state(&self) -> State {
        let mut state = self.moco.state();
        state.insert("student", collect(&self.student));
        state.insert("teacher", collect(&self.teacher));
        state.insert("student_optimizer", self.optimizer.state());
        let rings = [("keys", &self.key_labels), ("latest", &self.latest)];
        for (name, ring) in rings {
            let (labels, next) = ring.state();
            state.tensors.insert(format!("labels.{name}"), labels);
            state.numbers.insert(format!("labels.{name}.next"), next);
        }
        state
    }

    fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        self.moco.restore(state)?;
        self.student = restore(self.student.clone(), &state.below("student"))?;
        self.teacher = restore(self.teacher.clone(), &state.below("teacher"))?;
        let steps = state.number("optimizer.steps")?;
        let moments = state.below("student_optimizer");
        self.optimizer = Optimizer::resume(self.optimizer_config, steps, &moments, &self.device);
        let labels = state.below("labels");
        for (name, ring) in [("keys", &mut self.key_labels), ("latest", &mut self.latest)] {
            let full = format!("labels.{name}");
            let next = state.number(&format!("{full}.next"))?;
            let values = labels.get(name).cloned().unwrap_or_default();
            if !ring.restore(&values, next) {
                return Err(MethodError::Restore(RestoreError::Shape {
                    name: full,
                    expected: vec![ring.labels().len()],
                    found: values.shape,
                }));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
