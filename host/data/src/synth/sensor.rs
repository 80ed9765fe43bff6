//! What a depth sensor's skeleton tracker makes of a figure.
//!
//! Joints jitter with a memory of a few frames, more so with distance. A joint behind another part of the body is guessed:
//! it is drawn towards the trunk, jitters ten times as much and sometimes sticks. Shoulders and hips seem to face
//! the camera more than they do. So a view from the side, in which trunk
//! and near limbs cover the far ones, is worse by itself. Now and then a frame is lost.

use super::body::{Figure, POINTS, cover};
use super::dice::Dice;
use super::vector::{V3, add, lerp, scale};

/// Jitter of a joint in sight at 3 m, metres (typical for a Kinect).
const JITTER: f32 = 0.008;
/// Jitter that full occlusion adds, metres.
const HIDDEN_JITTER: f32 = 0.12;
/// How far full occlusion draws a joint towards the trunk, as a share of the way.
const DRAWN: f32 = 0.45;
/// Share of the shoulders' and hips' true extent in depth that is reported: trackers learnt from people who face them.
const FRONTAL: f32 = 0.6;
/// Memory of the jitter: seconds until it has fallen to a third.
const MEMORY: f32 = 0.15;
/// Share of frames in which nobody is tracked.
const LOST_FRAMES: f32 = 0.001;
/// Chance per second that a joint in full sight, and in full occlusion, sticks; and seconds it does so.
const STICK_RATE: (f32, f32) = (0.05, 1.5);
const STICK_SECONDS: (f32, f32) = (0.1, 0.4);

/// Segments that cover what is behind them, with their radius in metres.
const SOLID: [(usize, usize, f32); 11] = [
    (0, 20, 0.15),
    (20, 3, 0.1),
    (4, 5, 0.05),
    (5, 6, 0.045),
    (8, 9, 0.05),
    (9, 10, 0.045),
    (12, 13, 0.08),
    (13, 14, 0.06),
    (16, 17, 0.08),
    (17, 18, 0.06),
    (4, 8, 0.09),
];

/// Limb joints can be hidden; a tracker finds the trunk from any side.
fn can_hide(point: usize) -> bool {
    matches!(point, 5..=7 | 9..=11 | 13..=15 | 17..=19 | 21..=24)
}

/// A tracker at work on one recording.
#[derive(Debug)]
pub(super) struct Sensor {
    dice: Dice,
    fps: f32,
    error: [V3; POINTS],
    hidden: [f32; POINTS],
    stuck: [f32; POINTS],
    last: Option<[V3; POINTS]>,
}

impl Sensor {
    pub(super) fn new(dice: Dice, fps: f32) -> Self {
        Self {
            dice,
            fps,
            error: [[0.0; 3]; POINTS],
            hidden: [0.0; POINTS],
            stuck: [0.0; POINTS],
            last: None,
        }
    }

    /// The next frame: a figure in the camera's frame as the tracker reports it; all zeros when it lost the person.
    pub(super) fn see(&mut self, figure: &Figure) -> Figure {
        let keep = libm::expf(-1.0 / (MEMORY * self.fps));
        let fresh = libm::sqrtf(1.0 - keep * keep);
        let figure = &frontal(figure);
        let lost = self.dice.chance(LOST_FRAMES) && self.last.is_some();
        let mut seen = figure.0;
        for (point, position) in seen.iter_mut().enumerate() {
            let covered = occlusion(figure, point);
            self.hidden[point] += (covered - self.hidden[point]) * (1.0 - keep);
            let hidden = if self.last.is_none() {
                covered
            } else {
                self.hidden[point]
            };
            let distance = figure.0[point][2] / 3.0;
            let size = JITTER * distance * distance + HIDDEN_JITTER * hidden;
            let kick = scale(self.dice.normal3(), fresh);
            self.error[point] = add(scale(self.error[point], keep), kick);
            let trunk = lerp(figure.0[0], figure.0[20], 0.5);
            *position = add(
                lerp(*position, trunk, DRAWN * hidden),
                scale(self.error[point], size),
            );
            let rate = STICK_RATE.0 + (STICK_RATE.1 - STICK_RATE.0) * hidden;
            if self.dice.chance(rate / self.fps) {
                self.stuck[point] = self.dice.between(STICK_SECONDS.0, STICK_SECONDS.1);
            }
            if let (Some(last), true) = (&self.last, self.stuck[point] > 0.0) {
                *position = last[point];
                self.stuck[point] -= 1.0 / self.fps;
            }
        }
        self.last = Some(seen);
        if lost {
            Figure([[0.0; 3]; POINTS])
        } else {
            Figure(seen)
        }
    }
}

/// The figure with shoulders and hips turned towards the camera as a tracker has it; arms and legs hang on them.
fn frontal(figure: &Figure) -> Figure {
    let mut seen = *figure;
    for (centre, root, limb) in [
        (20, 4, 5..=7),
        (20, 8, 9..=11),
        (0, 12, 13..=15),
        (0, 16, 17..=19),
    ] {
        let shift = (figure.0[root][2] - figure.0[centre][2]) * (FRONTAL - 1.0);
        seen.0[root][2] += shift;
        // The estimate of a limb is right again at its end.
        for (point, share) in limb.zip([0.6, 0.3, 0.3]) {
            seen.0[point][2] += share * shift;
        }
    }
    seen
}

/// How much of a point is behind the body, 0..=1.
fn occlusion(figure: &Figure, point: usize) -> f32 {
    if !can_hide(point) {
        return 0.0;
    }
    let position = figure.0[point];
    let mut hidden: f32 = 0.0;
    for (from, to, radius) in SOLID {
        if touches(point, from, to) {
            continue;
        }
        let (squared, front) = cover(position, figure.0[from], figure.0[to]);
        let inside = 1.0 - squared / (radius * radius);
        if inside > 0.0 && front > radius {
            hidden = hidden.max((2.0 * inside).min(1.0));
        }
    }
    hidden
}

/// Whether the point belongs to the segment or hangs on its end, so that it cannot be hidden by it.
fn touches(point: usize, from: usize, to: usize) -> bool {
    let end = match point {
        7 | 21 | 22 => 6,
        11 | 23 | 24 => 10,
        15 => 14,
        19 => 18,
        other => other,
    };
    end == from || end == to
}
