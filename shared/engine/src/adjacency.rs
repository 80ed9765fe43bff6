//! The sparse product of a skeleton graph with the activations of one joint's neighbours.

use crate::format::{MAX_BIAS, SUBSETS, row};
use crate::job::Mix;
use crate::parse::{ParseResult, Reader};
use crate::path::Kernels;
use crate::spec::BlockSpec;
use crate::tables::{I16s, I32s};
use tendon_shared::limits::MAX_JOINTS;

/// A quantised graph with edge importance folded in: for every joint and subset a list of sources and coefficients.
#[derive(Clone, Debug)]
pub(crate) struct Adjacency<'a> {
    counts: &'a [u8],
    sources: &'a [u8],
    coefficients: I16s<'a>,
    bias: I32s<'a>,
    pub(crate) shift: u32,
}

/// One entry: activations of joint `source` are weighted with `coefficient`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The joint that it comes from.
    pub(crate) source: usize,
    /// Its weight.
    pub(crate) coefficient: i16,
}

impl<'a> Adjacency<'a> {
    /// Reads and checks a graph over `joints` joints.
    pub(crate) fn parse(reader: &mut Reader<'a>, joints: usize) -> ParseResult<Self> {
        let shift = reader.shift(30, "adjacency shift")?;
        let counts = reader.take(joints * SUBSETS)?;
        reader.ensure(
            counts.iter().all(|count| usize::from(*count) <= joints),
            "adjacency count",
        )?;
        let entries = counts.iter().map(|count| usize::from(*count)).sum();
        let sources = reader.take(entries)?;
        reader.ensure(
            sources.iter().all(|source| usize::from(*source) < joints),
            "adjacency source",
        )?;
        let coefficients = I16s::new(reader.take(entries * 2)?);
        let bias = reader.bias(joints * SUBSETS, "adjacency bias")?;
        // For readers that want real numbers; the engine needs neither.
        reader.scales(SUBSETS, "adjacency scale")?;
        reader.take(SUBSETS)?;
        reader.zeros(1)?;
        const { assert!(MAX_JOINTS * 32_768 * 255 < (i32::MAX - MAX_BIAS - (1 << 29)) as usize) };
        Ok(Self {
            counts,
            sources,
            coefficients,
            bias,
            shift,
        })
    }

    fn entries(&self, start: usize, count: usize) -> impl Iterator<Item = Entry> {
        let sources = self.sources.iter().skip(start).take(count);
        sources.zip(start..).map(|(source, index)| Entry {
            source: usize::from(*source),
            coefficient: self.coefficients.get(index),
        })
    }

    /// Gathers what flows into the joints from `first` on.
    ///
    /// # Shapes
    /// `input [joint, frame, channel]`, `out [joint - first, frame, row]` where a row holds `[subset, channel]`
    pub(crate) fn gather(
        &self,
        kernels: Kernels,
        block: &BlockSpec,
        first: usize,
        input: &[u8],
        out: &mut [u8],
    ) {
        let row = row(SUBSETS * block.input);
        let mut start = self
            .counts
            .iter()
            .take(first * SUBSETS)
            .map(|count| usize::from(*count))
            .sum();
        for (out, joint) in out.chunks_exact_mut(block.frames * row).zip(first..) {
            for subset in 0..SUBSETS {
                let index = joint * SUBSETS + subset;
                let count = self
                    .counts
                    .get(index)
                    .map_or(0, |count| usize::from(*count));
                let mut entries = [Entry::default(); MAX_JOINTS];
                for (entry, from) in entries.iter_mut().zip(self.entries(start, count)) {
                    *entry = from;
                }
                start += count;
                kernels.mix(&mut Mix {
                    input,
                    entries: entries.get(..count).unwrap_or_default(),
                    bias: self.bias.get(index).wrapping_add(1 << (self.shift - 1)),
                    shift: self.shift,
                    frames: block.frames,
                    channels: block.input,
                    out: out.get_mut(subset * block.input..).unwrap_or_default(),
                    stride: row,
                });
            }
        }
    }
}
