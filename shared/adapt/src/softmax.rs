//! Calibrated probabilities from logits.

/// Softmax of `logits / temperature`, in place. A temperature that is not positive counts as 1.
pub fn softmax(logits: &mut [f32], temperature: f32) {
    let temperature = if temperature > 0.0 { temperature } else { 1.0 };
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in logits.iter_mut() {
        *value = ((*value - peak) / temperature).exp();
        sum += *value;
    }
    for value in logits.iter_mut() {
        *value /= sum;
    }
}

/// The likeliest class and its probability; the lowest index wins a tie. `(0, 0.0)` when there are no classes.
#[must_use]
pub fn top(probabilities: &[f32]) -> (u16, f32) {
    let mut best = (0, 0.0);
    for (index, value) in probabilities.iter().enumerate() {
        if *value > best.1 {
            best = (u16::try_from(index).unwrap_or(u16::MAX), *value);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_temperature_is_less_sure() {
        // exp(0), exp(-ln 3) = 1, 1/3: probabilities 3/4 and 1/4.
        let mut sharp = [3.0_f32.ln(), 0.0];
        softmax(&mut sharp, 1.0);
        assert!((sharp[0] - 0.75).abs() < 1e-6 && (sharp[1] - 0.25).abs() < 1e-6);
        let mut soft = [3.0_f32.ln(), 0.0];
        softmax(&mut soft, 2.0);
        assert!(soft[0] < sharp[0] && soft[0] > 0.5);
    }

    #[test]
    fn huge_logits_stay_finite() {
        let mut logits = [3e38, -3e38, 0.0];
        softmax(&mut logits, 0.5);
        assert_eq!(top(&logits), (0, 1.0));
    }
}
