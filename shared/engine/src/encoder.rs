//! The encoder as callers see it.

use crate::arena::Arena;
use crate::block::Block;
use crate::classifier::Classifier;
use crate::error::{BufferError, ParseError, PathError};
use crate::format::MAX_BLOCKS;
use crate::input::Input;
use crate::parse::{Header, Reader, header};
use crate::path::{Kernels, Path};
use crate::spec::Spec;
use crate::tail::TailWeights;
use tendon_shared::pose::Presence;

/// A parsed encoder that borrows its blob. Cheap to make again: parsing copies no weights.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    spec: Spec,
    input: Input<'a>,
    input_scale: f32,
    blocks: heapless::Vec<Block<'a>, MAX_BLOCKS>,
    classifier: Classifier<'a>,
    kernels: Kernels,
}

impl<'a> Encoder<'a> {
    /// Reads a blob and checks everything in it.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong; the blob has to be made anew.
    pub fn parse(blob: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(blob);
        let Header {
            spec,
            input_zero,
            input_scale,
            logit_scale,
            logit_shift,
        } = header(&mut reader)?;
        let input = Input::parse(&mut reader, &spec, input_zero)?;
        let mut blocks = heapless::Vec::new();
        for shape in spec.block_shapes() {
            let block = Block::parse(&mut reader, *shape, spec.joints)?;
            blocks.push(block).map_err(|_| ParseError::OutOfRange {
                field: "block count",
            })?;
        }
        let classifier = Classifier::parse(&mut reader, &spec, logit_shift, logit_scale)?;
        reader.finish()?;
        Ok(Self {
            spec,
            input,
            input_scale,
            blocks,
            classifier,
            kernels: Kernels::best(),
        })
    }

    /// Computes on `path` instead of the fastest one; the results are the same.
    ///
    /// # Errors
    /// [`PathError`] when this machine or this build does not have it.
    pub fn with_path(self, path: Path) -> Result<Self, PathError> {
        let kernels = Kernels::new(path).ok_or(PathError { path })?;
        Ok(Self { kernels, ..self })
    }

    /// Returns the path that the encoder computes on.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.kernels.path()
    }

    /// Returns the encoder's shape.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the length of the arena that every run needs, bytes.
    #[must_use]
    pub fn arena_len(&self) -> usize {
        self.spec.regions().arena_len()
    }

    /// Returns the value of one step of a logit.
    #[must_use]
    pub const fn logit_scale(&self) -> f32 {
        self.classifier.logit_scale
    }

    /// Returns the value of one step of the trunk's features: value = scale * (q + 128).
    #[must_use]
    pub fn trunk_scale(&self) -> f32 {
        self.output_scale(self.spec.trunk_blocks)
    }

    /// Returns the value of one step of the activations after the first `blocks` blocks: value = scale * (q + 128), except after
    /// none, where the input's zero point stands for zero.
    #[must_use]
    pub fn output_scale(&self, blocks: usize) -> f32 {
        blocks
            .checked_sub(1)
            .and_then(|last| self.blocks.get(last))
            .map_or(self.input_scale, |block| block.out_scale)
    }

    /// Returns the factor that turns one body's pooled sums into its embedding.
    #[must_use]
    pub fn feature_scale(&self) -> f32 {
        self.output_scale(self.spec.blocks) / (self.spec.frames_out * self.spec.joints) as f32
    }

    /// Runs the trunk on one body.
    ///
    /// # Shapes
    /// `input [channel, frame, joint]` (the stacked streams), `out [joint, frame', channel']`
    ///
    /// # Errors
    /// [`BufferError`] when a buffer has another length than [`Encoder::spec`] and [`Encoder::arena_len`] say.
    pub fn trunk(
        &self,
        input: &[f32],
        arena: &mut [u8],
        out: &mut [i8],
    ) -> Result<(), BufferError> {
        self.partial(self.spec.trunk_blocks, input, arena, out)
    }

    /// Runs only the first `blocks` blocks on one body, for measuring where precision is lost.
    ///
    /// # Shapes
    /// `input [channel, frame, joint]`, `out [joint, frame', channel']`
    ///
    /// # Errors
    /// As [`Encoder::trunk`].
    pub fn partial(
        &self,
        blocks: usize,
        input: &[f32],
        arena: &mut [u8],
        out: &mut [i8],
    ) -> Result<(), BufferError> {
        BufferError::check("input window", input.len(), self.spec.input_len())?;
        let last = blocks
            .checked_sub(1)
            .and_then(|last| self.spec.block_shapes().get(last));
        let len = last.map_or(self.spec.input_len(), |last| {
            self.spec.joints * last.frames_out * last.output
        });
        BufferError::check("output", out.len(), len)?;
        let mut arena = Arena::cut(&self.spec, arena)?;
        self.input.quantize(&self.spec, input, arena.now);
        self.advance(0, blocks, &mut arena, None);
        out.iter_mut()
            .zip(arena.now.iter())
            .for_each(|(to, from)| *to = signed(*from));
        Ok(())
    }

    /// Runs the tail on one body's trunk features and sums its last block over frames and joints.
    ///
    /// # Shapes
    /// `trunk [joint, frame, channel]`, `pooled [dim]`
    ///
    /// # Errors
    /// As [`Encoder::trunk`].
    pub fn tail(
        &self,
        trunk: &[i8],
        arena: &mut [u8],
        pooled: &mut [i32],
    ) -> Result<(), BufferError> {
        BufferError::check("pooled sums", pooled.len(), self.spec.dim)?;
        let arena = self.resume(trunk, arena, None)?;
        self.pool(arena.now, pooled);
        Ok(())
    }

    /// Runs the tail on one body's trunk features and hands out the last block's activations, for a tail that learns beside it.
    ///
    /// # Shapes
    /// `trunk [joint, frame, channel]`; `hidden [joint, frame, dim]`, what goes into the last temporal convolution:
    /// value = [`TailWeights::hidden_scale`] of the channel * q; `last [joint, frame', dim]`, what comes out of the last block:
    /// value = [`TailWeights::output_scale`] * q
    ///
    /// # Errors
    /// As [`Encoder::trunk`].
    pub fn tail_activations(
        &self,
        trunk: &[i8],
        arena: &mut [u8],
        hidden: &mut [u8],
        last: &mut [u8],
    ) -> Result<(), BufferError> {
        BufferError::check("hidden activations", hidden.len(), self.spec.hidden_len())?;
        BufferError::check("last activations", last.len(), self.spec.output_len())?;
        let arena = self.resume(trunk, arena, Some(hidden))?;
        last.iter_mut()
            .zip(arena.now.iter())
            .for_each(|(to, from)| *to = *from);
        Ok(())
    }

    /// Classifies the pooled sums of the bodies that count; without any, the logits are the classifier's biases.
    ///
    /// # Shapes
    /// `pooled [body, dim]`, `logits [class]`
    ///
    /// # Errors
    /// As [`Encoder::trunk`].
    pub fn classify(&self, pooled: &[i32], logits: &mut [i32]) -> Result<(), BufferError> {
        let bodies = (pooled.len() / self.spec.dim).min(self.spec.bodies);
        BufferError::check("pooled sums", pooled.len(), bodies * self.spec.dim)?;
        BufferError::check("logits", logits.len(), self.spec.classes)?;
        self.classifier.run(&self.spec, pooled, logits);
        Ok(())
    }

    /// Runs everything on one window.
    ///
    /// # Shapes
    /// `window [body, channel, frame, joint]`, `logits [class]`
    ///
    /// # Errors
    /// As [`Encoder::trunk`].
    pub fn run(
        &self,
        window: &[f32],
        presence: Presence,
        arena: &mut [u8],
        logits: &mut [i32],
    ) -> Result<(), BufferError> {
        BufferError::check(
            "window",
            window.len(),
            self.spec.bodies * self.spec.input_len(),
        )?;
        BufferError::check("logits", logits.len(), self.spec.classes)?;
        let mut arena = Arena::cut(&self.spec, arena)?;
        let mut counted = 0;
        for (body, input) in window.chunks_exact(self.spec.input_len()).enumerate() {
            if self.spec.body_mask && !presence.contains(body) {
                continue;
            }
            self.input.quantize(&self.spec, input, arena.now);
            self.advance(0, self.spec.blocks, &mut arena, None);
            let pooled = arena
                .pooled
                .chunks_exact_mut(self.spec.dim)
                .nth(counted)
                .unwrap_or_default();
            self.pool(arena.now, pooled);
            counted += 1;
        }
        self.classify(
            arena
                .pooled
                .get(..counted * self.spec.dim)
                .unwrap_or_default(),
            logits,
        )
    }

    /// Returns the last layers' weights and scales as real numbers, for a tail that can learn.
    #[must_use]
    pub fn tail_weights(&self) -> TailWeights<'_> {
        TailWeights::new(&self.spec, self.blocks.last(), &self.classifier)
    }

    /// Goes on from trunk features to the end; the result is in `now` of the arena.
    fn resume<'m>(
        &self,
        trunk: &[i8],
        arena: &'m mut [u8],
        keep: Option<&mut [u8]>,
    ) -> Result<Arena<'m>, BufferError> {
        BufferError::check("trunk features", trunk.len(), self.spec.trunk_len())?;
        let mut arena = Arena::cut(&self.spec, arena)?;
        arena
            .now
            .iter_mut()
            .zip(trunk)
            .for_each(|(to, from)| *to = unsigned(*from));
        self.advance(self.spec.trunk_blocks, self.spec.blocks, &mut arena, keep);
        Ok(arena)
    }

    /// Runs blocks `from..to`; the result is in `arena.now`. `keep` receives what the encoder's last temporal convolution reads.
    fn advance(&self, from: usize, to: usize, arena: &mut Arena<'_>, mut keep: Option<&mut [u8]>) {
        let to = to.min(self.spec.blocks);
        for (number, block) in (from..to).zip(self.blocks.get(from..to).unwrap_or_default()) {
            let keep = if number + 1 == self.spec.blocks {
                keep.take()
            } else {
                None
            };
            let shape = &block.shape;
            let out = arena
                .next
                .get_mut(..self.spec.joints * shape.frames_out * shape.output)
                .unwrap_or_default();
            block.run(
                self.kernels,
                self.spec.joints,
                arena.now,
                out,
                arena.scratch,
                keep,
            );
            arena.swap();
        }
    }

    /// Sums over frames and joints.
    fn pool(&self, features: &[u8], pooled: &mut [i32]) {
        let rows = self.spec.joints * self.spec.frames_out;
        let features = features.get(..rows * self.spec.dim).unwrap_or_default();
        self.kernels.pool(features, pooled);
    }
}

/// Returns the activation that goes out: -128 where the engine has 0.
const fn signed(activation: u8) -> i8 {
    (activation ^ 0x80).cast_signed()
}

/// Returns the activation that the engine computes with.
const fn unsigned(activation: i8) -> u8 {
    activation.cast_unsigned() ^ 0x80
}
