//! The actions: keyframes in degrees.
//!
//! Several share their postures and differ in the way through them: sitting down and standing up, bow and squat, punch
//! and throw, wave and raised arms.

use super::dof::Dof::{self, *};

/// A posture at a point of the action.
#[derive(Debug)]
pub(super) struct Key {
    /// Seconds from the start of one pass, at normal tempo.
    pub(super) at: f32,
    /// Degrees (`Back` leg lengths, `Lift` metres).
    pub(super) posture: &'static [(Dof, f32)],
}

/// What a body does.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: &'static str,
    /// Posture before and, unless `after` says otherwise, afterwards.
    pub(super) before: &'static [(Dof, f32)],
    pub(super) after: &'static [(Dof, f32)],
    /// One pass, in order of time.
    pub(super) keys: &'static [Key],
    /// Least and most passes.
    pub(super) passes: (u8, u8),
}

const STANDING: &[(Dof, f32)] = &[];

const SEATED: &[(Dof, f32)] = &[
    (Back, 0.35),
    (MainLegForward, 85.0),
    (MainKnee, 88.0),
    (OtherLegForward, 85.0),
    (OtherKnee, 88.0),
    (MainArmForward, 28.0),
    (MainElbow, 50.0),
    (OtherArmForward, 28.0),
    (OtherElbow, 50.0),
];

/// Half-way between seat and stand, the trunk over the feet; the same in both directions.
const RISING: &[(Dof, f32)] = &[
    (Back, 0.3),
    (Lean, 42.0),
    (MainLegForward, 68.0),
    (MainKnee, 75.0),
    (OtherLegForward, 68.0),
    (OtherKnee, 75.0),
    (MainArmForward, 35.0),
    (MainElbow, 30.0),
    (OtherArmForward, 35.0),
    (OtherElbow, 30.0),
];

const CROUCHED: &[(Dof, f32)] = &[
    (Lean, 28.0),
    (MainLegForward, 50.0),
    (MainKnee, 85.0),
    (OtherLegForward, 50.0),
    (OtherKnee, 85.0),
    (MainArmForward, -30.0),
    (OtherArmForward, -30.0),
];

/// Every action; a label is a position in this list, so it grows only at the end.
pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "wave",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: &[(MainArmSide, 70.0), (MainArmTurn, 85.0), (MainElbow, 65.0)],
            },
            Key {
                at: 0.28,
                posture: &[(MainArmSide, 72.0), (MainArmTurn, 85.0), (MainElbow, 120.0)],
            },
            Key {
                at: 0.56,
                posture: &[(MainArmSide, 70.0), (MainArmTurn, 85.0), (MainElbow, 65.0)],
            },
        ],
        passes: (2, 4),
    },
    Action {
        name: "clap",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: &[
                    (MainArmForward, 45.0),
                    (MainArmSide, 35.0),
                    (MainElbow, 65.0),
                    (OtherArmForward, 45.0),
                    (OtherArmSide, 35.0),
                    (OtherElbow, 65.0),
                ],
            },
            Key {
                at: 0.22,
                posture: &[
                    (MainArmForward, 50.0),
                    (MainArmTurn, -38.0),
                    (MainElbow, 60.0),
                    (OtherArmForward, 50.0),
                    (OtherArmTurn, -38.0),
                    (OtherElbow, 60.0),
                ],
            },
            Key {
                at: 0.45,
                posture: &[
                    (MainArmForward, 45.0),
                    (MainArmSide, 35.0),
                    (MainElbow, 65.0),
                    (OtherArmForward, 45.0),
                    (OtherArmSide, 35.0),
                    (OtherElbow, 65.0),
                ],
            },
        ],
        passes: (3, 5),
    },
    Action {
        name: "punch",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: &[
                    (MainArmForward, 5.0),
                    (MainElbow, 130.0),
                    (Twist, -15.0),
                    (OtherArmForward, 40.0),
                    (OtherElbow, 110.0),
                ],
            },
            Key {
                at: 0.2,
                posture: &[
                    (MainArmForward, 85.0),
                    (MainElbow, 8.0),
                    (Twist, 28.0),
                    (Lean, 10.0),
                    (OtherArmForward, 30.0),
                    (OtherElbow, 120.0),
                    (MainLegForward, -12.0),
                    (OtherLegForward, 14.0),
                ],
            },
            Key {
                at: 0.6,
                posture: &[
                    (MainArmForward, 5.0),
                    (MainElbow, 130.0),
                    (Twist, -15.0),
                    (OtherArmForward, 40.0),
                    (OtherElbow, 110.0),
                ],
            },
        ],
        passes: (1, 3),
    },
    Action {
        name: "kick",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: &[
                    (MainLegForward, -18.0),
                    (MainKnee, 60.0),
                    (Lean, 8.0),
                    (OtherArmForward, 30.0),
                ],
            },
            Key {
                at: 0.28,
                posture: &[
                    (MainLegForward, 75.0),
                    (MainKnee, 6.0),
                    (Lean, -14.0),
                    (MainArmForward, -25.0),
                    (OtherArmForward, 40.0),
                    (OtherKnee, 8.0),
                ],
            },
            Key {
                at: 0.75,
                posture: &[(MainLegForward, 15.0), (MainKnee, 35.0)],
            },
        ],
        passes: (1, 2),
    },
    Action {
        name: "squat",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.75,
                posture: &[
                    (Back, 0.1),
                    (Lean, 35.0),
                    (MainLegForward, 88.0),
                    (MainKnee, 112.0),
                    (MainLegSide, 14.0),
                    (OtherLegForward, 88.0),
                    (OtherKnee, 112.0),
                    (OtherLegSide, 14.0),
                    (MainArmForward, 70.0),
                    (MainElbow, 12.0),
                    (OtherArmForward, 70.0),
                    (OtherElbow, 12.0),
                ],
            },
            Key {
                at: 1.5,
                posture: STANDING,
            },
        ],
        passes: (1, 2),
    },
    Action {
        name: "sit down",
        before: STANDING,
        after: SEATED,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.6,
                posture: RISING,
            },
            Key {
                at: 1.2,
                posture: SEATED,
            },
        ],
        passes: (1, 1),
    },
    Action {
        name: "stand up",
        before: SEATED,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: SEATED,
            },
            Key {
                at: 0.6,
                posture: RISING,
            },
            Key {
                at: 1.2,
                posture: STANDING,
            },
        ],
        passes: (1, 1),
    },
    Action {
        name: "bow",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.7,
                posture: &[
                    (Lean, 48.0),
                    (Stoop, 25.0),
                    (Nod, 15.0),
                    (Back, 0.08),
                    (MainArmForward, 55.0),
                    (OtherArmForward, 55.0),
                ],
            },
            Key {
                at: 1.1,
                posture: &[
                    (Lean, 48.0),
                    (Stoop, 25.0),
                    (Nod, 15.0),
                    (Back, 0.08),
                    (MainArmForward, 55.0),
                    (OtherArmForward, 55.0),
                ],
            },
            Key {
                at: 1.8,
                posture: STANDING,
            },
        ],
        passes: (1, 1),
    },
    Action {
        name: "jump",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.4,
                posture: CROUCHED,
            },
            Key {
                at: 0.65,
                posture: &[
                    (Lift, 0.28),
                    (MainArmForward, 115.0),
                    (OtherArmForward, 115.0),
                    (MainKnee, 8.0),
                ],
            },
            Key {
                at: 0.9,
                posture: CROUCHED,
            },
            Key {
                at: 1.25,
                posture: STANDING,
            },
        ],
        passes: (1, 2),
    },
    Action {
        name: "throw",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: &[
                    (MainArmSide, 85.0),
                    (MainArmTurn, 95.0),
                    (MainElbow, 105.0),
                    (Twist, -32.0),
                    (Lean, -8.0),
                    (OtherArmForward, 45.0),
                    (OtherElbow, 20.0),
                    (OtherLegForward, 18.0),
                    (MainLegForward, -12.0),
                ],
            },
            Key {
                at: 0.26,
                posture: &[
                    (MainArmForward, 100.0),
                    (MainArmSide, 25.0),
                    (MainElbow, 15.0),
                    (Twist, 28.0),
                    (Lean, 16.0),
                    (OtherArmForward, -10.0),
                    (OtherLegForward, 20.0),
                    (MainLegForward, -15.0),
                ],
            },
            Key {
                at: 0.6,
                posture: &[
                    (MainArmForward, 30.0),
                    (MainArmTurn, -30.0),
                    (MainElbow, 25.0),
                    (Twist, 32.0),
                    (Lean, 18.0),
                ],
            },
        ],
        passes: (1, 1),
    },
    Action {
        name: "walk in place",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.28,
                posture: &[
                    (MainLegForward, 45.0),
                    (MainKnee, 68.0),
                    (OtherArmForward, 28.0),
                    (OtherElbow, 30.0),
                    (MainArmForward, -20.0),
                    (MainElbow, 15.0),
                ],
            },
            Key {
                at: 0.56,
                posture: STANDING,
            },
            Key {
                at: 0.84,
                posture: &[
                    (OtherLegForward, 45.0),
                    (OtherKnee, 68.0),
                    (MainArmForward, 28.0),
                    (MainElbow, 30.0),
                    (OtherArmForward, -20.0),
                    (OtherElbow, 15.0),
                ],
            },
            Key {
                at: 1.12,
                posture: STANDING,
            },
        ],
        passes: (2, 3),
    },
    Action {
        name: "raise both arms",
        before: STANDING,
        after: STANDING,
        keys: &[
            Key {
                at: 0.0,
                posture: STANDING,
            },
            Key {
                at: 0.8,
                posture: &[
                    (MainArmSide, 162.0),
                    (MainElbow, 10.0),
                    (OtherArmSide, 162.0),
                    (OtherElbow, 10.0),
                ],
            },
            Key {
                at: 1.1,
                posture: &[
                    (MainArmSide, 162.0),
                    (MainElbow, 10.0),
                    (OtherArmSide, 162.0),
                    (OtherElbow, 10.0),
                ],
            },
            Key {
                at: 1.9,
                posture: STANDING,
            },
        ],
        passes: (1, 1),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_of_time_and_start_at_zero() {
        for action in ACTIONS {
            assert_eq!(action.keys[0].at, 0.0, "{}", action.name);
            assert!(
                action.keys.windows(2).all(|pair| pair[0].at < pair[1].at),
                "{}",
                action.name
            );
            assert!(action.passes.0 >= 1 && action.passes.0 <= action.passes.1);
        }
    }

    #[test]
    fn sitting_down_backwards_is_standing_up() {
        let of = |name: &str| ACTIONS.iter().find(|action| action.name == name).unwrap();
        let (down, up) = (of("sit down"), of("stand up"));
        assert!(
            down.keys
                .iter()
                .rev()
                .zip(up.keys)
                .all(|(a, b)| a.posture == b.posture)
        );
    }
}
