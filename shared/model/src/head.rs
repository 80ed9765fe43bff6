//! Projection heads and predictors: small perceptrons between features and the contrastive loss.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};

/// Sizes of a two-layer head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Features in.
    pub input: usize,
    /// Hidden units.
    pub hidden: usize,
    /// Features out.
    pub output: usize,
    /// BatchNorm before the ReLU (SkeleMixCLR and CMCS; not SkeletonCLR and AimCLR).
    pub norm: bool,
}

impl HeadConfig {
    /// SkeletonCLR's and AimCLR's head over `dim` features: dim, dim, 128, without BatchNorm.
    pub fn skeletonclr(dim: usize) -> Self {
        Self {
            input: dim,
            hidden: dim,
            output: 128,
            norm: false,
        }
    }

    /// CMCS's projector over `dim` features, which is also its predictor.
    pub fn cmcs(dim: usize) -> Self {
        Self {
            input: dim,
            hidden: 2048,
            output: dim,
            norm: true,
        }
    }

    /// A new head.
    pub fn init(&self, seed: u64, device: &Device) -> Head {
        let mut init = Initializer::new(seed, device);
        Head {
            hidden: init.linear(self.input, self.hidden),
            norm: self.norm.then(|| BatchNorm::new(self.hidden, &mut init)),
            output: init.linear(self.hidden, self.output),
        }
    }

    /// A new head whose weights follow Xavier's rule, as PSP Learning's do.
    pub fn init_xavier(&self, seed: u64, device: &Device) -> Head {
        let mut init = Initializer::new(seed, device);
        Head {
            hidden: init.xavier(self.input, self.hidden),
            norm: self.norm.then(|| BatchNorm::neutral(self.hidden, &init)),
            output: init.xavier(self.hidden, self.output),
        }
    }
}

/// A new classifier of `dim` features whose weights follow Xavier's rule, as PSP Learning's do.
pub fn xavier_classifier(dim: usize, classes: usize, seed: u64, device: &Device) -> Linear {
    Initializer::new(seed, device).xavier(dim, classes)
}

/// Linear, optional BatchNorm, ReLU, linear.
#[derive(Module, Debug)]
pub struct Head {
    /// First layer.
    pub hidden: Linear,
    /// Between them.
    pub norm: Option<BatchNorm>,
    /// Second layer.
    pub output: Linear,
}

impl Head {
    /// Projects features.
    ///
    /// # Shapes
    /// `[batch, input] -> [batch, output]`
    pub fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let x = self.hidden.forward(x);
        let x = match &self.norm {
            Some(norm) => norm.forward(x, pass),
            None => x,
        };
        self.output.forward(relu(x))
    }
}

impl Normalized for Head {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        self.norm.iter_mut().collect()
    }
}

/// Scales every row to length 1.
///
/// # Shapes
/// `[batch, dim] -> [batch, dim]`
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    // Clamped before the root: its slope at zero is infinite, and ReLU makes rows of zeros.
    let square = x.clone().powi_scalar(2).sum_dim(1).clamp_min(1e-24);
    let length = square.sqrt();
    x / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::parameter_count;

    #[test]
    fn a_row_of_zeros_has_a_finite_gradient() {
        let x = Tensor::<2>::zeros([1, 3], &Device::flex().autodiff()).require_grad();
        let gradients = unit_rows(x.clone()).sum().backward();
        let gradient: Vec<f32> = x
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert!(
            gradient.iter().all(|value| value.is_finite()),
            "{gradient:?}"
        );
    }

    // Golden counts of the published heads.
    #[test]
    fn heads_have_the_published_number_of_parameters() {
        let device = Device::flex();
        assert_eq!(
            parameter_count(&HeadConfig::skeletonclr(256).init(0, &device)),
            98_688
        );
        assert_eq!(
            parameter_count(&HeadConfig::cmcs(512).init(0, &device)),
            2_103_808
        );
    }
}
