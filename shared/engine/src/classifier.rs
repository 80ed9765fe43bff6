//! The mean over bodies and the linear classifier, in integers.

use crate::format::MEAN_BITS;
use crate::parse::{ParseResult, Reader};
use crate::path::round_shift;
use crate::spec::Spec;
use crate::tables::{I16s, I64s};
use tendon_shared::limits::MAX_CLASSES;

/// Means that are computed together.
const MEANS: usize = 16;

/// The tables of the classifier.
#[derive(Clone, Debug)]
pub(crate) struct Classifier<'a> {
    weights: I16s<'a>,
    bias: I64s<'a>,
    pub(crate) shift: u32,
    pub(crate) logit_scale: f32,
}

impl<'a> Classifier<'a> {
    /// Reads and checks the classifier.
    pub(crate) fn parse(
        reader: &mut Reader<'a>,
        spec: &Spec,
        shift: u32,
        logit_scale: f32,
    ) -> ParseResult<Self> {
        let weights = I16s::new(reader.take(spec.classes * spec.dim * 2)?);
        let bias = I64s::new(reader.take(spec.classes * 8)?);
        let limit = 1_i64 << 60;
        reader.ensure(
            bias.iter().all(|bias| (-limit..=limit).contains(&bias)),
            "classifier bias",
        )?;
        Ok(Self {
            weights,
            bias,
            shift,
            logit_scale,
        })
    }

    /// Returns the integer weight of `class` for dimension `dim`.
    pub(crate) fn weight(&self, spec: &Spec, class: usize, dim: usize) -> i16 {
        self.weights.get(class * spec.dim + dim)
    }

    /// Returns the value of one step of the sum over dimensions.
    pub(crate) fn step(&self) -> f32 {
        self.logit_scale / exp2(self.shift)
    }

    /// Returns the bias of `class` in steps.
    pub(crate) fn bias(&self, class: usize) -> i64 {
        self.bias.get(class)
    }

    /// Fills `logits` from the pooled sums of the bodies that count.
    ///
    /// # Shapes
    /// `pooled [body, dim]`, `logits [class]`
    #[allow(
        clippy::cast_possible_truncation,
        reason = "clamped to the range of i32"
    )]
    pub(crate) fn run(&self, spec: &Spec, pooled: &[i32], logits: &mut [i32]) {
        let bodies = pooled.len() / spec.dim;
        let count = ((spec.frames_out * spec.joints * bodies) as i64).max(1);
        let mut sums = [0; MAX_CLASSES];
        for (class, sum) in sums.iter_mut().enumerate().take(spec.classes) {
            *sum = self.bias.get(class);
        }
        // Some means at a time, so that each is divided once and weights are read in their order.
        let mut means = [0; MEANS];
        for first in (0..spec.dim).step_by(MEANS) {
            let means = means
                .get_mut(..MEANS.min(spec.dim - first))
                .unwrap_or_default();
            for (mean, dim) in means.iter_mut().zip(first..) {
                let bodies = pooled.iter().skip(dim).step_by(spec.dim);
                let total: i64 = bodies.map(|sum| i64::from(*sum)).sum();
                *mean = ((total << MEAN_BITS) + count / 2).div_euclid(count);
            }
            for (class, sum) in sums.iter_mut().enumerate().take(spec.classes) {
                for (mean, dim) in means.iter().zip(first..) {
                    let weight = i64::from(self.weight(spec, class, dim));
                    *sum = sum.wrapping_add(mean.wrapping_mul(weight));
                }
            }
        }
        for (logit, sum) in logits.iter_mut().zip(sums) {
            *logit =
                round_shift(sum, self.shift).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        }
    }
}

/// Returns `2^exponent`, exactly.
pub(crate) fn exp2(exponent: u32) -> f32 {
    f32::from_bits((127 + exponent.min(127)) << 23)
}
