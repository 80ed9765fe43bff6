//! D3M: a view that is hard to recognise learns where an easier view of the same window lies among all keys.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};

use super::InfoNce;

/// Mean cross-entropy of the student's distribution over keys with the teacher's, which gets no gradient.
///
/// # Source
/// AimCLR's "distributional divergence minimisation". Its code takes the logarithm of a softmax, whose tail
/// underflows; this is the same number where that does not happen.
pub fn distribution_divergence(student: &InfoNce, teacher: &InfoNce) -> Tensor<1> {
    let teacher = softmax(teacher.logits.clone().detach(), 1);
    (teacher * log_softmax(student.logits.clone(), 1))
        .sum_dim(1)
        .neg()
        .mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn nce(cosines: [f32; 3], temperature: f64, device: &Device) -> InfoNce {
        let logits = Tensor::<2>::from_floats([cosines], device) / temperature;
        InfoNce { logits }
    }

    // Golden value: teacher cosines (1.0, 0.2, -0.3), student cosines (0.8, 0.5, -0.1), temperature 0.07.
    #[test]
    fn divergence_has_the_golden_value() {
        let device = Device::flex();
        let teacher = nce([1.0, 0.2, -0.3], 0.07, &device);
        let student = nce([0.8, 0.5, -0.1], 0.07, &device);
        let found: f32 = distribution_divergence(&student, &teacher).into_scalar();
        assert!((found - 0.013_719_2).abs() < 1e-6, "{found}");
    }

    #[test]
    fn the_teacher_gets_no_gradient_and_the_student_does() {
        let device = Device::flex().autodiff();
        let rows = |values| Tensor::<2>::from_floats([values], &device).require_grad();
        let (a, b) = (rows([1.0, 0.2, -0.3]), rows([0.8, 0.5, -0.1]));
        let logits = |logits: &Tensor<2>| InfoNce {
            logits: logits.clone(),
        };
        let gradients = distribution_divergence(&logits(&b), &logits(&a)).backward();
        assert!(a.grad(&gradients).is_none() && b.grad(&gradients).is_some());
    }

    // At temperature 0.001 the softmax of the smallest cosine is zero in 32 bits.
    #[test]
    fn a_tail_that_underflows_stays_finite() {
        let device = Device::flex();
        let teacher = nce([-1.0, 0.2, 1.0], 1e-3, &device);
        let student = nce([1.0, 0.2, -1.0], 1e-3, &device);
        let found: f32 = distribution_divergence(&student, &teacher).into_scalar();
        assert!((found - 2000.0).abs() < 0.1, "{found}");
    }
}
