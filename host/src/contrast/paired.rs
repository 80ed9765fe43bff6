//! InfoNCE in both directions between windows and texts, when several windows may share a text.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Mean of two cross-entropies: each window must find its text among all texts, and each window's text must find its windows
/// among all windows.
///
/// Windows that share a text are never each other's negatives: no text stands in two columns, so the first direction is a softmax over
/// classes if texts are class names; in the second, a text's right answer is spread evenly over its windows. (So that direction
/// ends at the logarithm of their number, not at zero.) Columns of texts that no window has take part in the first direction only.
///
/// # Shapes
/// - `logits`: `[window, text]`
/// - `texts`: each window's column
///
/// # Source
/// CLIP (Radford et al., 2021), with targets of equal texts joined as in UniCL (Yang et al., 2022).
pub fn paired_loss(logits: Tensor<2>, texts: &[usize]) -> Tensor<1> {
    let columns: Vec<i64> = texts.iter().map(|text| *text as i64).collect();
    let columns = TensorData::new(columns, [texts.len(), 1]);
    let columns = Tensor::<2, Int>::from_data(columns, &logits.device());
    let own = |axis| {
        log_softmax(logits.clone(), axis)
            .gather(1, columns.clone())
            .neg()
            .mean()
    };
    // A text with n windows has n rows here, each with a share of 1 / n of its answer: their sum is its cross-entropy, weighted with n.
    (own(1) + own(0)) * 0.5
}

/// Share of windows that are most similar to their own text, 0..=1.
pub fn paired_accuracy(logits: &Tensor<2>, texts: &[usize]) -> f64 {
    let logits = logits.clone().without_autodiff();
    let data = logits.argmax(1).into_data();
    let best: Vec<i64> = data.iter::<i64>().collect();
    let right = best.iter().zip(texts);
    let right = right.filter(|(best, text)| usize::try_from(**best) == Ok(**text));
    right.count() as f64 / texts.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn logits(rows: [[f32; 3]; 3]) -> Tensor<2> {
        Tensor::from_floats(rows, &Device::flex())
    }

    fn loss(rows: [[f32; 3]; 3], texts: [usize; 3]) -> f32 {
        paired_loss(logits(rows), &texts).into_scalar()
    }

    // Each row and each column: ln(e^2 + 2) - 2.
    #[test]
    fn with_a_text_a_window_it_is_clips_loss() {
        let rows = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]];
        let expect = (2.0_f32.exp() + 2.0).ln() - 2.0;
        assert!((loss(rows, [0, 1, 2]) - expect).abs() < 1e-6);
    }

    // Windows 0 and 1 share a text; column 2 belongs to nobody and counts in the rows only. Rows: ln(e^9 + 2) - 9; column 0: each
    // of its windows has probability 1/2 but for e^-9; column 1: the same as CLIP's.
    #[test]
    fn windows_that_share_a_text_are_no_negatives_of_each_other() {
        let rows = [[9.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]];
        let row = (9.0_f32.exp() + 2.0).ln() - 9.0;
        let shared = (2.0 * 9.0_f32.exp() + 1.0).ln() - 9.0;
        let expect = 0.5 * (row + (2.0 * shared + row) / 3.0);
        assert!((loss(rows, [0, 0, 1]) - expect).abs() < 1e-5);
        // Nothing is gained by preferring one of both.
        let uneven = [[9.0, 0.0, 0.0], [7.0, 0.0, 0.0], [0.0, 9.0, 0.0]];
        assert!(loss(uneven, [0, 0, 1]) > expect);
    }

    #[test]
    fn accuracy_counts_the_own_text() {
        let rows = logits([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]);
        assert!((paired_accuracy(&rows, &[0, 2, 2]) - 2.0 / 3.0).abs() < 1e-9);
    }
}
