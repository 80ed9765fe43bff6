//! Steps from gradients, over weights by name.

use tendon_model::parameters::{Named, Values};

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Adam with decays 0.9 and 0.999.
    Adam,
    /// Descent with momentum 0.9.
    Momentum,
}

/// A rule with its moments.
#[derive(Debug, Clone)]
pub struct Steps {
    rule: Rule,
    rate: f32,
    first: Named,
    second: Named,
    count: i32,
}

impl Steps {
    /// Makes steps of this learning rate.
    #[must_use]
    pub fn new(rule: Rule, rate: f32) -> Self {
        Self {
            rule,
            rate,
            first: Named::new(),
            second: Named::new(),
            count: 0,
        }
    }

    /// Moves those `weights` that have a gradient and are `trained`.
    ///
    /// # Source
    /// Kingma and Ba, "Adam", ICLR 2015; PyTorch's SGD with momentum.
    pub fn step(&mut self, weights: &mut Named, gradient: &Named, trained: impl Fn(&str) -> bool) {
        self.count += 1;
        let (keep, keep_square) = (0.9_f32, 0.999_f32);
        let correction = 1.0 - keep.powi(self.count);
        let correction_square = 1.0 - keep_square.powi(self.count);
        for (name, weights) in weights.iter_mut().filter(|(name, _)| trained(name)) {
            let Some(gradient) = gradient.get(name) else {
                continue;
            };
            let zero = || Values {
                shape: gradient.shape.clone(),
                data: vec![0.0; gradient.data.len()],
            };
            let first = self.first.entry(name.clone()).or_insert_with(zero);
            let second = self.second.entry(name.clone()).or_insert_with(zero);
            let moments = first.data.iter_mut().zip(&mut second.data);
            let weights = weights.data.iter_mut().zip(&gradient.data);
            for ((weight, gradient), (first, second)) in weights.zip(moments) {
                match self.rule {
                    Rule::Adam => {
                        *first = keep * *first + (1.0 - keep) * gradient;
                        *second = keep_square * *second + (1.0 - keep_square) * gradient * gradient;
                        let spread = (*second / correction_square).sqrt() + 1e-8;
                        *weight -= self.rate * (*first / correction) / spread;
                    }
                    Rule::Momentum => {
                        *first = keep * *first + gradient;
                        *weight -= self.rate * *first;
                    }
                }
            }
        }
    }
}

/// Moves an average towards `new`: `decay` is the weight of the old value.
pub fn follow(average: &mut Named, new: &Named, decay: f32) {
    for (name, average) in average {
        let Some(new) = new.get(name) else { continue };
        for (old, new) in average.data.iter_mut().zip(&new.data) {
            *old = decay * *old + (1.0 - decay) * new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: f32) -> Named {
        let values = Values {
            shape: vec![1],
            data: vec![value],
        };
        Named::from([("a".to_owned(), values.clone()), ("b".to_owned(), values)])
    }

    #[test]
    fn the_first_step_of_adam_is_the_rate_whatever_the_gradient_is() {
        let mut weights = named(1.0);
        Steps::new(Rule::Adam, 0.1).step(&mut weights, &named(50.0), |name| name == "a");
        assert!((weights["a"].data[0] - 0.9).abs() < 1e-6);
        assert_eq!(weights["b"].data[0], 1.0);
    }

    #[test]
    fn momentum_adds_up() {
        let (mut weights, mut steps) = (named(1.0), Steps::new(Rule::Momentum, 0.1));
        steps.step(&mut weights, &named(1.0), |_| true);
        steps.step(&mut weights, &named(1.0), |_| true);
        // 1 - 0.1 - 0.19
        assert!((weights["a"].data[0] - 0.71).abs() < 1e-6);
    }

    #[test]
    fn an_average_keeps_its_share() {
        let mut average = named(1.0);
        follow(&mut average, &named(3.0), 0.75);
        assert_eq!(average["a"].data[0], 1.5);
    }
}
