//! The tails of the last updates, so that any of them can be gone back to.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a tail was before an update.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// What it was worth.
    pub facts: SnapshotFacts,
    /// Teacher weights; empty for the shipped tail.
    pub teacher: Vec<f32>,
    /// Student weights; empty for the shipped tail.
    pub student: Vec<f32>,
}

/// The small part of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// The last update that is in it, counted over the device's life; 0 for none.
    pub update: u64,
    /// Updates since the tail was made; 0 for the shipped tail.
    pub updates: u64,
    /// Windows observed by then: later ones are forgotten when it comes back.
    pub windows: u64,
    /// Whether it served.
    pub serves: bool,
}

/// A bounded ring of snapshots, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    keep: usize,
    snapshots: VecDeque<Snapshot>,
}

impl History {
    /// An empty ring for `keep` snapshots.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            snapshots: VecDeque::new(),
        }
    }

    /// Keeps what was before an update; forgets the oldest when full.
    pub fn push(&mut self, snapshot: Snapshot) {
        self.snapshots.push_back(snapshot);
        while self.snapshots.len() > self.keep {
            self.snapshots.pop_front();
        }
    }

    /// All snapshots, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Snapshot> {
        self.snapshots.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.snapshots.clear();
    }

    /// Takes out the newest snapshot, or the one after update `to`, and forgets all newer ones. Update 0 is the shipped tail and is
    /// always there.
    ///
    /// # Errors
    /// [`UndoError`] naming what is there; nothing is changed.
    pub fn take(&mut self, to: Option<u64>) -> Result<Snapshot, UndoError> {
        match to {
            None => self.snapshots.pop_back().ok_or(UndoError::Nothing),
            Some(0) => {
                self.snapshots.clear();
                Ok(Snapshot::default())
            }
            Some(to) => {
                let place = self
                    .snapshots
                    .iter()
                    .rposition(|snapshot| snapshot.facts.update == to)
                    .ok_or_else(|| UndoError::NotKept {
                        to,
                        kept: self
                            .snapshots
                            .iter()
                            .map(|kept| kept.facts.update)
                            .collect(),
                    })?;
                self.snapshots.truncate(place + 1);
                self.snapshots.pop_back().ok_or(UndoError::Nothing)
            }
        }
    }
}

/// There is nothing to go back to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// No update was made since the last roll-back.
    #[error("there is no update to undo")]
    Nothing,
    /// That update's tail is not kept.
    #[error(
        "the tail after update {to} is not kept; kept are 0 (the shipped one){}",
        kept.iter().filter(|update| **update > 0).map(|update| format!(", {update}")).collect::<String>()
    )]
    NotKept {
        /// What was asked for.
        to: u64,
        /// What is there.
        kept: Vec<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(updates: std::ops::Range<u64>) -> History {
        let mut history = History::new(3);
        for update in updates {
            history.push(Snapshot {
                facts: SnapshotFacts {
                    update,
                    updates: update,
                    ..SnapshotFacts::default()
                },
                ..Snapshot::default()
            });
        }
        history
    }

    fn take(history: &mut History, to: Option<u64>) -> Result<u64, UndoError> {
        history.take(to).map(|snapshot| snapshot.facts.update)
    }

    #[test]
    fn goes_back_step_by_step_as_far_as_it_reaches() {
        let mut history = history(0..6);
        assert_eq!(history.iter().len(), 3);
        for update in [5, 4, 3] {
            assert_eq!(take(&mut history, None), Ok(update));
        }
        assert_eq!(take(&mut history, None), Err(UndoError::Nothing));
    }

    #[test]
    fn goes_back_to_one_update_and_forgets_the_later_ones() {
        let mut history = history(0..6);
        assert_eq!(
            take(&mut history, Some(2)).unwrap_err().to_string(),
            "the tail after update 2 is not kept; kept are 0 (the shipped one), 3, 4, 5"
        );
        assert_eq!(take(&mut history, Some(4)), Ok(4));
        assert_eq!(history.iter().len(), 1);
        assert_eq!(take(&mut history, Some(0)), Ok(0));
        assert_eq!(history.iter().len(), 0);
    }
}
