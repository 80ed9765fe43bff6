//! CoTTA: a student follows the averaged answers of its own moving average, and some weights come back now and then.
//!
//! # Source
//! Wang et al., "Continual test-time domain adaptation", CVPR 2022. Teacher: moving average of all weights, 0.999. Where the shipped model's mean confidence is
//! below 0.92, the teacher's answer is the mean over 32 augmented views. Loss `-sum p_teacher log p_student`, Adam, rate 1e-3, all weights; after a step, each
//! weight comes back with a chance of 0.01. BatchNorm uses the batch's statistics in all three. The teacher's answer is given.
//! Deliberate differences: 4 views instead of 32, of trunk features instead of images; the graph's edge weights stay.

use super::Recipe;
use super::adam::{Rule, Steps, follow};
use super::augment::view;
use super::float::{FloatTail, Input, Moments, Statistics, cross_entropies};
use super::vector::add;
use rand::{Rng, RngExt as _};
use rand_chacha::ChaCha8Rng;
use tendon_model::augment::random::generator;
use tendon_model::parameters::Named;

const RATE: f32 = 1e-3;
const DECAY: f32 = 0.999;
const RESTORE: f32 = 0.01;
const VIEWS: usize = 4;
/// Mean confidence of the shipped model above which the teacher looks once.
const SURE: f32 = 0.92;
/// Stream of random numbers.
const STREAM: u64 = 11;

/// The method's state.
pub struct Cotta {
    shipped: FloatTail,
    student: FloatTail,
    teacher: FloatTail,
    weights: Named,
    average: Named,
    base: Named,
    steps: Steps,
    rng: ChaCha8Rng,
    unused: Vec<Moments>,
    all: Vec<f32>,
}

impl Cotta {
    /// The method on a tail.
    #[must_use]
    pub fn new(tail: FloatTail, seed: u64) -> Self {
        Self {
            weights: tail.weights(),
            average: tail.weights(),
            base: tail.weights(),
            unused: tail.moments().to_vec(),
            all: vec![1.0; tail.moments().len()],
            steps: Steps::new(Rule::Adam, RATE),
            rng: generator(seed, STREAM, 0, 0),
            student: tail.clone(),
            teacher: tail.clone(),
            shipped: tail,
        }
    }

    fn ask(&mut self, tail: &FloatTail, input: &Input) -> Vec<Vec<f32>> {
        let statistics = Statistics::Mixed {
            running: &mut self.unused,
            weight: &self.all,
            keep: false,
        };
        tail.probabilities(input, statistics)
    }

    /// What the teacher says, over views where the shipped model is unsure.
    fn teach(&mut self, input: &Input) -> Vec<Vec<f32>> {
        let (shipped, teacher) = (self.shipped.clone(), self.teacher.clone());
        let first = self.ask(&shipped, input);
        let sure = first
            .iter()
            .map(|one| one.iter().copied().fold(0.0, f32::max));
        if sure.sum::<f32>() / first.len().max(1) as f32 >= SURE {
            return self.ask(&teacher, input);
        }
        let mut mean: Vec<Vec<f32>> = first.iter().map(|one| vec![0.0; one.len()]).collect();
        for _ in 0..VIEWS {
            let seen = view(input, &mut self.rng);
            for (mean, said) in mean.iter_mut().zip(self.ask(&teacher, &seen)) {
                add(mean, &said, 1.0 / VIEWS as f32);
            }
        }
        mean
    }
}

impl Recipe for Cotta {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        if !learn {
            let teacher = self.teacher.clone();
            return self.ask(&teacher, input);
        }
        let answers = self.teach(input);
        let statistics = Statistics::Mixed {
            running: &mut self.unused,
            weight: &self.all,
            keep: false,
        };
        let loss =
            |said: &super::float::Said| cross_entropies(said.logits.clone(), &answers).mean();
        let (_, gradient) = self.student.learn(input, statistics, loss);
        self.steps.step(&mut self.weights, &gradient, is_trained);
        follow(&mut self.average, &self.weights, DECAY);
        restore(&mut self.weights, &self.base, RESTORE, &mut self.rng);
        self.student = self.student.with(&self.weights);
        self.teacher = self.teacher.with(&self.average);
        answers
    }
}

fn is_trained(name: &str) -> bool {
    !name.ends_with(".edge")
}

/// Sets each weight back with this chance.
fn restore(weights: &mut Named, base: &Named, chance: f32, rng: &mut impl Rng) {
    for (name, weights) in weights {
        let Some(base) = base.get(name) else { continue };
        for (weight, base) in weights.data.iter_mut().zip(&base.data) {
            if rng.random::<f32>() < chance {
                *weight = *base;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::*;

    fn distance(a: &Named, b: &Named) -> f32 {
        let pairs = a
            .iter()
            .flat_map(|(name, one)| one.data.iter().zip(&b[name].data));
        pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    }

    #[test]
    fn the_teacher_moves_a_thousandth_of_the_students_way() {
        let mut method = Cotta::new(tail(), 1);
        method.answer(&input(6, 8), true);
        let student = distance(&method.weights, &method.base);
        let teacher = distance(&method.average, &method.base);
        assert!(student > 0.0);
        // The student has lost a hundredth of its weights' way since.
        assert!(
            (teacher / student - 0.001).abs() < 0.0002,
            "{}",
            teacher / student
        );
    }

    #[test]
    fn about_the_share_that_was_asked_for_comes_back() {
        let base = tail().weights();
        let mut weights = base.clone();
        weights
            .values_mut()
            .for_each(|one| one.data.iter_mut().for_each(|x| *x += 1.0));
        restore(&mut weights, &base, 0.1, &mut generator(3, 0, 0, 0));
        let (mut back, mut all) = (0, 0);
        for (name, one) in &weights {
            let pairs = one.data.iter().zip(&base[name].data);
            back += pairs.filter(|(now, then)| now == then).count();
            all += one.data.len();
        }
        let share = back as f32 / all as f32;
        assert!((0.08..0.12).contains(&share), "{share}");
    }

    #[test]
    fn looking_without_learning_changes_nothing() {
        let mut method = Cotta::new(tail(), 1);
        let batch = input(6, 9);
        assert_eq!(method.answer(&batch, false), method.answer(&batch, false));
        assert_eq!(method.weights, method.base);
    }
}
