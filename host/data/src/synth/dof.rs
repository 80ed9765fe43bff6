//! The degrees of freedom of a body, and a posture as one value for each.

use std::ops::{Index, IndexMut};

/// A degree of freedom. "Main" is the side the person prefers; zero everywhere is standing upright with arms hanging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dof {
    /// Trunk forward from the hips; legs stay.
    Lean,
    /// Trunk to the main side from the hips.
    Sway,
    /// Whole body about the vertical, main shoulder forward.
    Turn,
    /// Hips backward, in leg lengths.
    Back,
    /// Feet off the ground, in metres.
    Lift,
    /// Upper trunk forward.
    Stoop,
    /// Upper trunk about its axis, main shoulder forward.
    Twist,
    /// Head forward.
    Nod,
    /// Head towards the other side.
    Look,
    /// Upper arm forward and up.
    MainArmForward,
    /// Upper arm sideways and up.
    MainArmSide,
    /// Upper arm about its axis, outward.
    MainArmTurn,
    /// Elbow bent.
    MainElbow,
    /// As `MainArmForward`.
    OtherArmForward,
    /// As `MainArmSide`.
    OtherArmSide,
    /// As `MainArmTurn`.
    OtherArmTurn,
    /// As `MainElbow`.
    OtherElbow,
    /// Thigh forward and up, from the vertical.
    MainLegForward,
    /// Thigh sideways.
    MainLegSide,
    /// Knee bent.
    MainKnee,
    /// As `MainLegForward`.
    OtherLegForward,
    /// As `MainLegSide`.
    OtherLegSide,
    /// As `MainKnee`.
    OtherKnee,
}

impl Dof {
    /// Those that exist on both sides: main, other.
    pub(super) const SIDES: [(Self, Self); 7] = [
        (Self::MainArmForward, Self::OtherArmForward),
        (Self::MainArmSide, Self::OtherArmSide),
        (Self::MainArmTurn, Self::OtherArmTurn),
        (Self::MainElbow, Self::OtherElbow),
        (Self::MainLegForward, Self::OtherLegForward),
        (Self::MainLegSide, Self::OtherLegSide),
        (Self::MainKnee, Self::OtherKnee),
    ];
}

/// Degrees of freedom.
pub(super) const DOFS: usize = Dof::OtherKnee as usize + 1;

/// Value of every degree of freedom: radians, except `Back` and `Lift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Posture(pub(super) [f32; DOFS]);

impl Posture {
    pub(super) const NEUTRAL: Self = Self([0.0; DOFS]);

    /// From a list in degrees (`Back` in leg lengths, `Lift` in metres); what is not listed is zero.
    pub(super) fn from_degrees(list: &[(Dof, f32)]) -> Self {
        let mut posture = Self::NEUTRAL;
        for &(dof, value) in list {
            posture[dof] = if matches!(dof, Dof::Back | Dof::Lift) {
                value
            } else {
                value.to_radians()
            };
        }
        posture
    }

    /// Between this (at 0) and `to` (at 1).
    pub(super) fn blend(&self, to: &Self, at: f32) -> Self {
        let mut mixed = *self;
        for (value, to) in mixed.0.iter_mut().zip(to.0) {
            *value += (to - *value) * at;
        }
        mixed
    }
}

impl Index<Dof> for Posture {
    type Output = f32;

    fn index(&self, dof: Dof) -> &f32 {
        &self.0[dof as usize]
    }
}

impl IndexMut<Dof> for Posture {
    fn index_mut(&mut self, dof: Dof) -> &mut f32 {
        &mut self.0[dof as usize]
    }
}
