//! How far a mean of few values may be chance.

/// The mean of at least two values and its standard error.
#[must_use]
pub fn spread(values: &[f32]) -> Option<(f32, f32)> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let mean = values.iter().sum::<f32>() / count as f32;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    let variance = squares.sum::<f32>() / (count - 1) as f32;
    Some((mean, (variance / count as f32).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_says_nothing_about_chance() {
        assert_eq!(spread(&[1.0]), None);
        // Variance 4/3 of four values: a standard error of sqrt(1/3).
        let (mean, error) = spread(&[1.0, 1.0, -1.0, -1.0]).unwrap();
        assert_eq!(mean, 0.0);
        assert!((error - 3.0_f32.sqrt().recip()).abs() < 1e-6);
    }
}
