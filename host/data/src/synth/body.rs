//! Forward kinematics: from a posture to points in space.
//!
//! The body's own frame: x to the person's right, y up, z backward, feet on the ground at y = 0. It is the camera's frame
//! for a person who faces the camera.

use super::dof::{Dof, Posture};
use super::person::Build;
use super::vector::{Rotation, V3, add, lerp, scale, sub};
use tendon_shared::topology::{TopologyId, map};

/// Joints of the largest standard that is generated, plus the face's five points of COCO.
pub(super) const POINTS: usize = 30;

/// First of the face's points: nose, left eye, right eye, left ear, right ear.
const FACE: usize = 25;

/// COCO's joints among the points.
const COCO: [usize; 17] = [
    25, 26, 27, 28, 29, 4, 8, 5, 9, 6, 10, 12, 16, 13, 17, 14, 18,
];

/// A body in space: the 25 joints of `ntu25`, then the face.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure(pub(super) [V3; POINTS]);

const DOWN: V3 = [0.0, -1.0, 0.0];

/// Arm, leg and side of the body that a limb belongs to; `sign` is 1 on the right.
struct Side {
    sign: f32,
    first: usize,
    arm: [Dof; 4],
    leg: [Dof; 3],
}

impl Figure {
    /// The figure of a body of this build in this posture.
    pub(super) fn new(build: &Build, posture: &Posture) -> Self {
        let main = if build.right_handed { 1.0 } else { -1.0 };
        let mut points = [[0.0; 3]; POINTS];
        let upright = Rotation::y(main * posture[Dof::Turn]);
        let leg_length = build.thigh + build.shank;
        let hips = upright.turn([0.0, 0.0, posture[Dof::Back] * leg_length]);
        let trunk = upright
            .after(Rotation::z(-main * posture[Dof::Sway]))
            .after(Rotation::x(-posture[Dof::Lean]));
        let bent = |share: f32| {
            trunk
                .after(Rotation::y(main * posture[Dof::Twist] * share))
                .after(Rotation::x(-posture[Dof::Stoop] * share))
        };
        let chest = bent(1.0);
        points[0] = hips;
        points[1] = add(hips, trunk.turn([0.0, 0.3 * build.trunk, 0.0]));
        let middle = add(points[1], bent(0.5).turn([0.0, 0.35 * build.trunk, 0.0]));
        points[20] = add(middle, chest.turn([0.0, 0.35 * build.trunk, 0.0]));
        let head = chest
            .after(Rotation::y(main * posture[Dof::Look]))
            .after(Rotation::x(-posture[Dof::Nod]));
        points[2] = add(points[20], chest.turn([0.0, 0.4 * build.head, 0.0]));
        points[3] = add(points[2], head.turn([0.0, 0.6 * build.head, 0.0]));
        let centre = points[3];
        for (point, offset) in points[FACE..].iter_mut().zip([
            [0.0, -0.02, -0.11],
            [-0.03, 0.015, -0.09],
            [0.03, 0.015, -0.09],
            [-0.075, 0.0, 0.0],
            [0.075, 0.0, 0.0],
        ]) {
            *point = add(centre, head.turn(offset));
        }
        for side in sides(build.right_handed) {
            arm(build, posture, &side, chest, points[20], &mut points);
            leg(build, posture, &side, upright, hips, &mut points);
        }
        let lowest = [14, 15, 18, 19]
            .map(|joint| points[joint][1])
            .into_iter()
            .fold(f32::MAX, f32::min);
        let lift = [0.0, posture[Dof::Lift].max(0.0) + 0.06 - lowest, 0.0];
        Self(points.map(|point| add(point, lift)))
    }

    /// The figure with every point changed.
    pub(super) fn map(&self, change: impl Fn(V3) -> V3) -> Self {
        Self(self.0.map(change))
    }

    /// Joints of a standard; zeros when the figure is absent.
    pub(super) fn joints(&self, topology: TopologyId) -> Vec<V3> {
        if topology == TopologyId::Coco17 {
            return COCO.map(|point| self.0[point]).to_vec();
        }
        let mut joints = vec![[0.0; 3]; topology.topology().joint_count()];
        // A standard without a conversion from ntu25 leaves the joints absent; tests show that there is none.
        let _ = map::retarget(TopologyId::Ntu25, topology, &self.0[..FACE], &mut joints);
        joints
    }
}

fn sides(right_handed: bool) -> [Side; 2] {
    use Dof::*;
    let main = (
        [MainArmForward, MainArmSide, MainArmTurn, MainElbow],
        [MainLegForward, MainLegSide, MainKnee],
    );
    let other = (
        [OtherArmForward, OtherArmSide, OtherArmTurn, OtherElbow],
        [OtherLegForward, OtherLegSide, OtherKnee],
    );
    let (left, right) = if right_handed {
        (other, main)
    } else {
        (main, other)
    };
    [
        Side {
            sign: -1.0,
            first: 4,
            arm: left.0,
            leg: left.1,
        },
        Side {
            sign: 1.0,
            first: 8,
            arm: right.0,
            leg: right.1,
        },
    ]
}

fn arm(
    build: &Build,
    posture: &Posture,
    side: &Side,
    chest: Rotation,
    neck: V3,
    points: &mut [V3; POINTS],
) {
    let [forward, sideways, turn, elbow] = side.arm.map(|dof| posture[dof]);
    let upper = chest
        .after(Rotation::z(side.sign * sideways))
        .after(Rotation::x(forward))
        .after(Rotation::y(-side.sign * turn));
    let fore = upper.after(Rotation::x(elbow.max(0.0)));
    let at = side.first;
    points[at] = add(
        neck,
        chest.turn([side.sign * build.shoulder, -0.04 * build.trunk, 0.0]),
    );
    points[at + 1] = add(points[at], upper.turn(scale(DOWN, build.upper_arm)));
    points[at + 2] = add(points[at + 1], fore.turn(scale(DOWN, build.forearm)));
    points[at + 3] = add(points[at + 2], fore.turn(scale(DOWN, build.hand)));
    let tip = if side.sign < 0.0 { 21 } else { 23 };
    points[tip] = add(points[at + 3], fore.turn(scale(DOWN, build.hand)));
    points[tip + 1] = add(
        points[at + 3],
        fore.turn([-side.sign * 0.5 * build.hand, -0.3 * build.hand, 0.0]),
    );
}

fn leg(
    build: &Build,
    posture: &Posture,
    side: &Side,
    upright: Rotation,
    hips: V3,
    points: &mut [V3; POINTS],
) {
    let [forward, sideways, knee] = side.leg.map(|dof| posture[dof]);
    let thigh = upright
        .after(Rotation::z(side.sign * sideways))
        .after(Rotation::x(forward));
    let shank = thigh.after(Rotation::x(-knee.max(0.0)));
    let at = side.first + 8;
    points[at] = add(
        hips,
        upright.turn([side.sign * build.hip, -0.05 * build.trunk, 0.0]),
    );
    points[at + 1] = add(points[at], thigh.turn(scale(DOWN, build.thigh)));
    points[at + 2] = add(points[at + 1], shank.turn(scale(DOWN, build.shank)));
    points[at + 3] = add(
        points[at + 2],
        shank.turn([
            side.sign * 0.2 * build.foot,
            -0.45 * build.foot,
            -0.85 * build.foot,
        ]),
    );
}

/// Squared distance (metres) across the line of sight from `point` to the segment `from`..`to`, and how far the segment
/// is in front of the point there; seen from the origin.
pub(super) fn cover(point: V3, from: V3, to: V3) -> (f32, f32) {
    let depth = super::vector::length(point).max(1e-6);
    let ray = scale(point, 1.0 / depth);
    let across = |v: V3| sub(v, scale(ray, super::vector::dot(v, ray)));
    let (a, b) = (across(from), across(to));
    let along = sub(b, a);
    let squared = super::vector::dot(along, along);
    let at = if squared > 0.0 {
        (-super::vector::dot(a, along) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let nearest = lerp(a, b, at);
    let front = depth - super::vector::dot(lerp(from, to, at), ray);
    (super::vector::dot(nearest, nearest), front)
}
