//! The input window: BatchNorm over joints and channels and quantisation in one step, the only floating point of the engine.

use crate::parse::{ParseResult, Reader};
use crate::spec::Spec;
use crate::tables::F32s;

/// How a coordinate becomes an int8 activation.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    gain: F32s<'a>,
    offset: F32s<'a>,
    pub(crate) zero: i8,
}

impl<'a> Input<'a> {
    /// Reads and checks the input table.
    pub(crate) fn parse(reader: &mut Reader<'a>, spec: &Spec, zero: i8) -> ParseResult<Self> {
        let count = spec.joints * spec.channels;
        Ok(Self {
            gain: reader.finite(count, "input gain")?,
            offset: reader.finite(count, "input offset")?,
            zero,
        })
    }

    /// Quantises one body to unsigned activations.
    ///
    /// # Shapes
    /// `window [channel, frame, joint]`, `out [joint, frame, channel]`
    pub(crate) fn quantize(&self, spec: &Spec, window: &[f32], out: &mut [u8]) {
        for (joint, rows) in out
            .chunks_exact_mut(spec.frames * spec.channels)
            .take(spec.joints)
            .enumerate()
        {
            for channel in 0..spec.channels {
                let gain = self.gain.get(joint * spec.channels + channel);
                let offset = self.offset.get(joint * spec.channels + channel);
                let from = window
                    .iter()
                    .skip(channel * spec.frames * spec.joints + joint)
                    .step_by(spec.joints);
                let to = rows.iter_mut().skip(channel).step_by(spec.channels);
                for (to, &from) in to.zip(from) {
                    *to = self.one(from, gain, offset);
                }
            }
        }
    }

    /// Rounds to the nearest, halves upwards. Two separate operations: a fused one would round differently.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the value is between 0.5 and 255.5"
    )]
    fn one(&self, value: f32, gain: f32, offset: f32) -> u8 {
        let scaled = value * gain;
        let scaled = scaled + offset;
        if scaled.is_nan() {
            return self.zero.cast_unsigned() ^ 0x80;
        }
        let shifted = scaled.clamp(-128.0, 127.0) + 128.5;
        shifted as i32 as u8
    }
}
