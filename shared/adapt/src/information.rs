//! How much answers tell about their windows.
//!
//! # Source
//! The mutual information of window and class by which RIM (NeurIPS 2010) and SHOT (ICML 2020) train; here nothing is trained by it.

/// Mean divergence of answers from their mean, nats: zero when all are alike, `ln` of the number of classes when each is named as often and
/// for certain.
#[must_use]
pub fn information<'p>(answers: impl Iterator<Item = &'p [f32]> + Clone) -> f32 {
    let mut mean: Vec<f32> = Vec::new();
    let mut count = 0.0_f32;
    for answer in answers.clone() {
        mean.resize(answer.len().max(mean.len()), 0.0);
        count += 1.0;
        for (mean, value) in mean.iter_mut().zip(answer) {
            *mean += (value - *mean) / count;
        }
    }
    let divergence = |answer: &[f32]| -> f32 {
        let terms = answer.iter().zip(&mean);
        terms
            .filter(|(value, mean)| **value > 0.0 && **mean > 0.0)
            .map(|(value, mean)| value * (value / mean).ln())
            .sum()
    };
    answers.map(divergence).sum::<f32>() / count.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: usize = 4;

    #[test]
    fn information_is_nothing_for_one_answer_and_all_of_it_for_every_answer() {
        let certain = |class: usize| {
            let mut answer = vec![0.0; CLASSES];
            answer[class] = 1.0;
            answer
        };
        let of = |answers: Vec<Vec<f32>>| information(answers.iter().map(Vec::as_slice));
        assert_eq!(of(Vec::new()), 0.0);
        assert_eq!(of(vec![certain(1); 9]), 0.0);
        let all = of((0..CLASSES).map(certain).collect());
        assert!((all - (CLASSES as f32).ln()).abs() < 1e-5, "{all}");
    }
}
