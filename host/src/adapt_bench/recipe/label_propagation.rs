//! Label propagation over the windows seen: answers flow along a graph of neighbours.
//!
//! # Source
//! Zhou et al., "Learning with local and global consistency", NeurIPS 2003: `F <- a S F + (1 - a) Y` with `S = D^-1/2 W D^-1/2`,
//! here with the shipped answers as `Y`, because nothing is labelled. Reconstructed: `a = 0.8`, 20 rounds, 5 neighbours by cosine of pooled
//! features with weight `exp((cosine - 1) / 0.1)`. The graph grows with the stream: a window gets its neighbours among those seen before, and the
//! latest 512 windows are kept.

use super::super::method::{Adapting, Said, Shown};
use super::vector::{add, dot, unit};
use std::collections::VecDeque;

const NEIGHBOURS: usize = 5;
const ROUNDS: usize = 20;
const SHARE: f32 = 0.8;
const WIDTH: f32 = 0.1;
const KEPT: usize = 512;

/// A window that was seen.
#[derive(Debug, Clone)]
struct Seen {
    pooled: Vec<f32>,
    said: Vec<f32>,
}

/// The graph.
#[derive(Debug, Clone, Default)]
pub struct Propagation {
    seen: VecDeque<Seen>,
    /// Edges between windows, numbered from the stream's first one.
    edges: VecDeque<(usize, usize, f32)>,
    /// Windows that were given up.
    gone: usize,
}

impl Propagation {
    fn add(&mut self, pooled: &[f32], said: &[f32]) {
        let pooled = unit(pooled);
        let mut near: Vec<(f32, usize)> = self
            .seen
            .iter()
            .enumerate()
            .map(|(place, other)| (dot(&pooled, &other.pooled), place + self.gone))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let own = self.gone + self.seen.len();
        for (cosine, other) in near.into_iter().take(NEIGHBOURS) {
            let weight = ((cosine - 1.0) / WIDTH).exp();
            self.edges.push_back((own, other, weight));
        }
        self.seen.push_back(Seen {
            pooled,
            said: said.to_vec(),
        });
        if self.seen.len() > KEPT {
            self.seen.pop_front();
            self.gone += 1;
            let gone = self.gone;
            self.edges
                .retain(|(one, other, _)| *one >= gone && *other >= gone);
        }
    }

    /// What is thought of the latest `count` windows.
    fn latest(&self, count: usize) -> Vec<Vec<f32>> {
        let mut degrees = vec![0.0_f32; self.seen.len()];
        let edges: Vec<(usize, usize, f32)> = self
            .edges
            .iter()
            .map(|(one, other, weight)| (one - self.gone, other - self.gone, *weight))
            .collect();
        for (one, other, weight) in &edges {
            degrees[*one] += weight;
            degrees[*other] += weight;
        }
        let said = |place: usize| &self.seen[place].said;
        let mut thought: Vec<Vec<f32>> = (0..self.seen.len())
            .map(|place| said(place).clone())
            .collect();
        for _ in 0..ROUNDS {
            let mut next: Vec<Vec<f32>> = (0..thought.len())
                .map(|place| {
                    // Who has no neighbour thinks what he said.
                    let own = if degrees[place] > 0.0 {
                        1.0 - SHARE
                    } else {
                        1.0
                    };
                    said(place).iter().map(|value| own * value).collect()
                })
                .collect();
            for (one, other, weight) in &edges {
                let norm = (degrees[*one] * degrees[*other]).sqrt().max(1e-12);
                add(&mut next[*one], &thought[*other], SHARE * weight / norm);
                add(&mut next[*other], &thought[*one], SHARE * weight / norm);
            }
            thought = next;
        }
        let start = thought.len().saturating_sub(count);
        thought
            .split_off(start)
            .into_iter()
            .map(|values| {
                let sum: f32 = values.iter().sum();
                values.iter().map(|value| value / sum.max(1e-12)).collect()
            })
            .collect()
    }
}

impl Adapting for Propagation {
    fn answer(&mut self, windows: &[Shown<'_>], learn: bool) -> Result<Vec<Said>, String> {
        let before = (!learn).then(|| self.clone());
        for shown in windows {
            self.add(&shown.window.pooled, &shown.window.base);
        }
        let thought = self.latest(windows.len()).into_iter();
        let answers = thought.map(|one| Said::likeliest(&one, true)).collect();
        if let Some(before) = before {
            *self = before;
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt_bench::recipe::vector::largest;

    #[test]
    fn an_unsure_window_takes_the_class_of_those_like_it() {
        let mut graph = Propagation::default();
        for _ in 0..4 {
            graph.add(&[1.0, 0.0], &[0.9, 0.1]);
            graph.add(&[0.0, 1.0], &[0.1, 0.9]);
        }
        graph.add(&[1.0, 0.05], &[0.4, 0.6]);
        assert_eq!(largest(&graph.latest(1)[0]), 0);
    }

    #[test]
    fn a_window_that_is_alone_says_what_it_said() {
        let mut graph = Propagation::default();
        graph.add(&[1.0, 0.0], &[0.25, 0.75]);
        assert_eq!(graph.latest(1), [vec![0.25, 0.75]]);
    }

    #[test]
    fn memory_is_bounded_and_edges_go_with_their_windows() {
        let mut graph = Propagation::default();
        for number in 0..KEPT + 40 {
            let angle = number as f32 * 0.01;
            graph.add(&[angle.cos(), angle.sin()], &[0.5, 0.5]);
        }
        assert_eq!((graph.seen.len(), graph.gone), (KEPT, 40));
        assert!(
            graph
                .edges
                .iter()
                .all(|(one, other, _)| *one >= 40 && *other >= 40)
        );
        assert_eq!(graph.latest(3).len(), 3);
    }
}
