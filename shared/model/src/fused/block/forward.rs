//! A block forward: both convolutions, their BatchNorm layers and the residual.

use burn::backend::Flex;
use rayon::prelude::*;

use super::super::graph::Graph;
use super::super::lanes::{add_to_rows, wide, zip};
use super::super::norm::Moments;
use super::super::{BlockInputs, Flat, Raw, raw};
use super::{Block, Residual, Saved, Way};

/// Output, statistics and, if the backward pass will come, what it needs.
pub(in crate::fused) fn forward(
    inputs: &BlockInputs<Flex>,
    way: Way,
    keep: bool,
) -> (Raw, Raw, Option<Saved>) {
    let flats = inputs.list().map(|tensor| Flat::new(&tensor));
    let block = Block::new(&flats, way);
    let [x, _, _, _, _, _, _, weight, bias, .., given] = block.tensors;
    let output = block.graph.output;
    let [window, inner, outer] = block.windows();
    let (run, part) = block.cut();
    let channels = 2 * output;
    let mut statistics = given.to_vec();
    statistics.resize(3 * channels, 0.0);

    let mut graph = vec![0.0; block.batch * inner];
    let found: Vec<Moments> = graph
        .par_chunks_mut(run * inner)
        .zip(x.par_chunks(run * window))
        .map(|(out, x)| {
            let (mut rows, mut moments) = (Vec::new(), Moments::new(output));
            for (out, x) in out.chunks_mut(part * inner).zip(x.chunks(part * window)) {
                block.graph.forward(x, &mut rows, out);
                if way.train {
                    moments.add(out);
                }
            }
            moments
        })
        .collect();
    if way.train {
        statistics[..channels].copy_from_slice(&Moments::join(&found));
    }

    let mut temporal = vec![0.0; block.batch * outer];
    let first = statistics.clone();
    let norm = block.layer(0, &first);
    let found: Vec<Moments> = temporal
        .par_chunks_mut(run * outer)
        .zip(graph.par_chunks(run * inner))
        .map(|(out, graph)| {
            let (mut hidden, mut moments) = (Vec::new(), Moments::new(output));
            for (out, graph) in out.chunks_mut(part * outer).zip(graph.chunks(part * inner)) {
                hidden.resize(graph.len(), 0.0);
                norm.apply(graph, 0.0, &mut hidden);
                block.temporal.forward(&hidden, weight, out);
                add_to_rows(out, bias);
                if way.train {
                    moments.add(out);
                }
            }
            moments
        })
        .collect();
    if way.train {
        statistics[channels..2 * channels].copy_from_slice(&Moments::join(&found));
    }
    let graph = keep.then_some(graph);

    let mut residual = Vec::new();
    if way.residual == Residual::Projected {
        residual = vec![0.0; block.batch * outer];
        let found: Vec<Moments> = residual
            .par_chunks_mut(run * outer)
            .zip(x.par_chunks(run * window))
            .map(|(out, x)| {
                let mut moments = Moments::new(output);
                for (out, x) in out.chunks_mut(part * outer).zip(x.chunks(part * window)) {
                    block.project(x, out);
                    if way.train {
                        moments.add(out);
                    }
                }
                moments
            })
            .collect();
        if way.train {
            statistics[2 * channels..].copy_from_slice(&Moments::join(&found));
        }
    }

    let second = statistics.clone();
    let (norm, projected) = (block.layer(1, &second), block.layer(2, &second));
    let finish = |start: usize, out: &mut [f32], added: &[f32]| {
        if let Some(dropout) = way.dropout {
            dropout.apply(start, out);
        }
        match way.residual {
            Residual::None => rectify(out),
            Residual::Identity => add_and_rectify(out, added),
            Residual::Projected => {
                let mut rows = vec![0.0; added.len()];
                projected.apply(added, f32::NEG_INFINITY, &mut rows);
                add_and_rectify(out, &rows);
            }
        }
    };
    let added = match way.residual {
        Residual::None => &[][..],
        Residual::Identity => x,
        Residual::Projected => residual.as_slice(),
    };
    let piece = part * outer;
    let added = |index: usize, length: usize| match added {
        [] => &[][..],
        added => &added[index * piece..index * piece + length],
    };
    let (result, temporal) = if keep {
        let mut out = vec![0.0; block.batch * outer];
        out.par_chunks_mut(piece)
            .zip(temporal.par_chunks(piece))
            .enumerate()
            .for_each(|(index, (out, temporal))| {
                norm.apply(temporal, f32::NEG_INFINITY, out);
                let added = added(index, out.len());
                finish(index * piece, out, added);
            });
        (out, temporal)
    } else {
        temporal
            .par_chunks_mut(piece)
            .enumerate()
            .for_each(|(index, out)| {
                norm.apply_in_place(out);
                let added = added(index, out.len());
                finish(index * piece, out, added);
            });
        (temporal, Vec::new())
    };

    let shape = block.output_shape();
    let result = raw(result, shape);
    let statistics = raw(statistics, [3, 2, output]);
    let saved = graph.map(|graph| {
        let Graph { joints, frames, .. } = block.graph;
        let inner_shape = [block.batch, joints, frames, output];
        Saved {
            way,
            graph: raw(graph, inner_shape),
            temporal: raw(temporal, shape),
            residual: (!residual.is_empty()).then(|| raw(residual, shape)),
            output: result.clone(),
            statistics: statistics.clone(),
            inputs: flats.map(|flat| flat.0),
        }
    });
    (result, statistics, saved)
}

fn rectify(values: &mut [f32]) {
    wide(
        #[inline(always)]
        || {
            zip!([values], [], {
                let value = *values;
                *values = if value < 0.0 { 0.0 } else { value };
            });
        },
    );
}

fn add_and_rectify(values: &mut [f32], added: &[f32]) {
    wide(
        #[inline(always)]
        || {
            zip!([values], [added], {
                let value = *values + added;
                *values = if value < 0.0 { 0.0 } else { value };
            });
        },
    );
}
