//! Graph convolution along the bones there are: joints are gathered first, channels mixed by one product.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;

use super::{CACHED, Flat, Raw, add, dims, grouped, product, raw};
use crate::graph::SUBSETS;

/// One entry of the adjacency that is not zero by construction.
#[derive(Clone, Copy)]
struct Link {
    subset: usize,
    source: usize,
    target: usize,
    /// Index into the adjacency's values.
    index: usize,
    /// Adjacency times edge importance.
    weight: f32,
}

/// Sizes and links of one graph convolution.
struct Shape {
    batch: usize,
    joints: usize,
    frames: usize,
    input: usize,
    output: usize,
    links: Vec<Link>,
}

impl Shape {
    fn new(x: &Raw, weight: &Raw, adjacency: &Flat, edge: &Flat) -> Self {
        let [batch, joints, frames, input] = dims(x);
        let [_, _, output] = dims(weight);
        let links = adjacency.values().iter().zip(edge.values()).enumerate();
        let links = links
            .filter(|(_, (entry, _))| **entry != 0.0)
            .map(|(index, (entry, edge))| Link {
                subset: index / (joints * joints),
                source: index / joints % joints,
                target: index % joints,
                index,
                weight: entry * edge,
            })
            .collect();
        Self {
            batch,
            joints,
            frames,
            input,
            output,
            links,
        }
    }

    /// Windows whose gathered rows fit the cache.
    fn chunk(&self) -> usize {
        (CACHED / (self.joints * self.frames * SUBSETS * self.input)).max(1)
    }

    /// Floats of one window of the input.
    fn window(&self) -> usize {
        self.joints * self.frames * self.input
    }

    /// Sums of sources for each target, `[window * joint * frame, subset * input]`.
    fn gather(&self, x: &[f32]) -> Vec<f32> {
        let Self { frames, input, .. } = *self;
        let width = SUBSETS * input;
        let mut rows = vec![0.0; x.len() * SUBSETS];
        for (x, rows) in x
            .chunks_exact(self.window())
            .zip(rows.chunks_exact_mut(self.window() * SUBSETS))
        {
            for link in &self.links {
                let x = &x[link.source * frames * input..(link.source + 1) * frames * input];
                let rows =
                    &mut rows[link.target * frames * width..(link.target + 1) * frames * width];
                for (x, row) in x.chunks_exact(input).zip(rows.chunks_exact_mut(width)) {
                    for (row, x) in row[link.subset * input..][..input].iter_mut().zip(x) {
                        *row += link.weight * x;
                    }
                }
            }
        }
        rows
    }

    /// Gradients of input and of link weights from those of gathered rows.
    fn scatter(&self, rows: &[f32], x: &[f32], dx: &mut [f32], dlinks: &mut [f32]) {
        let Self { frames, input, .. } = *self;
        let width = SUBSETS * input;
        let windows = x
            .chunks_exact(self.window())
            .zip(dx.chunks_exact_mut(self.window()));
        for ((x, dx), rows) in windows.zip(rows.chunks_exact(self.window() * SUBSETS)) {
            for (link, dlink) in self.links.iter().zip(dlinks.iter_mut()) {
                let source = link.source * frames * input..(link.source + 1) * frames * input;
                let (x, dx) = (&x[source.clone()], &mut dx[source]);
                let rows = &rows[link.target * frames * width..(link.target + 1) * frames * width];
                let frames = x.chunks_exact(input).zip(dx.chunks_exact_mut(input));
                for ((x, dx), row) in frames.zip(rows.chunks_exact(width)) {
                    let row = &row[link.subset * input..][..input];
                    for ((x, dx), row) in x.iter().zip(dx).zip(row) {
                        *dlink += x * row;
                        *dx += link.weight * row;
                    }
                }
            }
        }
    }

    /// What the bias of every subset adds to every joint, `[joint, output]`.
    fn bias(&self, bias: &[f32]) -> Vec<f32> {
        let output = self.output;
        let mut map = vec![0.0; self.joints * output];
        for link in &self.links {
            let bias = &bias[link.subset * output..][..output];
            for (sum, bias) in map[link.target * output..][..output].iter_mut().zip(bias) {
                *sum += link.weight * bias;
            }
        }
        map
    }
}

pub(super) fn forward(x: &Raw, weight: &Raw, bias: &Raw, adjacency: &Raw, edge: &Raw) -> Raw {
    let shape = Shape::new(x, weight, &Flat::new(adjacency), &Flat::new(edge));
    let (x, weight, bias) = (Flat::new(x), Flat::new(weight), Flat::new(bias));
    let Shape {
        batch,
        joints,
        frames,
        input,
        output,
        ..
    } = shape;
    let matrix = raw(weight.values().to_vec(), [SUBSETS * input, output]);
    let map = shape.bias(bias.values());
    let window = shape.window();
    let parts = grouped(batch, |run| {
        let mut out = Vec::with_capacity(run.len() * joints * frames * output);
        for x in x.values()[run.start * window..run.end * window].chunks(shape.chunk() * window) {
            let rows = product(shape.gather(x), SUBSETS * input, &matrix);
            for (index, row) in rows.values().chunks_exact(output).enumerate() {
                let bias = &map[index / frames % joints * output..][..output];
                out.extend(row.iter().zip(bias).map(|(value, bias)| value + bias));
            }
        }
        out
    });
    raw(parts.concat(), [batch, joints, frames, output])
}

/// Gradients of input, weight, bias and edge importance. A frozen part below needs no gradient of the input, but the
/// edges ask for most of its work anyway.
pub(super) fn backward(
    x: &Raw,
    weight: &Raw,
    bias: &Raw,
    adjacency: &Raw,
    edge: &Raw,
    grad: &Raw,
) -> [Raw; 4] {
    let adjacency = Flat::new(adjacency);
    let shape = Shape::new(x, weight, &adjacency, &Flat::new(edge));
    let (x, weight, bias, grad) = (
        Flat::new(x),
        Flat::new(weight),
        Flat::new(bias),
        Flat::new(grad),
    );
    let Shape {
        batch,
        joints,
        frames,
        input,
        output,
        ..
    } = shape;
    let width = SUBSETS * input;
    let transposed = raw(weight.values().to_vec(), [width, output])
        .transpose(0, 1)
        .to_contiguous();
    let (window, grad_window) = (shape.window(), joints * frames * output);
    let parts = grouped(batch, |run| {
        let mut dx = vec![0.0; run.len() * window];
        let mut dweight = vec![0.0; width * output];
        let mut dmap = vec![0.0; joints * output];
        let mut dlinks = vec![0.0; shape.links.len()];
        let chunk = shape.chunk();
        let x = x.values()[run.start * window..run.end * window].chunks(chunk * window);
        let grad = grad.values()[run.start * grad_window..run.end * grad_window]
            .chunks(chunk * grad_window);
        for ((x, grad), dx) in x.zip(grad).zip(dx.chunks_mut(chunk * window)) {
            let count = grad.len() / output;
            let rows = raw(shape.gather(x), [count, width]).transpose(0, 1);
            let part = Flex::float_matmul(rows, raw(grad.to_vec(), [count, output]));
            add(&mut dweight, Flat::new(&part).values());
            for (index, row) in grad.chunks_exact(output).enumerate() {
                add(&mut dmap[index / frames % joints * output..][..output], row);
            }
            let rows = product(grad.to_vec(), output, &transposed);
            shape.scatter(rows.values(), x, dx, &mut dlinks);
        }
        (dx, dweight, dmap, dlinks)
    });
    let mut dx = Vec::with_capacity(batch * window);
    let mut dweight = vec![0.0; width * output];
    let mut dmap = vec![0.0; joints * output];
    let mut dlinks = vec![0.0; shape.links.len()];
    for (x, weight, map, links) in parts {
        dx.extend(x);
        add(&mut dweight, &weight);
        add(&mut dmap, &map);
        add(&mut dlinks, &links);
    }
    let mut dbias = vec![0.0; SUBSETS * output];
    let mut dedge = vec![0.0; adjacency.values().len()];
    for (link, dlink) in shape.links.iter().zip(dlinks) {
        let dmap = &dmap[link.target * output..][..output];
        let own = link.subset * output..(link.subset + 1) * output;
        let through_bias: f32 = dmap
            .iter()
            .zip(&bias.values()[own.clone()])
            .map(|(a, b)| a * b)
            .sum();
        dedge[link.index] = adjacency.values()[link.index] * (dlink + through_bias);
        for (sum, dmap) in dbias[own].iter_mut().zip(dmap) {
            *sum += link.weight * dmap;
        }
    }
    [
        raw(dx, [batch, joints, frames, input]),
        raw(dweight, [SUBSETS, input, output]),
        raw(dbias, [SUBSETS, output]),
        raw(dedge, [SUBSETS, joints, joints]),
    ]
}
