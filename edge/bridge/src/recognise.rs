//! From poses to answers, with an encoder in the image: sliding windows of one person, prepared and encoded as on the edge.
//!
//! The last [`SPAN`] poses of the person who was seen last are one window; every [`HOP`] poses there is an answer. Preprocessing and
//! encoder are the crates that host and edge use, so whoever has the same poses gets the same logits, to the bit. There is no calibration and
//! no adaptation here: the confidence is the softmax of the logits.

use core::fmt::Write as _;

use heapless::String;
use tendon_engine::{Encoder, ParseError};
use tendon_shared::limits::{AXES, MAX_CLASSES};
use tendon_shared::normalize::{Mode, NormalizeSpec, normalize};
use tendon_shared::packet::crc32;
use tendon_shared::pose::Presence;
use tendon_shared::protocol::adapt::Serving;
use tendon_shared::protocol::bridge::Answer;
use tendon_shared::protocol::capture::{ABSENT, Capture, WirePose, to_metres};
use tendon_shared::protocol::telemetry::Recognition;
use tendon_shared::stream::{Stream, stack};
use tendon_shared::topology::{Topology, TopologyId};

use crate::bridge::Recognise;

/// Poses of a window: two seconds at 30 Hz.
pub const SPAN: usize = 60;

/// Poses between two windows: half a second.
pub const HOP: usize = 15;

/// Largest skeleton that there is room for.
const JOINTS: usize = 25;

/// Most frames of an encoder's window that there is room for.
const FRAMES: usize = 64;

/// Most input channels and bodies together that there is room for: three streams of one body, or one stream of two.
const CHANNELS: usize = 9;

/// Room for an encoder's activations, bytes.
const ARENA: usize = 96 << 10;

/// A joint with less confidence than this, 0..=255, is taken as not seen: a tenth, as on the edge.
const LEAST_CONFIDENCE: u8 = 26;

/// Confidence from which on an answer counts as sure, 0..=1000.
const SURE: u16 = 500;

/// The memory that recognition needs; the program has it once.
#[derive(Debug)]
pub struct Buffers {
    poses: [f32; SPAN * JOINTS * AXES],
    window: [f32; AXES * FRAMES * JOINTS],
    input: [f32; CHANNELS * FRAMES * JOINTS],
    arena: [u8; ARENA],
}

impl Buffers {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            poses: [0.0; SPAN * JOINTS * AXES],
            window: [0.0; AXES * FRAMES * JOINTS],
            input: [0.0; CHANNELS * FRAMES * JOINTS],
            arena: [0; ARENA],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an encoder cannot run here. The image has to be built with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// The blob is no encoder.
    Blob(ParseError),
    /// It was made for another skeleton than the sensor's.
    OtherSkeleton,
    /// It was trained with the published preprocessing, which is not for live poses.
    Preprocessing,
    /// It needs more memory than there is.
    TooLarge,
}

/// An encoder at work.
#[derive(Debug)]
pub struct Recogniser<'a> {
    encoder: Encoder<'a>,
    topology: &'static Topology,
    classes: &'a str,
    buffers: &'a mut Buffers,
    track: u64,
    /// Poses of the track that are there.
    held: usize,
}

impl<'a> Recogniser<'a> {
    /// Puts the encoder in `blob` to work on poses of `topology`. `classes` names its classes, one a line; those without a line get a number.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn new(
        blob: &'a [u8],
        classes: &'a str,
        topology: TopologyId,
        buffers: &'a mut Buffers,
    ) -> Result<Self, ImageError> {
        let encoder = Encoder::parse(blob).map_err(ImageError::Blob)?;
        let topology = topology.topology();
        let spec = encoder.spec();
        if spec.joints != topology.joint_count() {
            return Err(ImageError::OtherSkeleton);
        }
        if !spec.body_mask {
            return Err(ImageError::Preprocessing);
        }
        let fits = spec.joints <= JOINTS
            && spec.frames <= FRAMES
            && spec.bodies * spec.channels <= CHANNELS
            && encoder.arena_len() <= ARENA;
        if !fits {
            return Err(ImageError::TooLarge);
        }
        Ok(Self {
            encoder,
            topology,
            classes,
            buffers,
            track: 0,
            held: 0,
        })
    }

    fn pose(&mut self, pose: &WirePose) -> Option<Answer> {
        if pose.joints.len() != self.topology.joint_count() {
            return None;
        }
        if pose.track != self.track {
            (self.track, self.held) = (pose.track, 0);
        }
        let length = self.topology.joint_count() * AXES;
        let place = self.buffers.poses.get_mut(self.held * length..)?;
        for (number, (to, joint)) in place
            .as_chunks_mut::<AXES>()
            .0
            .iter_mut()
            .zip(&pose.joints)
            .enumerate()
        {
            let unsure = |confidence: &u8| *confidence < LEAST_CONFIDENCE;
            let absent =
                joint.first() == Some(&ABSENT) || pose.confidence.get(number).is_some_and(unsure);
            *to = if absent {
                [0.0; AXES]
            } else {
                to_metres(*joint)
            };
        }
        self.held += 1;
        if self.held < SPAN {
            return None;
        }
        let answer = self.answer(pose);
        self.buffers
            .poses
            .copy_within(HOP * length..SPAN * length, 0);
        self.held = SPAN - HOP;
        answer
    }

    /// Encodes the poses that are held.
    fn answer(&mut self, last: &WirePose) -> Option<Answer> {
        let spec = *self.encoder.spec();
        let length = self.topology.joint_count() * AXES;
        let normalized = NormalizeSpec {
            mode: Mode::Product,
            frames: u16::try_from(spec.frames).ok()?,
            bodies: 1,
        };
        let window = self
            .buffers
            .window
            .get_mut(..normalized.window_len(self.topology))?;
        let poses = self.buffers.poses.get(..SPAN * length)?;
        let presence = normalize(self.topology, &normalized, poses, window).ok()?;
        if presence == Presence::NONE {
            return None;
        }
        let input = self
            .buffers
            .input
            .get_mut(..spec.bodies * spec.input_len())?;
        let streams = Stream::ALL.get(..spec.channels / AXES)?;
        let (first, _) = input.split_at_mut_checked(spec.input_len())?;
        stack(streams, self.topology, window, spec.frames, first).ok()?;
        let arena = self.buffers.arena.get_mut(..self.encoder.arena_len())?;
        let mut logits = [0; MAX_CLASSES];
        let logits = logits.get_mut(..spec.classes)?;
        self.encoder
            .run(input, Presence::FIRST, arena, logits)
            .ok()?;
        let (class, confidence) = best(logits, self.encoder.logit_scale())?;
        Some(Answer {
            recognition: Recognition {
                time_ms: last.time_ms,
                track: last.track,
                class,
                name: self.name(class),
                confidence,
                sure: confidence >= SURE,
                serving: Serving::Base,
            },
            logits_crc: checksum(logits)?,
        })
    }

    fn name<const N: usize>(&self, class: u8) -> String<N> {
        let mut name = String::new();
        match self.classes.lines().nth(class.into()) {
            // A name that is too long is cut where it may be.
            Some(line) => {
                for character in line.trim().chars() {
                    if name.push(character).is_err() {
                        break;
                    }
                }
            }
            None => {
                // Any name has room for these few letters.
                let _ = write!(name, "class {class}");
            }
        }
        name
    }
}

impl Recognise for Recogniser<'_> {
    fn classes(&self) -> u16 {
        self.encoder.spec().classes as u16
    }

    fn take(&mut self, capture: &Capture) -> Option<Answer> {
        match capture {
            Capture::Source(_) => None,
            Capture::End { .. } => {
                self.held = 0;
                None
            }
            Capture::Pose(pose) => self.pose(pose),
        }
    }
}

/// The class of the largest logit and its share of the softmax, in thousandths.
fn best(logits: &[i32], scale: f32) -> Option<(u8, u16)> {
    let (class, largest) = logits
        .iter()
        .enumerate()
        .rev()
        .max_by_key(|(_, logit)| **logit)?;
    let sum: f32 = logits
        .iter()
        .map(|logit| libm::expf(logit.wrapping_sub(*largest) as f32 * scale))
        .sum();
    Some((u8::try_from(class).ok()?, libm::roundf(1000.0 / sum) as u16))
}

/// CRC-32 of the logits as little-endian bytes.
fn checksum(logits: &[i32]) -> Option<u32> {
    let mut bytes = [0; MAX_CLASSES * 4];
    for (to, logit) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(logits) {
        *to = logit.to_le_bytes();
    }
    Some(crc32(bytes.get(..logits.len() * 4)?))
}
