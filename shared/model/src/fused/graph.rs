//! Graph convolution along the bones there are: joints are gathered first, channels mixed by one product.

use super::lanes::{LANES, add_scaled, add_to_rows, dot, sum_rows, wide, zip};
use super::matrix::{Matrix, Write, product};
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

/// One graph convolution with its weights.
pub(super) struct Graph<'a> {
    pub(super) joints: usize,
    pub(super) frames: usize,
    pub(super) input: usize,
    pub(super) output: usize,
    /// In the order of target and subset.
    links: Vec<Link>,
    /// `[subset * input, output]`
    weight: &'a [f32],
    /// `[subset, output]`
    bias: &'a [f32],
    adjacency: &'a [f32],
}

/// Sums for the gradients of the weights.
pub(super) struct Sums {
    weight: Vec<f32>,
    /// Of what the biases add to each joint, `[joint, output]`.
    map: Vec<f32>,
    links: Vec<[f32; LANES]>,
}

/// Gradients of weight, bias and edge importance.
pub(super) struct Gradients {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) edge: Vec<f32>,
}

impl<'a> Graph<'a> {
    /// # Shapes
    /// `[joints, frames, input, output]`; the slices as in [`crate::block::GraphConv`]
    pub(super) fn new(
        [joints, frames, input, output]: [usize; 4],
        weight: &'a [f32],
        bias: &'a [f32],
        adjacency: &'a [f32],
        edge: &[f32],
    ) -> Self {
        let links = adjacency.iter().zip(edge).enumerate();
        let mut links: Vec<Link> = links
            .filter(|(_, (entry, _))| **entry != 0.0)
            .map(|(index, (entry, edge))| Link {
                subset: index / (joints * joints),
                source: index / joints % joints,
                target: index % joints,
                index,
                weight: entry * edge,
            })
            .collect();
        links.sort_by_key(|link| (link.target, link.subset, link.source));
        Self {
            joints,
            frames,
            input,
            output,
            links,
            weight,
            bias,
            adjacency,
        }
    }

    /// Floats of one window of the gathered rows.
    pub(super) fn gathered(&self) -> usize {
        self.joints * self.frames * SUBSETS * self.input
    }

    /// Floats of one window of the input.
    fn window(&self) -> usize {
        self.joints * self.frames * self.input
    }

    /// The output for some windows, without the bias; `rows` is room to work in.
    pub(super) fn forward(&self, x: &[f32], rows: &mut Vec<f32>, out: &mut [f32]) {
        self.gather(x, rows);
        let width = SUBSETS * self.input;
        let weight = Matrix::dense(self.weight, self.output);
        product(
            Matrix::dense(rows, width),
            weight,
            out,
            self.output,
            Write::Set,
        );
        let map = self.bias_map();
        let joints = out.chunks_exact_mut(self.frames * self.output);
        for (rows, bias) in joints.zip(map.chunks_exact(self.output).cycle()) {
            add_to_rows(rows, bias);
        }
    }

    /// Adds what some windows contribute to the gradients of the weights, and to that of the input if it is asked for.
    pub(super) fn backward(
        &self,
        x: &[f32],
        grad: &[f32],
        dx: Option<&mut [f32]>,
        rows: &mut Vec<f32>,
        sums: &mut Sums,
    ) {
        self.gather(x, rows);
        let width = SUBSETS * self.input;
        let grads = Matrix::dense(grad, self.output);
        product(
            Matrix::dense(rows, width).transposed(),
            grads,
            &mut sums.weight,
            self.output,
            Write::Add,
        );
        let joints = grad.chunks_exact(self.frames * self.output);
        for (joint, grad) in joints.enumerate() {
            let start = joint % self.joints * self.output;
            sum_rows(&mut sums.map[start..start + self.output], grad);
        }
        let weight = Matrix::dense(self.weight, self.output).transposed();
        product(grads, weight, rows, width, Write::Set);
        self.scatter(rows, x, dx, &mut sums.links);
    }

    /// Sums of sources for each target, `[window, joint, frame, subset, input]`.
    fn gather(&self, x: &[f32], rows: &mut Vec<f32>) {
        rows.resize(x.len() * SUBSETS, 0.0);
        let Self { frames, input, .. } = *self;
        let width = SUBSETS * input;
        let windows = x.chunks_exact(self.window());
        wide(
            #[inline(always)]
            || {
                for (x, rows) in windows.zip(rows.chunks_exact_mut(self.gathered())) {
                    let mut links = self.links.iter().peekable();
                    for (target, rows) in rows.chunks_exact_mut(frames * width).enumerate() {
                        for subset in 0..SUBSETS {
                            let mut first = true;
                            while let Some(link) =
                                links.next_if(|link| (link.target, link.subset) == (target, subset))
                            {
                                let x = &x[link.source * frames * input..][..frames * input];
                                let weight = link.weight;
                                for (x, row) in
                                    x.chunks_exact(input).zip(rows.chunks_exact_mut(width))
                                {
                                    let row = &mut row[subset * input..][..input];
                                    if first {
                                        zip!([row], [x], {
                                            *row = weight * x;
                                        });
                                    } else {
                                        add_scaled(row, weight, x);
                                    }
                                }
                                first = false;
                            }
                            if first {
                                for row in rows.chunks_exact_mut(width) {
                                    row[subset * input..][..input].fill(0.0);
                                }
                            }
                        }
                    }
                }
            },
        );
    }

    /// Adds the gradients of input and of link weights from those of gathered rows.
    fn scatter(
        &self,
        rows: &[f32],
        x: &[f32],
        mut dx: Option<&mut [f32]>,
        sums: &mut [[f32; LANES]],
    ) {
        let Self { frames, input, .. } = *self;
        let width = SUBSETS * input;
        let (window, gathered) = (self.window(), self.gathered());
        wide(
            #[inline(always)]
            || {
                for (index, x) in x.chunks_exact(window).enumerate() {
                    let rows = &rows[index * gathered..][..gathered];
                    for (link, sum) in self.links.iter().zip(sums.iter_mut()) {
                        let source = link.source * frames * input;
                        let x = x[source..][..frames * input].chunks_exact(input);
                        let rows = rows[link.target * frames * width..][..frames * width]
                            .chunks_exact(width)
                            .map(|row| &row[link.subset * input..][..input]);
                        for (x, row) in x.zip(rows.clone()) {
                            dot(sum, x, row);
                        }
                        if let Some(dx) = dx.as_deref_mut() {
                            let dx = &mut dx[index * window + source..][..frames * input];
                            for (dx, row) in dx.chunks_exact_mut(input).zip(rows) {
                                add_scaled(dx, link.weight, row);
                            }
                        }
                    }
                }
            },
        );
    }

    /// What the bias of every subset adds to every joint, `[joint, output]`.
    fn bias_map(&self) -> Vec<f32> {
        let output = self.output;
        let mut map = vec![0.0; self.joints * output];
        for link in &self.links {
            let bias = &self.bias[link.subset * output..][..output];
            add_scaled(
                &mut map[link.target * output..][..output],
                link.weight,
                bias,
            );
        }
        map
    }

    /// Sums without any contribution.
    pub(super) fn sums(&self) -> Sums {
        Sums {
            weight: vec![0.0; self.weight.len()],
            map: vec![0.0; self.joints * self.output],
            links: vec![[0.0; LANES]; self.links.len()],
        }
    }

    /// Gradients from all contributions, which are added in order.
    pub(super) fn finish(&self, parts: impl IntoIterator<Item = Sums>) -> Gradients {
        let output = self.output;
        let mut total = self.sums();
        for part in parts {
            sum_rows(&mut total.weight, &part.weight);
            sum_rows(&mut total.map, &part.map);
            sum_rows(total.links.as_flattened_mut(), part.links.as_flattened());
        }
        let mut bias = vec![0.0; SUBSETS * output];
        let mut edge = vec![0.0; self.adjacency.len()];
        for (link, sums) in self.links.iter().zip(&total.links) {
            let map = &total.map[link.target * output..][..output];
            let own = link.subset * output..(link.subset + 1) * output;
            let pairs = map.iter().zip(&self.bias[own.clone()]);
            let through_bias: f32 = pairs.map(|(a, b)| a * b).sum();
            let through_rows: f32 = sums.iter().sum();
            edge[link.index] = self.adjacency[link.index] * (through_rows + through_bias);
            add_scaled(&mut bias[own], link.weight, map);
        }
        Gradients {
            weight: total.weight,
            bias,
            edge,
        }
    }
}
