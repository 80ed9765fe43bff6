//! The sparse product of a skeleton graph with the activations of one joint's neighbours.

use crate::format::{MAX_BIAS, SUBSETS, row};
use crate::kernel::saturate;
use crate::parse::{ParseResult, Reader};
use crate::spec::BlockSpec;
use crate::tables::{F32s, I16s, I32s};
use tendon_shared::limits::MAX_JOINTS;

/// A quantised graph with edge importance folded in: for every joint and subset a list of sources and coefficients.
#[derive(Clone, Debug)]
pub(crate) struct Adjacency<'a> {
    counts: &'a [u8],
    sources: &'a [u8],
    coefficients: I16s<'a>,
    bias: I32s<'a>,
    pub(crate) shift: u32,
    pub(crate) scale: F32s<'a>,
    pub(crate) zero: &'a [u8],
}

/// One entry: activations of joint `source` are weighted with `coefficient`.
pub(crate) type Entry = (usize, i32);

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
        let scale = reader.scales(SUBSETS, "adjacency scale")?;
        let zero = reader.take(SUBSETS)?;
        reader.zeros(1)?;
        debug_assert!(MAX_JOINTS * 32_768 * 128 < i32::MAX as usize - MAX_BIAS as usize);
        Ok(Self {
            counts,
            sources,
            coefficients,
            bias,
            shift,
            scale,
            zero,
        })
    }

    /// Calls `visit(joint, subset, source, coefficient)` for every entry.
    pub(crate) fn visit(&self, mut visit: impl FnMut(usize, usize, usize, i32)) {
        let mut start = 0;
        for (index, count) in self.counts.iter().enumerate() {
            for (source, coefficient) in self.entries(start, usize::from(*count)) {
                visit(index / SUBSETS, index % SUBSETS, source, coefficient);
            }
            start += usize::from(*count);
        }
    }

    fn entries(&self, start: usize, count: usize) -> impl Iterator<Item = Entry> {
        let sources = self.sources.iter().skip(start).take(count);
        sources.zip(start..).map(|(source, index)| {
            (
                usize::from(*source),
                i32::from(self.coefficients.get(index)),
            )
        })
    }

    /// Returns where the entries of `joint` start.
    fn start(&self, joint: usize) -> usize {
        self.counts
            .iter()
            .take(joint * SUBSETS)
            .map(|count| usize::from(*count))
            .sum()
    }

    /// Gathers what flows into `joint`.
    ///
    /// # Shapes
    /// `input [joint, frame, channel]`, `out [frame, row]` where a row holds `[subset, channel]` and zeros
    pub(crate) fn gather(&self, block: &BlockSpec, joint: usize, input: &[i8], out: &mut [i16]) {
        let (channels, frames) = (block.input, block.frames);
        let mut start = self.start(joint);
        for subset in 0..SUBSETS {
            let index = joint * SUBSETS + subset;
            let count = self
                .counts
                .get(index)
                .map_or(0, |count| usize::from(*count));
            let mut entries = [(0, 0); MAX_JOINTS];
            for (entry, from) in entries.iter_mut().zip(self.entries(start, count)) {
                *entry = from;
            }
            start += count;
            let entries = entries.get(..count).unwrap_or_default();
            let bias = self.bias.get(index);
            for (frame, to) in out
                .chunks_exact_mut(row(SUBSETS * channels))
                .take(frames)
                .enumerate()
            {
                let to = to
                    .get_mut(subset * channels..(subset + 1) * channels)
                    .unwrap_or_default();
                self.gather_row(
                    entries,
                    bias,
                    frame * channels,
                    frames * channels,
                    input,
                    to,
                );
            }
        }
    }

    /// Gathers one frame: `stride` is the distance between joints in `input`, `at` the frame's place within a joint.
    fn gather_row(
        &self,
        entries: &[Entry],
        bias: i32,
        at: usize,
        stride: usize,
        input: &[i8],
        out: &mut [i16],
    ) {
        const CHUNK: usize = 16;
        for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
            let at = at + chunk * CHUNK;
            let mut sums = [bias.wrapping_add(1 << (self.shift - 1)); CHUNK];
            for &(source, coefficient) in entries {
                let from = input.get(source * stride + at..).unwrap_or_default();
                if let Some(from) = from.first_chunk::<CHUNK>() {
                    for (sum, from) in sums.iter_mut().zip(from) {
                        *sum = sum.wrapping_add(coefficient.wrapping_mul(i32::from(*from)));
                    }
                } else {
                    for (sum, from) in sums.iter_mut().zip(from) {
                        *sum = sum.wrapping_add(coefficient.wrapping_mul(i32::from(*from)));
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = i16::from(saturate(i64::from(sum >> self.shift)));
            }
        }
    }
}
