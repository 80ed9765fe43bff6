//! Small sums over lists of numbers.

/// Probabilities of logits, at temperature 1.
#[must_use]
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let mut values = logits.to_vec();
    tendon_adapt::softmax::softmax(&mut values, 1.0);
    values
}

/// Entropy of probabilities, nats.
#[must_use]
pub fn entropy(probabilities: &[f32]) -> f32 {
    let terms = probabilities.iter().filter(|value| **value > 0.0);
    -terms.map(|value| value * value.ln()).sum::<f32>()
}

/// Number of the largest value; the first of equals.
#[must_use]
pub fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (number, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = number;
        }
    }
    best
}

/// Inner product.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The vector of length one in the same direction; zero stays zero.
#[must_use]
pub fn unit(values: &[f32]) -> Vec<f32> {
    let length = dot(values, values).sqrt().max(1e-12);
    values.iter().map(|value| value / length).collect()
}

/// Adds `weight` times `values` to `sum`.
pub fn add(sum: &mut [f32], values: &[f32], weight: f32) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += weight * value);
}
