//! One performance: which posture the body has at a time, and where it stands.

use super::action::Action;
use super::dice::Dice;
use super::dof::{DOFS, Dof, Posture};
use super::person::Person;
use super::vector::{Rotation, V3, add};

/// Seconds from the resting posture to the first key and from the last key back, at normal tempo.
const TRANSITION: f32 = 0.4;

/// An action as one person performs it once.
#[derive(Debug)]
pub(super) struct Motion {
    /// Seconds and postures, in order of time.
    keys: Vec<(f32, Posture)>,
    seconds: f32,
    /// Phase of the sway of each degree of freedom, radians.
    phase: [f32; DOFS],
    sway: f32,
    sway_rate: f32,
    /// Radians about the vertical.
    facing: f32,
    /// Metres from the middle of the scene.
    position: V3,
}

impl Motion {
    /// Draws a performance: other passes, tempo, reach and place each time.
    pub(super) fn new(action: &Action, person: &Person, dice: &mut Dice) -> Self {
        let slowness = person.slowness * dice.between(0.85, 1.2);
        let other_hand = dice.chance(0.08);
        let mut shaped = |list: &[(Dof, f32)], moving: bool| {
            let mut posture = Posture::from_degrees(list);
            for ((value, reach), habit) in
                posture.0.iter_mut().zip(person.reach.0).zip(person.habit.0)
            {
                let jitter = if moving && *value != 0.0 {
                    0.09 * dice.normal()
                } else {
                    0.0
                };
                *value = *value * (reach + jitter) + habit;
            }
            posture
        };
        let mut keys = vec![(0.0, shaped(action.before, false))];
        let mut passes = Vec::new();
        for key in action.keys {
            passes.push((key.at * slowness, shaped(key.posture, true)));
        }
        let after = shaped(action.after, false);
        let start = dice.between(0.0, 0.5);
        let first = start
            + TRANSITION
                * slowness
                * if rests(action.before, action) {
                    0.1
                } else {
                    1.0
                };
        keys.push((start, keys[0].1));
        let pass_seconds = passes.last().map_or(0.0, |key| key.0);
        let count = dice.whole(action.passes.0, action.passes.1);
        for pass in 0..count {
            let offset = first + f32::from(pass) * pass_seconds * 1.04;
            keys.extend(passes.iter().map(|(at, posture)| (offset + at, *posture)));
        }
        let end = keys.last().map_or(0.0, |key| key.0) + TRANSITION * slowness;
        keys.push((end, after));
        if other_hand {
            keys.iter_mut()
                .for_each(|(_, posture)| *posture = exchanged(posture));
        }
        let mut phase = [0.0; DOFS];
        phase
            .iter_mut()
            .for_each(|value| *value = dice.between(0.0, core::f32::consts::TAU));
        Self {
            keys,
            seconds: end + dice.between(0.0, 0.5),
            phase,
            sway: person.sway,
            sway_rate: person.sway_rate,
            facing: (14.0 * dice.normal()).clamp(-35.0, 35.0).to_radians(),
            position: [0.25 * dice.normal(), 0.0, 0.25 * dice.normal()],
        }
    }

    /// Frames of the performance at this rate.
    pub(super) fn frames(&self, fps: f32) -> usize {
        ((self.seconds * fps) as usize).max(2)
    }

    /// The posture at a time in seconds.
    pub(super) fn posture(&self, seconds: f32) -> Posture {
        let next = self
            .keys
            .iter()
            .position(|key| key.0 > seconds)
            .unwrap_or(self.keys.len());
        let (from, to) = (
            self.keys[next.saturating_sub(1)],
            self.keys[next.min(self.keys.len() - 1)],
        );
        let at = if to.0 > from.0 {
            ((seconds - from.0) / (to.0 - from.0)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        // Speed is zero at both keys, as in a movement from one place to another.
        let mut posture = from.1.blend(&to.1, at * at * (3.0 - 2.0 * at));
        for (dof, (value, phase)) in posture.0.iter_mut().zip(self.phase).enumerate() {
            if dof != Dof::Back as usize && dof != Dof::Lift as usize {
                let rate = core::f32::consts::TAU * self.sway_rate * (1.0 + 0.07 * dof as f32);
                *value += self.sway * libm::sinf(rate * seconds + phase);
            }
        }
        posture
    }

    /// From the body's own frame into the scene.
    pub(super) fn place(&self, point: V3) -> V3 {
        add(Rotation::y(self.facing).turn(point), self.position)
    }
}

/// Whether the action's first key is the posture before it, so that no movement leads there.
fn rests(before: &[(Dof, f32)], action: &Action) -> bool {
    action.keys.first().is_some_and(|key| key.posture == before)
}

/// The same posture with the limbs of the two sides exchanged.
fn exchanged(posture: &Posture) -> Posture {
    use Dof::*;
    let mut other = *posture;
    for (main, side) in Dof::SIDES {
        other[main] = posture[side];
        other[side] = posture[main];
    }
    for turned in [Sway, Turn, Twist, Look] {
        other[turned] = -posture[turned];
    }
    other
}
