//! From features into the space of another model's embeddings.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::head::unit_rows;
use crate::init::Initializer;
use crate::parameters::replace;

/// A linear map into another space, and the scale of the cosines there.
#[derive(Module, Debug)]
pub struct Alignment {
    /// `[dim] -> [space]`, without a bias.
    pub projection: Linear,
    /// Natural logarithm of one over the temperature, `[1]`.
    pub log_scale: Param<Tensor<1>>,
}

impl Alignment {
    /// A new map from `dim` features into a space of `space` dimensions; the same seed gives the same one. Only if `learned`, the
    /// temperature moves.
    pub fn new(
        dim: usize,
        space: usize,
        temperature: f64,
        learned: bool,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut init = Initializer::new(seed, device);
        let scale = init.constant([1], -(temperature.ln() as f32));
        Self {
            projection: Linear {
                bias: None,
                ..init.linear(dim, space)
            },
            log_scale: scale.set_require_grad(learned),
        }
    }

    /// Unit vectors in the other space.
    ///
    /// # Shapes
    /// `[batch, dim] -> [batch, space]`
    pub fn project(&self, features: Tensor<2>) -> Tensor<2> {
        unit_rows(self.projection.forward(features))
    }

    /// Cosines of unit vectors with unit candidates, divided by the temperature.
    ///
    /// # Shapes
    /// `[batch, space], [candidate, space] -> [batch, candidate]`
    ///
    /// # Source
    /// CLIP (Radford et al., 2021), which learns the logarithm of the scale.
    pub fn logits(&self, unit: Tensor<2>, candidates: Tensor<2>) -> Tensor<2> {
        let scale = self.log_scale.val().exp().reshape([1, 1]);
        unit.matmul(candidates.transpose()) * scale
    }

    /// The same with a temperature of at least `least`, as CLIP keeps it after each step.
    #[must_use]
    pub fn limited(self, least: f64) -> Self {
        let largest = -(least.ln() as f32);
        let old = self.log_scale.val().without_autodiff();
        Self {
            log_scale: replace(self.log_scale, |_| old.clamp_max(largest)),
            ..self
        }
    }

    /// The temperature.
    pub fn temperature(&self) -> f64 {
        let scale: f32 = self.log_scale.val().without_autodiff().into_scalar();
        (-f64::from(scale)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::collect;

    fn alignment(learned: bool) -> Alignment {
        Alignment::new(3, 2, 0.07, learned, 1, &Device::flex().autodiff())
    }

    #[test]
    fn logits_are_cosines_over_the_temperature() {
        let device = Device::flex().autodiff();
        let features = Tensor::from_floats([[1.0, 2.0, 3.0]], &device);
        let unit = alignment(true).project(features);
        let logits: f32 = alignment(true).logits(unit.clone(), unit).into_scalar();
        assert!((logits - 1.0 / 0.07).abs() < 1e-3, "{logits}");
    }

    #[test]
    fn the_temperature_stays_above_its_limit_and_goes_on_learning() {
        let alignment = alignment(true).limited(0.5);
        assert!((alignment.temperature() - 0.5).abs() < 1e-6);
        assert!(alignment.log_scale.val().is_require_grad());
        assert!((alignment.limited(0.1).temperature() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_fixed_temperature_is_stored_and_not_trained() {
        let fixed = alignment(false);
        assert!(!fixed.log_scale.val().is_require_grad());
        let names: Vec<String> = collect(&fixed).into_keys().collect();
        assert_eq!(names, ["log_scale", "projection.weight"]);
    }
}
