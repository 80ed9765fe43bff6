//! A whole block as one step: between its two convolutions nothing but their raw outputs is kept.
//!
//! What BatchNorm and ReLU make of those is computed again where it is needed, a cache-sized part at a time. Work is cut
//! into the same groups of windows on any number of threads, and their sums are added in order.

use rayon::prelude::*;

use burn::backend::Flex;

use super::dropout::Dropout;
use super::graph::{self, Graph};
use super::lanes::{add_to_rows, sum_rows, wide, zip};
use super::matrix::{Matrix, Write, product};
use super::norm::{Layer, Moments, Slope, Sums};
use super::temporal::Temporal;
use super::{BlockInputs, CACHED, Flat, Raw, dims, group, raw};

/// What a block adds to the output of its convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residual {
    /// Nothing.
    None,
    /// Its input.
    Identity,
    /// Its kept frames through a pointwise convolution and BatchNorm.
    Projected,
}

/// How a block runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Every `stride`-th frame is kept.
    pub(crate) stride: usize,
    /// What is added.
    pub(crate) residual: Residual,
    /// BatchNorm takes its statistics from the batch, not from `given`.
    pub(crate) train: bool,
    /// Before the residual is added.
    pub(crate) dropout: Option<Dropout>,
}

/// Number of a block's tensors; see [`BlockInputs::list`].
pub(super) const TENSORS: usize = 16;
/// Those of them that may have gradients, in the order of [`backward`]'s results.
pub(super) const TRAINED: usize = 14;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    inputs: [Raw; TENSORS],
    way: Way,
    /// Outputs of both convolutions and of the residual's.
    graph: Raw,
    temporal: Raw,
    residual: Option<Raw>,
    output: Raw,
    /// Mean and variance of the three BatchNorm layers, `[layer, 2, channel]`.
    statistics: Raw,
}

/// Sizes and weights of one block.
struct Block<'a> {
    batch: usize,
    way: Way,
    graph: Graph<'a>,
    temporal: Temporal,
    tensors: [&'a [f32]; TENSORS],
}

impl<'a> Block<'a> {
    fn new(flats: &'a [Flat; TENSORS], way: Way) -> Self {
        let tensors = flats.each_ref().map(Flat::values);
        let [batch, joints, frames, input] = dims(&flats[0].0);
        let [_, _, output] = dims(&flats[1].0);
        let [_, weight, bias, adjacency, edge, ..] = tensors;
        Self {
            batch,
            way,
            graph: Graph::new(
                [joints, frames, input, output],
                weight,
                bias,
                adjacency,
                edge,
            ),
            temporal: Temporal::new(frames, [output, output], way.stride),
            tensors,
        }
    }

    /// Floats of one window: of the input, after the graph convolution, of the output.
    fn windows(&self) -> [usize; 3] {
        let Graph {
            joints,
            frames,
            input,
            output,
            ..
        } = self.graph;
        [
            joints * frames * input,
            joints * frames * output,
            joints * self.temporal.kept * output,
        ]
    }

    fn output_shape(&self) -> [usize; 4] {
        let Graph { joints, output, .. } = self.graph;
        [self.batch, joints, self.temporal.kept, output]
    }

    /// Windows of a group and of a part that fits the cache.
    fn cut(&self) -> (usize, usize) {
        let [_, inner, _] = self.windows();
        let largest = inner.max(self.graph.gathered());
        (group(self.batch), (CACHED / largest).max(1))
    }

    fn layer(&self, index: usize, statistics: &'a [f32]) -> Layer<'a> {
        let [
            _,
            _,
            _,
            _,
            _,
            gamma1,
            beta1,
            _,
            _,
            gamma2,
            beta2,
            _,
            _,
            gamma3,
            beta3,
            _,
        ] = self.tensors;
        let (gamma, beta) = [(gamma1, beta1), (gamma2, beta2), (gamma3, beta3)][index];
        let size = 2 * self.graph.output;
        Layer::new(gamma, beta, &statistics[index * size..(index + 1) * size])
    }

    /// The residual's convolution over the kept frames of some windows.
    fn project(&self, x: &[f32], out: &mut [f32]) {
        let (weight, bias) = (self.tensors[11], self.tensors[12]);
        let Graph {
            frames,
            input,
            output,
            ..
        } = self.graph;
        let weight = Matrix::dense(weight, output);
        let count = x.len() / (frames * input);
        for frame in 0..self.temporal.kept {
            let from = frame * self.way.stride * input;
            let rows = Matrix::new(&x[from..], [count, input], frames * input);
            let stride = self.temporal.kept_sequence();
            product(rows, weight, &mut out[frame * output..], stride, Write::Set);
        }
        add_to_rows(out, bias);
    }

    /// Adds to the gradients of the residual's weight, bias and input.
    fn project_back(
        &self,
        x: &[f32],
        grad: &[f32],
        dx: Option<&mut [f32]>,
        [dweight, dbias]: [&mut [f32]; 2],
    ) {
        let Graph {
            frames,
            input,
            output,
            ..
        } = self.graph;
        let weight = Matrix::dense(self.tensors[11], output).transposed();
        let count = x.len() / (frames * input);
        let mut dx = dx;
        for frame in 0..self.temporal.kept {
            let from = frame * self.way.stride * input;
            let rows = Matrix::new(&x[from..], [count, input], frames * input).transposed();
            let stride = self.temporal.kept_sequence();
            let grads = Matrix::new(&grad[frame * output..], [count, output], stride);
            product(rows, grads, dweight, output, Write::Add);
            if let Some(dx) = dx.as_deref_mut() {
                product(grads, weight, &mut dx[from..], frames * input, Write::Add);
            }
        }
        sum_rows(dbias, grad);
    }
}

/// Output, statistics and, if the backward pass will come, what it needs.
pub(super) fn forward(
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

/// Sums of one group of windows in the first pass back.
struct Outer<'a> {
    norm: Sums<'a>,
    projected: Sums<'a>,
}

/// Gradients of the tensors that may have them; that of the input only if `needs_x`.
pub(super) fn backward(saved: Saved, grad: Raw, needs_x: bool) -> [Option<Raw>; TRAINED] {
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
