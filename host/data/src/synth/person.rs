//! A person: size, proportions, handedness and habits.

use super::dice::Dice;
use super::dof::{Dof, Posture};

/// Lengths of a body in metres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build {
    /// Middle of the hips to middle of the shoulders.
    pub(super) trunk: f32,
    /// Middle of the shoulders to middle of the head.
    pub(super) head: f32,
    /// Middle to one shoulder.
    pub(super) shoulder: f32,
    /// Middle to one hip.
    pub(super) hip: f32,
    pub(super) upper_arm: f32,
    pub(super) forearm: f32,
    /// Wrist to middle of the hand.
    pub(super) hand: f32,
    pub(super) thigh: f32,
    pub(super) shank: f32,
    /// Ankle to middle of the foot.
    pub(super) foot: f32,
    /// The preferred side is the right one.
    pub(super) right_handed: bool,
}

/// Who performs.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) build: Build,
    /// Added to every posture.
    pub(super) habit: Posture,
    /// Factor of every degree of freedom's excursion.
    pub(super) reach: Posture,
    /// Factor of every duration.
    pub(super) slowness: f32,
    /// Rate of the sway of standing, Hz.
    pub(super) sway_rate: f32,
    /// Size of the sway, radians.
    pub(super) sway: f32,
}

impl Person {
    /// Draws a person. Lengths are fractions of the stature as in anthropometric tables (Winter 2009), with the spread of
    /// adults; the trunk is shorter than an anatomical one because depth sensors put the hip centre high.
    pub(super) fn new(dice: &mut Dice) -> Self {
        let stature = dice.between(1.48, 1.96);
        let mut part = |fraction: f32| stature * fraction * dice.between(0.92, 1.08);
        let build = Build {
            trunk: part(0.265),
            head: part(0.115),
            shoulder: part(0.1),
            hip: part(0.046),
            upper_arm: part(0.155),
            forearm: part(0.142),
            hand: part(0.046),
            thigh: part(0.245),
            shank: part(0.225),
            foot: part(0.052),
            right_handed: true,
        };
        let build = Build {
            right_handed: !dice.chance(0.2),
            ..build
        };
        let mut habit = Posture::NEUTRAL;
        let mut set =
            |dof: Dof, low: f32, high: f32| habit[dof] = dice.between(low, high).to_radians();
        set(Dof::Stoop, -3.0, 14.0);
        set(Dof::Lean, -3.0, 4.0);
        set(Dof::Nod, -5.0, 15.0);
        set(Dof::MainArmSide, 5.0, 16.0);
        set(Dof::OtherArmSide, 5.0, 16.0);
        set(Dof::MainElbow, 6.0, 26.0);
        set(Dof::OtherElbow, 6.0, 26.0);
        set(Dof::MainLegSide, 1.0, 9.0);
        set(Dof::OtherLegSide, 1.0, 9.0);
        let mut reach = Posture::NEUTRAL;
        for factor in &mut reach.0 {
            *factor = dice.between(0.62, 1.15);
        }
        // Both sides of a person reach about as far.
        for (main, other) in Dof::SIDES {
            reach[other] = 0.7 * reach[main] + 0.3 * reach[other];
        }
        Self {
            build,
            habit,
            reach,
            slowness: dice.between(0.7, 1.5),
            sway_rate: dice.between(0.2, 0.5),
            sway: dice.between(0.01, 0.05),
        }
    }
}
