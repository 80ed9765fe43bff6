//! RoTTA: robust BatchNorm, a balanced memory, and a student that learns from its teacher on the memory.
//!
//! # Source
//! Yuan, Xie and Li, "Robust test-time adaptation in dynamic scenarios", CVPR 2023. BatchNorm statistics are moving averages with weight 0.05 for the new
//! ones, updated when the memory is learnt from. Every 64 windows one step of Adam, rate 1e-3, on scales and shifts:
//! `mean_i E(age_i) CE(teacher, student on a strong view)` with `E(a) = exp(-a) / (1 + exp(-a))`; the teacher is the moving average, 0.999, and
//! answers. Deliberate difference: strong views are of trunk features.

use super::Recipe;
use super::adam::{Rule, Steps, follow};
use super::augment::view;
use super::float::{
    FloatTail, Input, Moments, Statistics, cross_entropies, is_affine, weighted_mean,
};
use super::memory::Memory;
use rand_chacha::ChaCha8Rng;
use tendon_model::augment::random::generator;
use tendon_model::parameters::Named;

const RATE: f32 = 1e-3;
const DECAY: f32 = 0.999;
const NEW: f32 = 0.05;
/// Windows in memory, and between two steps.
const CAPACITY: usize = 64;
/// Stream of random numbers.
const STREAM: u64 = 12;

/// A network with the statistics that it normalises with.
struct Pupil {
    tail: FloatTail,
    weights: Named,
    running: Vec<Moments>,
}

impl Pupil {
    fn new(tail: &FloatTail) -> Self {
        Self {
            weights: tail.weights(),
            running: tail.moments().to_vec(),
            tail: tail.clone(),
        }
    }
}

/// The method's state.
pub struct Rotta {
    student: Pupil,
    teacher: Pupil,
    steps: Steps,
    memory: Memory,
    waiting: usize,
    new: Vec<f32>,
    rng: ChaCha8Rng,
}

impl Rotta {
    /// The method on a tail.
    #[must_use]
    pub fn new(tail: FloatTail, seed: u64) -> Self {
        Self {
            student: Pupil::new(&tail),
            teacher: Pupil::new(&tail),
            steps: Steps::new(Rule::Adam, RATE),
            memory: Memory::new(CAPACITY),
            waiting: 0,
            new: vec![NEW; tail.moments().len()],
            rng: generator(seed, STREAM, 0, 0),
        }
    }

    /// One step on the whole memory.
    fn learn(&mut self) {
        let Some((windows, ages)) = self.memory.all() else {
            return;
        };
        let targets = self.teacher.tail.probabilities(
            &windows,
            Statistics::Mixed {
                running: &mut self.teacher.running,
                weight: &self.new,
                keep: true,
            },
        );
        let strong = view(&windows, &mut self.rng);
        let weights: Vec<f32> = ages
            .iter()
            .map(|age| (-age).exp() / (1.0 + (-age).exp()))
            .collect();
        let loss = |said: &super::float::Said| {
            weighted_mean(cross_entropies(said.logits.clone(), &targets), &weights)
        };
        let statistics = Statistics::Mixed {
            running: &mut self.student.running,
            weight: &self.new,
            keep: true,
        };
        let (_, gradient) = self.student.tail.learn(&strong, statistics, loss);
        self.steps
            .step(&mut self.student.weights, &gradient, is_affine);
        follow(&mut self.teacher.weights, &self.student.weights, DECAY);
        self.student.tail = self.student.tail.with(&self.student.weights);
        self.teacher.tail = self.teacher.tail.with(&self.teacher.weights);
    }
}

impl Recipe for Rotta {
    fn answer(&mut self, input: &Input, learn: bool) -> Vec<Vec<f32>> {
        let statistics = Statistics::Given(&self.teacher.running);
        let answers = self.teacher.tail.probabilities(input, statistics);
        if learn {
            for (number, answer) in answers.iter().enumerate() {
                self.memory.offer(input.select(&[number]), answer);
                self.waiting += 1;
                if self.waiting >= CAPACITY {
                    self.waiting = 0;
                    self.learn();
                }
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::{input, tail};
    use super::*;

    #[test]
    fn a_step_is_made_every_sixty_four_windows() {
        let mut method = Rotta::new(tail(), 1);
        let shipped = tail();
        method.answer(&input(63, 3), true);
        assert_eq!(method.teacher.running, shipped.moments());
        assert_eq!(method.student.weights, shipped.weights());
        method.answer(&input(1, 4), true);
        assert_ne!(method.teacher.running, shipped.moments());
        for (name, values) in shipped.weights() {
            assert_eq!(
                method.student.weights[&name] != values,
                is_affine(&name),
                "{name}"
            );
        }
    }

    #[test]
    fn one_window_is_answered_as_it_would_be_in_company() {
        let mut method = Rotta::new(tail(), 1);
        let batch = input(5, 6);
        let together = method.answer(&batch, false);
        let alone = method.answer(&batch.select(&[2]), false);
        for (a, b) in together[2].iter().zip(&alone[0]) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
