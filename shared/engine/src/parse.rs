//! Reading and checking a blob: whatever passes here can run without a further check.

use crate::error::ParseError;
use crate::format::{
    BLOCK_HEADER_BYTES, FLAG_BODY_MASK, GROUP, HEADER_BYTES, MAGIC, MAX_BIAS, MAX_BLOCKS,
    MAX_CHANNELS, QUAD, SUBSETS, VERSION, row, weight_bytes,
};
use crate::spec::{BlockSpec, ResidualKind, Spec};
use crate::tables::{F32s, I32s};
use tendon_shared::limits::{MAX_BODIES, MAX_CLASSES, MAX_JOINTS, MAX_STREAMS, MAX_WINDOW_FRAMES};

/// The result of reading one piece of a blob.
pub(crate) type ParseResult<T> = Result<T, ParseError>;

/// A cursor over a blob.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes the next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> ParseResult<&'a [u8]> {
        let truncated = ParseError::Truncated { at: self.at };
        let end = self.at.checked_add(count).ok_or(truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// Takes the next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> ParseResult<[u8; N]> {
        let truncated = ParseError::Truncated { at: self.at };
        self.take(N)?.first_chunk().copied().ok_or(truncated)
    }

    fn u8(&mut self) -> ParseResult<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> ParseResult<usize> {
        self.array()
            .map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    fn small(&mut self, limit: usize, field: &'static str) -> ParseResult<usize> {
        let value = usize::from(self.u8()?);
        self.ensure((1..=limit).contains(&value), field)?;
        Ok(value)
    }

    /// Fails unless `holds`.
    pub(crate) const fn ensure(&self, holds: bool, field: &'static str) -> ParseResult<()> {
        if holds {
            Ok(())
        } else {
            Err(ParseError::OutOfRange { field })
        }
    }

    /// Takes bytes that must be zero.
    pub(crate) fn zeros(&mut self, count: usize) -> ParseResult<()> {
        let zero = self.take(count)?.iter().all(|byte| *byte == 0);
        self.ensure(zero, "reserved byte")
    }

    /// Takes a shift of `1..=most` and the three zeros after it.
    pub(crate) fn shift(&mut self, most: u8, field: &'static str) -> ParseResult<u32> {
        let shift = self.u8()?;
        self.ensure((1..=most).contains(&shift), field)?;
        self.zeros(3)?;
        Ok(u32::from(shift))
    }

    /// Takes `i32` numbers of any value.
    pub(crate) fn i32s(&mut self, count: usize) -> ParseResult<I32s<'a>> {
        self.take(count * 4).map(I32s::new)
    }

    /// Takes biases within [`MAX_BIAS`].
    pub(crate) fn bias(&mut self, count: usize, field: &'static str) -> ParseResult<I32s<'a>> {
        let table = self.i32s(count)?;
        self.ensure(
            table
                .iter()
                .all(|bias| (-MAX_BIAS..=MAX_BIAS).contains(&bias)),
            field,
        )?;
        Ok(table)
    }

    /// Takes finite numbers.
    pub(crate) fn finite(&mut self, count: usize, field: &'static str) -> ParseResult<F32s<'a>> {
        let table = self.take(count * 4).map(F32s::new)?;
        self.ensure(table.iter().all(f32::is_finite), field)?;
        Ok(table)
    }

    /// Takes scales: finite numbers above zero.
    pub(crate) fn scales(&mut self, count: usize, field: &'static str) -> ParseResult<F32s<'a>> {
        let table = self.finite(count, field)?;
        self.ensure(
            table.iter().all(f32::is_normal) && table.iter().all(f32::is_sign_positive),
            field,
        )?;
        Ok(table)
    }

    /// Takes one scale.
    pub(crate) fn scale(&mut self, field: &'static str) -> ParseResult<f32> {
        self.scales(1, field).map(|table| table.get(0))
    }

    /// Fails unless the blob ends here.
    pub(crate) const fn finish(&self) -> ParseResult<()> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(ParseError::TrailingBytes { at: self.at })
        }
    }
}

/// What the header holds beside the shape.
pub(crate) struct Header {
    pub(crate) spec: Spec,
    pub(crate) input_zero: i8,
    pub(crate) input_scale: f32,
    pub(crate) logit_scale: f32,
    pub(crate) logit_shift: u32,
}

/// Reads the header and the block headers.
pub(crate) fn header(reader: &mut Reader<'_>) -> ParseResult<Header> {
    if reader.array().ok() != Some(MAGIC) {
        return Err(ParseError::NotAnEncoder);
    }
    let version = u16::from_le_bytes(reader.array()?);
    if version != VERSION {
        return Err(ParseError::UnsupportedVersion { found: version });
    }
    let flags = u16::from_le_bytes(reader.array()?);
    reader.ensure(flags & !FLAG_BODY_MASK == 0, "flags")?;
    let joints = reader.small(MAX_JOINTS, "joint count")?;
    let bodies = reader.small(MAX_BODIES, "body count")?;
    let channels = reader.small(3 * MAX_STREAMS, "channel count")?;
    let blocks = reader.small(MAX_BLOCKS, "block count")?;
    let trunk_blocks = reader.small(blocks.saturating_sub(1), "trunk block count")?;
    let logit_shift = reader.small(62, "logit shift")?;
    let frames = reader.u16()?;
    let dim = reader.u16()?;
    let classes = reader.u16()?;
    reader.ensure((1..=MAX_WINDOW_FRAMES).contains(&frames), "frame count")?;
    reader.ensure((1..=MAX_CHANNELS).contains(&dim), "dimension")?;
    reader.ensure((1..=MAX_CLASSES).contains(&classes), "class count")?;
    let input_zero = reader.u8()?.cast_signed();
    reader.zeros(3)?;
    let length = u32::from_le_bytes(reader.array()?);
    if reader.bytes.len() as u64 > u64::from(length) {
        return Err(ParseError::TrailingBytes {
            at: length as usize,
        });
    }
    if (reader.bytes.len() as u64) < u64::from(length) {
        return Err(ParseError::Truncated {
            at: reader.bytes.len(),
        });
    }
    let input_scale = reader.scale("input scale")?;
    let logit_scale = reader.scale("logit scale")?;
    reader.zeros(8)?;
    debug_assert!(reader.at == HEADER_BYTES);

    let unused = BlockSpec {
        input: 0,
        output: 0,
        stride: 1,
        frames: 0,
        frames_out: 0,
        residual: ResidualKind::None,
    };
    let mut shapes = [unused; MAX_BLOCKS];
    let (mut input, mut now) = (channels, frames);
    for (index, shape) in shapes.iter_mut().take(blocks).enumerate() {
        *shape = block_header(reader, input, now)?;
        let signed_input = index == 0;
        reader.ensure(
            !signed_input || shape.residual == ResidualKind::None,
            "first block's residual",
        )?;
        (input, now) = (shape.output, shape.frames_out);
    }
    reader.ensure(input == dim, "dimension")?;
    debug_assert!(reader.at == HEADER_BYTES + blocks * BLOCK_HEADER_BYTES);
    let trunk = shapes.get(trunk_blocks - 1).copied().unwrap_or(unused);
    let spec = Spec {
        joints,
        bodies,
        channels,
        frames,
        dim,
        classes,
        body_mask: flags & FLAG_BODY_MASK != 0,
        blocks,
        trunk_blocks,
        trunk_frames: trunk.frames_out,
        trunk_channels: trunk.output,
        frames_out: now,
        shapes,
    };
    Ok(Header {
        spec,
        input_zero,
        input_scale,
        logit_scale,
        logit_shift: u32::try_from(logit_shift).unwrap_or(1),
    })
}

fn block_header(reader: &mut Reader<'_>, expected: usize, frames: usize) -> ParseResult<BlockSpec> {
    let input = reader.u16()?;
    let output = reader.u16()?;
    let stride = reader.small(4, "time stride")?;
    let residual = match reader.u8()? {
        0 => ResidualKind::None,
        1 => ResidualKind::Identity,
        2 => ResidualKind::Convolution,
        _ => {
            return Err(ParseError::OutOfRange {
                field: "residual kind",
            });
        }
    };
    reader.zeros(2)?;
    reader.ensure(input == expected, "block's input channels")?;
    reader.ensure(
        (1..=MAX_CHANNELS).contains(&output),
        "block's output channels",
    )?;
    let same_shape = input == output && stride == 1;
    reader.ensure(
        same_shape || residual != ResidualKind::Identity,
        "identity residual",
    )?;
    Ok(BlockSpec {
        input,
        output,
        stride,
        frames,
        frames_out: BlockSpec::strided(frames, stride),
        residual,
    })
}

/// A convolution's weights, biases and multipliers.
#[derive(Clone, Debug)]
pub(crate) struct Layer<'a> {
    /// `[out / 16][in / 4][16][4]`
    pub(crate) weights: &'a [u8],
    /// Inputs.
    inputs: usize,
    /// Outputs.
    pub(crate) outputs: usize,
    /// `[.., out]`
    pub(crate) bias: I32s<'a>,
    /// `[out]`
    pub(crate) multiplier: I32s<'a>,
}

impl<'a> Layer<'a> {
    /// Reads a layer with `biases` tables of biases.
    pub(crate) fn parse(
        reader: &mut Reader<'a>,
        inputs: usize,
        outputs: usize,
        biases: usize,
    ) -> ParseResult<Self> {
        let weights = reader.take(weight_bytes(inputs, outputs))?;
        reader.ensure(padding_is_zero(weights, inputs, outputs), "weight padding")?;
        let bias = reader.bias(biases * outputs, "bias")?;
        let multiplier = reader.i32s(outputs)?;
        // For readers that want real numbers; the engine does not need it.
        reader.scales(outputs, "weight scale")?;
        Ok(Self {
            weights,
            inputs,
            outputs,
            bias,
            multiplier,
        })
    }

    /// Returns bounds of the absolute sums and of the absolute multipliers.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let most = |table: I32s<'_>| table.iter().map(i32::unsigned_abs).max().unwrap_or(0);
        let products = (self.inputs * 255 * 128) as u64;
        (
            products + u64::from(most(self.bias)),
            u64::from(most(self.multiplier)),
        )
    }

    /// Returns the bytes of activations that one row of inputs takes.
    pub(crate) const fn row(&self) -> usize {
        row(self.inputs)
    }

    /// Returns the weights of output group `group`, `[in / 4][16 * 4]`.
    pub(crate) fn group(&self, group: usize) -> &'a [[u8; GROUP * QUAD]] {
        let bytes = self.row() * GROUP;
        self.weights
            .get(group * bytes..(group + 1) * bytes)
            .unwrap_or_default()
            .as_chunks()
            .0
    }
}

/// Whether the weights beyond `inputs` and `outputs` are zero.
fn padding_is_zero(weights: &[u8], inputs: usize, outputs: usize) -> bool {
    let groups = weights.chunks_exact(row(inputs) * GROUP);
    let beyond = outputs.div_ceil(GROUP) * GROUP - outputs;
    let outputs_end = groups.clone().next_back().is_none_or(|last| {
        last.chunks_exact(GROUP * QUAD).all(|quads| {
            quads
                .iter()
                .rev()
                .take(beyond * QUAD)
                .all(|weight| *weight == 0)
        })
    });
    let mut ends = groups.flat_map(|group| group.chunks_exact(QUAD).rev().take(GROUP));
    let used = inputs - (row(inputs) - QUAD);
    outputs_end && ends.all(|quad| quad.iter().skip(used).all(|weight| *weight == 0))
}

const _: () = assert!(
    SUBSETS == 3,
    "the adjacency table pads three zero points to four bytes"
);
