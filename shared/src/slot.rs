//! The install state machine: two slots, one of which serves while the other is filled and tried.
//!
//! Pure: no disk, no clock. The edge stores [`Slots`] after every step and asks here what may happen next. The promise, held by
//! a property test: once a bundle was confirmed, no run of events leaves the device without a usable one.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How often a device may start during one trial before it takes the trial for failed.
pub const MAX_TRIAL_BOOTS: u8 = 3;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SlotState {
    /// Nothing.
    #[default]
    Empty,
    /// A part of a bundle.
    Receiving,
    /// A whole bundle with a good signature and bit-exact golden windows, which has not served yet.
    Verified,
    /// A bundle that serves until it proved itself or failed.
    Trial {
        /// Starts of the device since the trial began.
        boots: u8,
    },
    /// A bundle that proved itself.
    Confirmed,
    /// A bundle that was refused or failed its trial.
    Rejected,
}

/// What can happen to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotEvent {
    /// A transfer begins; what the slot held is gone.
    Begin,
    /// The bundle arrived whole and every check went well.
    Verify,
    /// A check failed, or the transfer was given up.
    Refuse,
    /// The bundle begins to serve.
    Try,
    /// The device started.
    Boot,
    /// The trial went well.
    Confirm,
    /// The trial failed, or an operator wants the bundle gone.
    RollBack,
    /// The device is stopped in good order, so that the next start tells nothing about the bundle.
    Stop,
}

/// The event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impossible {
    /// The state.
    pub state: SlotState,
    /// The event.
    pub event: SlotEvent,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot happen to a slot that is {:?}",
            self.event, self.state
        )
    }
}

impl core::error::Error for Impossible {}

/// The state after `event`.
///
/// # Errors
/// [`Impossible`]: the event makes no sense in this state; nothing changed.
pub const fn next(state: SlotState, event: SlotEvent) -> Result<SlotState, Impossible> {
    use SlotEvent as E;
    use SlotState as S;
    Ok(match (state, event) {
        (S::Empty | S::Receiving | S::Verified | S::Confirmed | S::Rejected, E::Begin) => {
            S::Receiving
        }
        (S::Receiving, E::Verify) => S::Verified,
        (S::Receiving | S::Verified, E::Refuse) => S::Rejected,
        (S::Verified, E::Try) => S::Trial { boots: 0 },
        (S::Trial { boots }, E::Boot) if boots + 1 < MAX_TRIAL_BOOTS => {
            S::Trial { boots: boots + 1 }
        }
        (S::Trial { .. }, E::Boot) => S::Rejected,
        (S::Trial { .. }, E::Stop) => S::Trial { boots: 0 },
        (state, E::Boot | E::Stop) => state,
        (S::Trial { .. }, E::Confirm) => S::Confirmed,
        (S::Trial { .. } | S::Confirmed, E::RollBack) => S::Rejected,
        (state, event) => return Err(Impossible { state, event }),
    })
}

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Both slots, and which of them was confirmed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slots {
    a: SlotState,
    b: SlotState,
    confirmed: Option<Side>,
}

impl Slots {
    /// What slot `side` holds.
    pub const fn state(&self, side: Side) -> SlotState {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }

    /// The slot whose bundle was confirmed last: what serves when no trial does.
    pub const fn confirmed(&self) -> Option<Side> {
        self.confirmed
    }

    /// The slot on trial.
    pub fn trial(&self) -> Option<Side> {
        self.find(|state| matches!(state, SlotState::Trial { .. }))
    }

    /// The slot that serves: the one on trial, else the confirmed one.
    pub fn serving(&self) -> Option<Side> {
        self.trial().or(self.confirmed)
    }

    /// The slot that is being filled or waits for its trial.
    pub fn incoming(&self) -> Option<Side> {
        self.find(|state| matches!(state, SlotState::Receiving | SlotState::Verified))
    }

    /// The slot that the next transfer goes to, while no trial is on: never the one that serves.
    pub fn target(&self) -> Option<Side> {
        match (self.trial(), self.incoming(), self.confirmed) {
            (Some(_), ..) => None,
            (None, Some(side), _) => Some(side),
            (None, None, Some(side)) => Some(side.other()),
            (None, None, None) => Some(Side::A),
        }
    }

    /// The slot to which an operator can go back: confirmed once, and not the one that serves now.
    pub fn previous(&self) -> Option<Side> {
        let other = self.confirmed?.other();
        (self.state(other) == SlotState::Confirmed).then_some(other)
    }

    /// The slots after `event`. `Begin` is about [`Slots::target`], the other events about the slot they make sense for.
    ///
    /// # Errors
    /// [`Impossible`]: no slot is in a state for this event; nothing changed.
    pub fn apply(self, event: SlotEvent) -> Result<Self, Impossible> {
        let side = match event {
            SlotEvent::Begin => self.target(),
            SlotEvent::Verify | SlotEvent::Refuse | SlotEvent::Try => self.incoming(),
            SlotEvent::Boot | SlotEvent::Stop => match self.trial() {
                None => return Ok(self),
                trial => trial,
            },
            SlotEvent::Confirm => self.trial(),
            SlotEvent::RollBack => self.trial().or_else(|| self.previous().and(self.confirmed)),
        };
        let side = side.ok_or(Impossible {
            state: self
                .serving()
                .map_or(SlotState::Empty, |side| self.state(side)),
            event,
        })?;
        let state = next(self.state(side), event)?;
        let mut after = self;
        match side {
            Side::A => after.a = state,
            Side::B => after.b = state,
        }
        match event {
            SlotEvent::Confirm => after.confirmed = Some(side),
            SlotEvent::RollBack if self.confirmed == Some(side) => {
                after.confirmed = self.previous();
            }
            _ => {}
        }
        Ok(after)
    }

    fn find(&self, wanted: impl Fn(SlotState) -> bool) -> Option<Side> {
        Side::BOTH
            .into_iter()
            .find(|side| wanted(self.state(*side)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [SlotEvent; 8] = [
        SlotEvent::Begin,
        SlotEvent::Verify,
        SlotEvent::Refuse,
        SlotEvent::Try,
        SlotEvent::Boot,
        SlotEvent::Confirm,
        SlotEvent::RollBack,
        SlotEvent::Stop,
    ];

    fn after(events: &[SlotEvent]) -> Slots {
        events.iter().fold(Slots::default(), |slots, event| {
            slots.apply(*event).unwrap()
        })
    }

    const INSTALL: [SlotEvent; 4] = [
        SlotEvent::Begin,
        SlotEvent::Verify,
        SlotEvent::Try,
        SlotEvent::Confirm,
    ];

    #[test]
    fn two_installs_take_turns() {
        let slots = after(&[INSTALL, INSTALL].concat());
        assert_eq!(slots.serving(), Some(Side::B));
        assert_eq!(slots.previous(), Some(Side::A));
        let back = slots.apply(SlotEvent::RollBack).unwrap();
        assert_eq!(back.serving(), Some(Side::A));
        assert_eq!(back.state(Side::B), SlotState::Rejected);
        assert!(back.apply(SlotEvent::RollBack).is_err());
    }

    #[test]
    fn too_many_boots_end_a_trial() {
        let mut slots = after(&[&INSTALL[..], &INSTALL[..3]].concat());
        assert_eq!(slots.serving(), Some(Side::B));
        for _ in 1..MAX_TRIAL_BOOTS {
            slots = slots.apply(SlotEvent::Boot).unwrap();
            assert_eq!(slots.trial(), Some(Side::B));
        }
        slots = slots.apply(SlotEvent::Boot).unwrap();
        assert_eq!(
            (slots.serving(), slots.state(Side::B)),
            (Some(Side::A), SlotState::Rejected)
        );
    }

    #[test]
    fn orderly_restarts_do_not_end_a_trial() {
        let mut slots = after(&INSTALL[..3]);
        for _ in 0..10 {
            slots = slots
                .apply(SlotEvent::Boot)
                .unwrap()
                .apply(SlotEvent::Stop)
                .unwrap();
        }
        assert_eq!(slots.trial(), Some(Side::A));
    }

    #[test]
    fn nothing_is_received_during_a_trial() {
        assert!(after(&INSTALL[..3]).apply(SlotEvent::Begin).is_err());
    }

    proptest! {
        #[test]
        fn once_confirmed_a_usable_slot_always_remains(events in proptest::collection::vec(proptest::sample::select(&EVENTS[..]), 0..60)) {
            let mut slots = Slots::default();
            let mut was_confirmed = false;
            for event in events {
                slots = slots.apply(event).unwrap_or(slots);
                was_confirmed |= slots.confirmed().is_some();
                if was_confirmed {
                    let side = slots.confirmed().unwrap();
                    prop_assert_eq!(slots.state(side), SlotState::Confirmed);
                    prop_assert!(slots.serving().is_some());
                }
                let busy = Side::BOTH.into_iter().filter(|side| matches!(slots.state(*side),
                    SlotState::Trial { .. } | SlotState::Receiving | SlotState::Verified));
                prop_assert!(busy.count() <= 1);
            }
        }
    }
}
