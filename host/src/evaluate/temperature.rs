//! Temperature scaling: one number that makes confidences honest without changing any prediction.

use super::metrics::Predictions;

/// Search range of the temperature.
const RANGE: (f64, f64) = (0.05, 20.0);

/// Returns the softmax temperature that minimises the negative log-likelihood of `validation`, 0.05..=20.
///
/// The windows must be neither training nor test windows. Without windows it is 1.
///
/// # Source
/// Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2. In 1 / temperature the likelihood is concave, so
/// a golden-section search over the logarithm finds its one maximum.
#[must_use]
pub fn fit_temperature(validation: &Predictions) -> f64 {
    if validation.is_empty() {
        return 1.0;
    }
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    let cost = |log: f64| validation.nll(log.exp());
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (cost(a), cost(b));
    while high - low > 1e-4 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = cost(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = cost(b);
        }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_logits_are_cooled_to_their_accuracy() {
        // Three of four right with a logit gap g: the likelihood is best where softmax(g / T) = 3/4, so T = g / ln 3.
        let gap = 6.0f32;
        let predictions = Predictions::new(2, [gap, 0.0].repeat(4), vec![0, 0, 0, 1]);
        let expected = f64::from(gap) / 3f64.ln();
        assert!((fit_temperature(&predictions) - expected).abs() < 0.01);
    }

    #[test]
    fn stays_in_range_when_everything_is_right_or_absent() {
        assert!(fit_temperature(&Predictions::new(2, vec![1.0, 0.0], vec![0])) >= 0.049);
        assert_eq!(fit_temperature(&Predictions::new(2, vec![], vec![])), 1.0);
    }
}
