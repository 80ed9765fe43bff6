//! Voting of streams about which windows of a batch belong together, and the loss that follows the vote.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

/// Which pairs of windows most streams hold for neighbours: 1, otherwise 0.
///
/// In a stream two windows are neighbours if, in both directions, they are the same window or the one is among the
/// `neighbours` most similar to the other; a pair needs the `votes` of so many streams. Equal similarities rank by position.
///
/// # Shapes
/// - `streams`: similarities of the first view with the second, and of the second with the first, `[batch, batch]` each
/// - output: `[batch, batch]`, off the autodiff graph
///
/// # Source
/// CSCL, the second stage of CMCS: two neighbours, two votes of three.
pub fn vote(streams: &[[Tensor<2>; 2]], neighbours: usize, votes: usize) -> Tensor<2> {
    let [batch, _] = streams[0][0].dims();
    let device = streams[0][0].device().without_autodiff();
    let mut count = vec![0; batch * batch];
    for directions in streams {
        let [first, second] = directions
            .clone()
            .map(|similarity| near(similarity, neighbours));
        for (count, agreed) in count.iter_mut().zip(first.iter().zip(second)) {
            *count += usize::from(*agreed.0 && agreed.1);
        }
    }
    let label = |count: &usize| if *count >= votes { 1.0 } else { 0.0 };
    let labels: Vec<f32> = count.iter().map(label).collect();
    Tensor::from_data(TensorData::new(labels, [batch, batch]), &device)
}

/// The diagonal and the most similar entries of each row.
fn near(similarity: Tensor<2>, neighbours: usize) -> Vec<bool> {
    let [batch, _] = similarity.dims();
    let data = similarity.without_autodiff().into_data();
    let values: Vec<f32> = data.try_to_vec().unwrap_or_default();
    let mut near = vec![false; batch * batch];
    for (row, values) in values.chunks(batch).enumerate() {
        let mut order: Vec<usize> = (0..batch).collect();
        // The sort is stable, and a NaN has some place too: the loss, NaN itself, stops the run.
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        for column in order.into_iter().take(neighbours).chain([row]) {
            near[row * batch + column] = true;
        }
    }
    near
}

/// Mean over rows of the summed cross-entropy with every labelled column. Without a temperature, as published.
///
/// # Shapes
/// `[batch, batch], [batch, batch] -> [1]`
///
/// # Source
/// CSCL's distribution matching.
pub fn vote_loss(similarity: Tensor<2>, labels: Tensor<2>) -> Tensor<1> {
    (log_softmax(similarity, 1) * labels)
        .sum_dim(1)
        .neg()
        .mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    // Golden example of four windows.
    const JOINT: [[f32; 4]; 4] = [
        [0.9, 0.5, 0.1, 0.0],
        [0.4, 0.8, 0.3, 0.2],
        [0.1, 0.2, 0.7, 0.6],
        [0.0, 0.3, 0.65, 0.9],
    ];
    const MOTION: [[f32; 4]; 4] = [
        [0.8, 0.6, 0.2, 0.1],
        [0.7, 0.6, 0.1, 0.3],
        [0.2, 0.1, 0.9, 0.5],
        [0.1, 0.2, 0.4, 0.8],
    ];
    const BONE: [[f32; 4]; 4] = [
        [0.7, 0.1, 0.6, 0.0],
        [0.2, 0.9, 0.4, 0.1],
        [0.5, 0.3, 0.8, 0.2],
        [0.3, 0.1, 0.2, 0.6],
    ];

    fn stream(values: [[f32; 4]; 4]) -> [Tensor<2>; 2] {
        let similarity = Tensor::from_floats(values, &Device::flex());
        [similarity.clone(), similarity.transpose()]
    }

    fn check(votes: usize, expect: [[f32; 4]; 4]) {
        let labels = vote(&[JOINT, MOTION, BONE].map(stream), 2, votes);
        let labels: Vec<f32> = labels.into_data().try_to_vec().unwrap();
        assert_eq!(labels, expect.concat());
    }

    #[test]
    fn votes_have_the_golden_values() {
        let (o, i) = (0.0, 1.0);
        check(3, [[i, o, o, o], [o, i, o, o], [o, o, i, o], [o, o, o, i]]);
        check(2, [[i, i, o, o], [i, i, o, o], [o, o, i, i], [o, o, i, i]]);
        check(1, [[i, i, i, o], [i, i, i, o], [i, o, i, i], [o, o, i, i]]);
    }

    #[test]
    fn the_loss_has_the_golden_value() {
        let labels = vote(&[JOINT, MOTION, BONE].map(stream), 2, 2);
        let [similarity, _] = stream(JOINT);
        let loss: f32 = vote_loss(similarity, labels).into_scalar();
        assert!((loss - 2.332_386_2).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn a_window_is_its_own_neighbour_whatever_the_similarities() {
        let values = [[0.0, 1.0], [1.0, 0.0]];
        let similarity = Tensor::<2>::from_floats(values, &Device::flex());
        let labels = vote(&[[similarity.clone(), similarity]], 1, 1);
        assert_eq!(labels.into_data().try_to_vec::<f32>().unwrap(), [1.0; 4]);
    }

    #[test]
    fn more_neighbours_than_windows_are_all_windows() {
        let labels = vote(&[stream(BONE)], 9, 1);
        assert_eq!(labels.into_data().try_to_vec::<f32>().unwrap(), [1.0; 16]);
    }
}
