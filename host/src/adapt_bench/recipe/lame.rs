//! LAME: answers of a batch are corrected so that neighbours agree; nothing is learnt.
//!
//! # Source
//! Boudiaf et al., "Parameter-free online test-time adaptation", CVPR 2022. Minimises `sum_i KL(z_i || q_i) - sum_ij w_ij z_i.z_j` by
//! `z_i <- softmax(log q_i + sum_j w_ij z_j)` until it rests, with `w_ij = 1` for the 5 nearest neighbours of pooled features (their kNN affinity, cosine) and
//! `q` the shipped answers. Deliberate difference: `q` is calibrated.

use super::super::method::{Adapting, Said, Shown};
use super::vector::{add, dot, softmax, unit};

/// Neighbours of a window.
const NEIGHBOURS: usize = 5;
/// Rounds, at most; and the change below which it rests.
const ROUNDS: usize = 100;
const REST: f32 = 1e-5;

/// The method; it remembers nothing.
#[derive(Debug, Clone, Copy)]
pub struct Lame;

impl Adapting for Lame {
    fn answer(&mut self, windows: &[Shown<'_>], _: bool) -> Result<Vec<Said>, String> {
        let pooled: Vec<&[f32]> = windows
            .iter()
            .map(|shown| &shown.window.pooled[..])
            .collect();
        let said: Vec<&[f32]> = windows.iter().map(|shown| &shown.window.base[..]).collect();
        let corrected = correct(&pooled, &said).into_iter();
        Ok(corrected.map(|one| Said::likeliest(&one, true)).collect())
    }
}

/// Corrected probabilities of a batch.
fn correct(pooled: &[&[f32]], said: &[&[f32]]) -> Vec<Vec<f32>> {
    let units: Vec<Vec<f32>> = pooled.iter().map(|one| unit(one)).collect();
    let near: Vec<Vec<usize>> = (0..units.len())
        .map(|own| {
            let others = (0..units.len()).filter(|other| *other != own);
            let mut others: Vec<(f32, usize)> = others
                .map(|other| (dot(&units[own], &units[other]), other))
                .collect();
            others.sort_by(|a, b| b.0.total_cmp(&a.0));
            others.truncate(NEIGHBOURS);
            others.into_iter().map(|(_, other)| other).collect()
        })
        .collect();
    let mut answers: Vec<Vec<f32>> = said.iter().map(|one| one.to_vec()).collect();
    for _ in 0..ROUNDS {
        let next: Vec<Vec<f32>> = (0..answers.len())
            .map(|own| {
                if near[own].is_empty() {
                    return answers[own].clone();
                }
                let mut logits: Vec<f32> = said[own]
                    .iter()
                    .map(|value| value.max(1e-12).ln())
                    .collect();
                for other in &near[own] {
                    add(&mut logits, &answers[*other], 1.0);
                }
                softmax(&logits)
            })
            .collect();
        let moved = next.iter().flatten().zip(answers.iter().flatten());
        let moved = moved
            .map(|(new, old)| (new - old).abs())
            .fold(0.0, f32::max);
        answers = next;
        if moved < REST {
            break;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt_bench::recipe::vector::largest;

    #[test]
    fn lame_never_changes_a_batch_of_one() {
        let said = [0.4, 0.6];
        assert_eq!(correct(&[&[1.0, 2.0]], &[&said]), [said.to_vec()]);
    }

    #[test]
    fn an_unsure_window_takes_the_class_of_its_neighbours() {
        let near = [1.0, 0.1];
        let pooled: Vec<&[f32]> = vec![&near; 6];
        let sure = [0.9, 0.1];
        let unsure = [0.45, 0.55];
        let mut said: Vec<&[f32]> = vec![&sure; 5];
        said.push(&unsure);
        let corrected = correct(&pooled, &said);
        assert!(
            corrected.iter().all(|one| largest(one) == 0),
            "{corrected:?}"
        );
    }

    #[test]
    fn windows_far_apart_keep_their_classes() {
        let (left, right) = ([1.0, 0.0], [0.0, 1.0]);
        let pooled: Vec<&[f32]> = [vec![&left[..]; 6], vec![&right[..]; 6]].concat();
        let (first, second) = ([0.9, 0.1], [0.1, 0.9]);
        let said: Vec<&[f32]> = [vec![&first[..]; 6], vec![&second[..]; 6]].concat();
        let corrected = correct(&pooled, &said);
        let classes: Vec<usize> = corrected.iter().map(|one| largest(one)).collect();
        assert_eq!(classes, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    }
}
