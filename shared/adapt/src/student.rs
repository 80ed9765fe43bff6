//! The student's gradient: gated pseudo-labels on the strong view, source replay.
//!
//! # Source
//! FixMatch's loss with fixed targets, Mean Teacher's pair, and replay against drift. There is neither dropout nor BatchNorm: the tail
//! corrects a folded encoder. `KL(mean prediction || prior)` against classes that swallow the others was measured and earned nothing
//! beside replay and a balanced memory (`docs/adaptation.md`).

use super::features::Features;
use super::flat;
use super::model::Model;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

/// The part of a batch that is computed at once. Sums over all parts of a batch give the batch's gradient, so a small part
/// costs time but changes nothing.
pub struct Lesson<'b> {
    /// Strong views with their labels.
    pub pseudo: &'b [(Features, u16)],
    /// Weight of each of them; those beyond the list's end have weight 1.
    pub weights: &'b [f32],
    /// Source windows with their labels.
    pub replay: &'b [(Features, u16)],
    /// Pseudo-labelled windows in the whole batch.
    pub total_pseudo: usize,
    /// Replayed windows in the whole batch.
    pub total_replay: usize,
    /// Weight of the replay.
    pub replay_weight: f32,
}

/// Loss and gradient of one part, to be added up over the parts of a batch.
#[must_use]
pub fn gradient(
    model: &Model,
    weights: &[f32],
    device: &Device,
    lesson: &Lesson<'_>,
) -> (f32, Vec<f32>) {
    let tail = model.student(weights);
    let windows: Vec<&Features> = lesson
        .pseudo
        .iter()
        .chain(lesson.replay)
        .map(|(features, _)| features)
        .collect();
    let Some(logits) = model.learn(&tail, &windows) else {
        return (0.0, vec![0.0; weights.len()]);
    };
    let [count, classes] = logits.dims();
    let log_probabilities = log_softmax(logits, 1);

    let pseudo_weight = 1.0 / lesson.total_pseudo.max(1) as f32;
    let replay_weight = lesson.replay_weight / lesson.total_replay.max(1) as f32;
    let mut targets = vec![0.0_f32; count * classes];
    let weighted = lesson
        .pseudo
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            let weight = lesson.weights.get(index).copied().unwrap_or(1.0);
            (pair, weight * pseudo_weight)
        })
        .chain(lesson.replay.iter().map(|pair| (pair, replay_weight)));
    for (row, ((_, label), weight)) in weighted.enumerate() {
        if let Some(cell) = targets.get_mut(row * classes + usize::from(*label)) {
            *cell = weight;
        }
    }
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [count, classes]), device);
    let loss = (log_probabilities * targets).sum().neg();
    let value = flat::values(loss.clone())
        .first()
        .copied()
        .unwrap_or(f32::NAN);
    let gradients = loss.backward();
    (value, flat::gradients(&tail, &gradients))
}
