//! The latest windows, so that a person can still name one of them.

use super::features::Features;
use std::collections::VecDeque;

/// Windows that can be named: half a minute of one person at the default hop.
pub const CANDIDATES: usize = 64;

/// A window that a person may name.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its number.
    pub window: u64,
    /// Its track.
    pub track: u64,
    /// When it ended, milliseconds.
    pub end_ms: u64,
    /// Share of joints seen, 0..=1.
    pub quality: f32,
    /// Weak view.
    pub weak: Features,
    /// Strong view.
    pub strong: Features,
}

/// A ring of [`CANDIDATES`] windows, oldest first.
#[derive(Debug, Default)]
pub struct Candidates(VecDeque<Candidate>);

impl Candidates {
    /// Takes a window; forgets the oldest when full.
    pub fn push(&mut self, candidate: Candidate) {
        if self.0.len() >= CANDIDATES {
            self.0.pop_front();
        }
        self.0.push_back(candidate);
    }

    /// The window of that number.
    #[must_use]
    pub fn find(&self, window: u64) -> Option<&Candidate> {
        self.0.iter().find(|candidate| candidate.window == window)
    }

    /// Numbers of the oldest and the newest window that can be named.
    #[must_use]
    pub fn range(&self) -> Option<(u64, u64)> {
        Some((self.0.front()?.window, self.0.back()?.window))
    }
}

/// A window could not be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The window is forgotten, never was, or was frozen or torn.
    #[error(
        "window {window} cannot be named: {}",
        known.map_or("no window was seen since the start".to_owned(), |(oldest, newest)| format!(
            "windows {oldest} to {newest} can, as far as they were whole"
        ))
    )]
    Window {
        /// What was asked for.
        window: u64,
        /// The oldest and the newest window that can be named.
        known: Option<(u64, u64)>,
    },
    /// The bundle knows no such class.
    #[error("the bundle knows no class `{class}`; it knows {}", known.join(", "))]
    Class {
        /// What was asked for.
        class: String,
        /// The classes' names.
        known: Vec<String>,
    },
    /// The device does not learn: nothing would come of the label.
    #[error("adaptation is off: switch it on first")]
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_errors_say_what_is_known() {
        let mut candidates = Candidates::default();
        for window in 0..100 {
            candidates.push(Candidate {
                window,
                track: 1,
                end_ms: 0,
                quality: 1.0,
                weak: Features::new(&[]),
                strong: Features::new(&[]),
            });
        }
        assert!(candidates.find(35).is_none() && candidates.find(36).is_some());
        let error = LabelError::Window {
            window: 3,
            known: candidates.range(),
        };
        assert_eq!(
            error.to_string(),
            "window 3 cannot be named: windows 36 to 99 can, as far as they were whole"
        );
        let error = LabelError::Class {
            class: "fly".into(),
            known: vec!["sit".into(), "wave".into()],
        };
        assert_eq!(
            error.to_string(),
            "the bundle knows no class `fly`; it knows sit, wave"
        );
    }
}
