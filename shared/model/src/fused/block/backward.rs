//! A block backward: two passes over the groups, one for each convolution.

use rayon::prelude::*;

use super::super::graph;
use super::super::lanes::{sum_rows, wide, zip};
use super::super::norm::{Layer, Slope, Sums};
use super::super::{Flat, Raw, dims, raw};
use super::{Block, Residual, Saved, TRAINED};

/// Sums of one group of windows in the first pass back.
struct Outer<'a> {
    norm: Sums<'a>,
    projected: Sums<'a>,
}

/// Gradients of the tensors that may have them; that of the input only if `needs_x`.
pub(in crate::fused) fn backward(saved: Saved, grad: Raw, needs_x: bool) -> [Option<Raw>; TRAINED] {
    let Saved {
        inputs,
        way,
        graph,
        temporal,
        residual,
        output: kept,
        statistics,
    } = saved;
    let flats = inputs.map(Flat);
    let block = Block::new(&flats, way);
    let (graph, temporal, statistics) = (Flat(graph), Flat(temporal), Flat(statistics));
    let residual = residual.map(Flat);
    let residual = residual.as_ref().map(Flat::values).unwrap_or_default();
    let [x, _, _, _, _, _, _, weight, ..] = block.tensors;
    let statistics = statistics.values();
    let norms = [0, 1, 2].map(|index| block.layer(index, statistics));
    let output = block.graph.output;
    let [window, inner, outer] = block.windows();
    let (run, part) = block.cut();
    let count = |rows: usize| way.train.then_some(rows / output);

    // Through the last ReLU, in place; sums for the last BatchNorm and the residual's.
    let mut grad = Flat::new(&grad);
    let kept = Flat(kept);
    let sums: Vec<Outer<'_>> = grad
        .values_mut()
        .par_chunks_mut(run * outer)
        .zip(temporal.values().par_chunks(run * outer))
        .zip(kept.values().par_chunks(run * outer))
        .enumerate()
        .map(|(index, ((grad, temporal), kept))| {
            let (mut norm, mut projected) = (norms[1].sums(), norms[2].sums());
            match way.dropout {
                None => norm.mask_and_add(temporal, grad, kept, 0.0),
                Some(dropout) => {
                    mask(grad, kept);
                    let mut dropped = grad.to_vec();
                    dropout.apply(index * run * outer, &mut dropped);
                    norm.add(temporal, &dropped);
                }
            }
            if way.residual == Residual::Projected {
                let start = index * run * outer;
                projected.add(&residual[start..start + grad.len()], grad);
            }
            Outer { norm, projected }
        })
        .collect();
    drop(kept);
    let rows = block.batch * outer;
    let slope2 = norms[1].slope(sums.iter().map(|sums| &sums.norm), count(rows));
    let slope3 = norms[2].slope(sums.iter().map(|sums| &sums.projected), count(rows));
    drop(sums);

    // Through the temporal convolution and the first ReLU.
    let mut middle = vec![0.0; block.batch * inner];
    let flipped = block.temporal.flipped(weight);
    let parts: Vec<(Vec<f32>, Vec<f32>, Sums<'_>)> = middle
        .par_chunks_mut(run * inner)
        .zip(graph.values().par_chunks(run * inner))
        .zip(temporal.values().par_chunks(run * outer))
        .zip(grad.values().par_chunks(run * outer))
        .enumerate()
        .map(|(index, (((middle, graph), temporal), grad))| {
            let (mut dweight, mut dbias) = (vec![0.0; weight.len()], vec![0.0; output]);
            let mut sums = norms[0].sums();
            let (mut hidden, mut dropped) = (Vec::new(), Vec::new());
            let parts = middle
                .chunks_mut(part * inner)
                .zip(graph.chunks(part * inner));
            let outers = temporal.chunks(part * outer).zip(grad.chunks(part * outer));
            for (place, ((middle, graph), (temporal, grad))) in parts.zip(outers).enumerate() {
                dropped.clear();
                dropped.extend_from_slice(grad);
                if let Some(dropout) = way.dropout {
                    dropout.apply((index * run + place * part) * outer, &mut dropped);
                }
                norms[1].pull(&slope2, temporal, &mut dropped);
                hidden.resize(graph.len(), 0.0);
                norms[0].apply(graph, 0.0, &mut hidden);
                block
                    .temporal
                    .weight_gradient(&hidden, &dropped, &mut dweight);
                sum_rows(&mut dbias, &dropped);
                block.temporal.input_gradient(&dropped, &flipped, middle);
                sums.mask_and_add(graph, middle, &hidden, 0.0);
            }
            (dweight, dbias, sums)
        })
        .collect();
    drop(temporal);
    let slope1 = norms[0].slope(
        parts.iter().map(|(_, _, sums)| sums),
        count(block.batch * inner),
    );
    let (mut dweight, mut dbias) = (vec![0.0; weight.len()], vec![0.0; output]);
    for (weight, bias, _) in &parts {
        sum_rows(&mut dweight, weight);
        sum_rows(&mut dbias, bias);
    }
    drop(parts);

    // Through the first BatchNorm, the graph convolution and the residual.
    let identity = way.residual == Residual::Identity;
    let mut fresh = Vec::new();
    let grads = Grads {
        block: &block,
        norms: &norms,
        slopes: [&slope1, &slope3],
        x,
        graph: graph.values(),
        residual,
    };
    let parts: Vec<Inner> = if identity {
        // What the residual sends back is there already; the rest adds to it.
        let pieces = grad.values_mut().par_chunks_mut(run * outer);
        middle
            .par_chunks_mut(run * inner)
            .zip(pieces)
            .enumerate()
            .map(|(index, (middle, dx))| grads.inner(index, middle, &[], Some(dx)))
            .collect()
    } else {
        let pieces = grad.values().par_chunks(run * outer);
        let middle = middle.par_chunks_mut(run * inner).zip(pieces).enumerate();
        if needs_x {
            fresh = vec![0.0; x.len()];
            middle
                .zip(fresh.par_chunks_mut(run * window))
                .map(|((index, (middle, grad)), dx)| grads.inner(index, middle, grad, Some(dx)))
                .collect()
        } else {
            middle
                .map(|(index, (middle, grad))| grads.inner(index, middle, grad, None))
                .collect()
        }
    };
    let mut projection = [vec![0.0; block.tensors[11].len()], vec![0.0; output]];
    for part in &parts {
        sum_rows(&mut projection[0], &part.projection[0]);
        sum_rows(&mut projection[1], &part.projection[1]);
    }
    let graph_gradients = block.graph.finish(parts.into_iter().map(|part| part.graph));

    let dx = needs_x.then(|| {
        if identity {
            grad.reshaped(dims::<4>(&flats[0].0))
        } else {
            raw(fresh, dims::<4>(&flats[0].0))
        }
    });
    let like = |values: Vec<f32>, index: usize| Some(raw_like(values, &flats[index].0));
    let [projection, projection_bias] = projection;
    let projected = way.residual == Residual::Projected;
    let only = |values: Vec<f32>, index| if projected { like(values, index) } else { None };
    [
        dx,
        like(graph_gradients.weight, 1),
        like(graph_gradients.bias, 2),
        like(graph_gradients.edge, 4),
        like(slope1.gamma, 5),
        like(slope1.beta, 6),
        like(dweight, 7),
        like(dbias, 8),
        like(slope2.gamma, 9),
        like(slope2.beta, 10),
        only(projection, 11),
        only(projection_bias, 12),
        only(slope3.gamma, 13),
        only(slope3.beta, 14),
    ]
}

fn raw_like(values: Vec<f32>, other: &Raw) -> Raw {
    let flat = raw(values, [other.layout().num_elements()]);
    flat.reshape(other.layout().shape().clone())
}

/// Sets gradients to zero where the output was.
fn mask(grads: &mut [f32], kept: &[f32]) {
    wide(
        #[inline(always)]
        || {
            zip!([grads], [kept], {
                *grads = if kept > 0.0 { *grads } else { 0.0 };
            });
        },
    );
}

/// Sums of one group of windows in the last pass back.
struct Inner {
    graph: graph::Sums,
    projection: [Vec<f32>; 2],
}

/// What the last pass back reads.
struct Grads<'a> {
    block: &'a Block<'a>,
    norms: &'a [Layer<'a>; 3],
    /// Of the first BatchNorm and of the residual's.
    slopes: [&'a Slope; 2],
    x: &'a [f32],
    graph: &'a [f32],
    residual: &'a [f32],
}

impl Grads<'_> {
    /// The last pass over group `index`: `middle` is the gradient after the first BatchNorm, `grad` that after the
    /// residual (empty unless it is projected).
    fn inner(
        &self,
        index: usize,
        middle: &mut [f32],
        grad: &[f32],
        mut dx: Option<&mut [f32]>,
    ) -> Inner {
        let block = self.block;
        let [window, inner, outer] = block.windows();
        let (run, part) = block.cut();
        let mut sums = block.graph.sums();
        let mut projection = [
            vec![0.0; block.tensors[11].len()],
            vec![0.0; block.graph.output],
        ];
        let (mut rows, mut projected) = (Vec::new(), Vec::new());
        for (place, middle) in middle.chunks_mut(part * inner).enumerate() {
            let first = index * run + place * part;
            let count = middle.len() / inner;
            let x = &self.x[first * window..][..count * window];
            let graph = &self.graph[first * inner..][..count * inner];
            let mut dx = dx
                .as_deref_mut()
                .map(|dx| &mut dx[place * part * window..][..count * window]);
            self.norms[0].pull(self.slopes[0], graph, middle);
            block
                .graph
                .backward(x, middle, dx.as_deref_mut(), &mut rows, &mut sums);
            if block.way.residual == Residual::Projected {
                projected.clear();
                projected.extend_from_slice(&grad[place * part * outer..][..count * outer]);
                let residual = &self.residual[first * outer..][..count * outer];
                self.norms[2].pull(self.slopes[1], residual, &mut projected);
                let [weight, bias] = &mut projection;
                block.project_back(x, &projected, dx, [weight, bias]);
            }
        }
        Inner {
            graph: sums,
            projection,
        }
    }
}
