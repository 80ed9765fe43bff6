//! Losses of BYOL type: predictions of two views and what the moving average makes of the same views.

use burn::tensor::Tensor;

use super::{cosine, cosine_distance};

/// Predictions of the trained network and projections of its moving average for both views of a batch, `[batch, dim]` each.
/// No gradient goes into the targets.
#[derive(Clone)]
pub struct Pair {
    /// One a view.
    pub predictions: [Tensor<2>; 2],
    /// One a view.
    pub targets: [Tensor<2>; 2],
}

impl Pair {
    /// Each view's prediction must meet the target of the other view.
    ///
    /// # Source
    /// BYOL; on skeletons the baseline of CMCS.
    pub fn byol(&self) -> Tensor<1> {
        let [p1, p2] = self.predictions.clone();
        let [t1, t2] = self.targets.clone().map(Tensor::detach);
        cosine_distance(p1, t2) + cosine_distance(p2, t1)
    }

    /// Both predictions must meet, and each must leave the target of its own view with weight `push`. May be negative.
    ///
    /// With d(p, t) = 4 - d(p, -t) this is d(p1, p2) + `push` x (d(p1, -t1) + d(p2, -t2)) - 8 `push`: each prediction is drawn to the opposite of
    /// its own target. A predictor's last layer can turn every sign, so nothing but the meeting of both views keeps it from being BYOL
    /// on one view.
    ///
    /// # Source
    /// CMAL, the first stage of CMCS: `push` is 0.5.
    pub fn cmal(&self, push: f64) -> Tensor<1> {
        let [p1, p2] = self.predictions.clone();
        let [t1, t2] = self.targets.clone().map(Tensor::detach);
        let own = cosine_distance(p1.clone(), t1) + cosine_distance(p2.clone(), t2);
        cosine_distance(p1, p2) - own * push
    }

    /// Cosines of each view's predictions with all targets of the other view; of their opposites, if `opposite`.
    ///
    /// # Shapes
    /// `[batch, batch]` each
    pub fn across(&self, opposite: bool) -> [Tensor<2>; 2] {
        let turned = |prediction: Tensor<2>| match opposite {
            true => prediction.neg(),
            false => prediction,
        };
        let [p1, p2] = self.predictions.clone().map(turned);
        let [t1, t2] = self.targets.clone().map(Tensor::detach);
        [cosine(p1, t2), cosine(p2, t1)]
    }

    /// Mean cosine of a prediction with the target of its own view, -1..=1: what CMAL pushes down.
    pub fn own_cosine(&self) -> f64 {
        let mean = |prediction: &Tensor<2>, target: &Tensor<2>| {
            let prediction = prediction.clone().without_autodiff();
            let distance = cosine_distance(prediction, target.clone().without_autodiff());
            1.0 - 0.5 * f64::from(distance.into_scalar::<f32>())
        };
        let [first, second] = [0, 1].map(|view| mean(&self.predictions[view], &self.targets[view]));
        0.5 * (first + second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    // Golden vectors.
    fn pair() -> Pair {
        let vector = |values: [f32; 3]| Tensor::from_floats([values], &Device::flex());
        Pair {
            predictions: [vector([1.0, 0.0, 0.0]), vector([0.8, 0.6, 0.0])],
            targets: [vector([0.6, 0.8, 0.0]), vector([0.0, 1.0, 0.0])],
        }
    }

    fn check(loss: Tensor<1>, expect: f32) {
        let loss: f32 = loss.into_scalar();
        assert!((loss - expect).abs() < 1e-5, "{loss} v {expect}");
    }

    #[test]
    fn losses_have_the_golden_values() {
        check(pair().byol(), 2.08);
        check(pair().cmal(0.5), -0.4);
    }

    // -0.5 d(p, t) = 0.5 d(p, -t) - 2, for each of both views.
    #[test]
    fn leaving_a_target_is_meeting_its_opposite() {
        let Pair {
            predictions: [p1, p2],
            targets: [t1, t2],
        } = pair();
        let drawn = cosine_distance(p1.clone(), t1.neg()) + cosine_distance(p2.clone(), t2.neg());
        check(cosine_distance(p1, p2) + drawn * 0.5 - 4.0, -0.4);
    }

    #[test]
    fn opposite_predictions_have_opposite_cosines() {
        let [plain, _] = pair().across(false);
        let [turned, _] = pair().across(true);
        check((plain + turned).abs().sum(), 0.0);
    }

    // Both predictions have cosine 0.6 with the target of their own view.
    #[test]
    fn the_own_cosine_is_the_mean_over_views() {
        assert!((pair().own_cosine() - 0.6).abs() < 1e-6);
    }

    #[test]
    fn targets_get_no_gradient() {
        let device = Device::flex().autodiff();
        let vector = |values: [f32; 3]| Tensor::<2>::from_floats([values], &device).require_grad();
        let pair = Pair {
            predictions: [vector([1.0, 0.0, 0.1]), vector([0.8, 0.6, 0.0])],
            targets: [vector([0.6, 0.8, 0.0]), vector([0.0, 1.0, 0.0])],
        };
        let [first, second] = pair.across(false);
        let loss = pair.byol() + pair.cmal(0.5) + (first + second).sum();
        let gradients = loss.backward();
        for view in 0..2 {
            assert!(pair.targets[view].grad(&gradients).is_none());
            assert!(pair.predictions[view].grad(&gradients).is_some());
        }
    }
}
