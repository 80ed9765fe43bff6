//! Who trains and who tests.
//!
//! A [`Selection`] picks recordings by person, camera, setup, take, class or source file; a [`Split`] is two of them.
//! [`mod@preset`] names the splits of the public sets. Nothing here looks at a pose, and nothing chooses at random: the same
//! text always selects the same recordings.

pub mod preset;
mod selection;

pub use preset::{preset, preset_names};
pub use selection::{Axis, Selection, Tags};

use crate::dataset::Dataset;
use std::collections::BTreeSet;

/// A training side and a test side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The preset's name, or the user's text.
    pub name: String,
    /// Recordings to learn from.
    pub train: Selection,
    /// Recordings to report on; never to choose anything with.
    pub test: Selection,
    /// Recordings on the two sides of the complete set.
    pub counts: Option<(usize, usize)>,
}

/// Recordings of one split by their number in the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The training side without the validation side.
    pub train: Vec<usize>,
    /// Training persons that were held out, to choose epochs and thresholds with.
    pub validation: Vec<usize>,
    /// The test side.
    pub test: Vec<usize>,
}

/// A split or selection that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Text that is not a selection.
    #[error(
        "{text:?} is not a selection: {reason}; write for example \"subjects=1-7,9;cameras=1\""
    )]
    Syntax {
        /// The part that was not understood.
        text: String,
        /// Why.
        reason: &'static str,
    },
    /// No preset has this name.
    #[error("there is no split {name:?}; there are {known}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// All presets, comma-separated.
        known: String,
    },
    /// The complete set must give these counts.
    #[error(
        "the split {name} has {train} training and {test} test recordings, the complete set gives {expected_train} and {expected_test}; \
         were the recordings with missing skeletons left out, and is every recording there once?"
    )]
    Counts {
        /// The split.
        name: String,
        /// Found.
        train: usize,
        /// Found.
        test: usize,
        /// Published.
        expected_train: usize,
        /// Published.
        expected_test: usize,
    },
    /// A recording is on both sides.
    #[error("the recording {recording} is on both sides of the split {name}")]
    Overlap {
        /// The split.
        name: String,
        /// The first recording on both sides.
        recording: String,
    },
    /// One side has no recording.
    #[error("the {side} side of the split {name} is empty in this set")]
    EmptySide {
        /// The split.
        name: String,
        /// `training`, `validation` or `test`.
        side: &'static str,
    },
    /// A split list of a set does not have its form.
    #[error("the split list is damaged: {0}")]
    List(&'static str),
}

impl Split {
    /// A preset by name, or two selections written as `TRAIN / TEST`.
    ///
    /// # Errors
    /// When the text is neither; the message lists the presets.
    pub fn parse(text: &str) -> Result<Self, SplitError> {
        match text.split_once('/') {
            Some((train, test)) => Ok(Self {
                name: text.to_owned(),
                train: train.trim().parse()?,
                test: test.trim().parse()?,
                counts: None,
            }),
            None => preset(text.trim()),
        }
    }

    /// The two sides in a set.
    ///
    /// # Errors
    /// When a side is empty, a recording is on both, or the set is as large as the published one but gives other counts.
    pub fn apply(&self, dataset: &Dataset) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
        let sides = self.hold_out(dataset, &[])?;
        Ok((sides.train, sides.test))
    }

    /// The sides with the persons `held_out` moved from the training side to a validation side.
    ///
    /// # Errors
    /// As [`Self::apply`], and when persons are held out but none of them is on the training side.
    pub fn hold_out(&self, dataset: &Dataset, held_out: &[u16]) -> Result<Sides, SplitError> {
        let empty = |side| SplitError::EmptySide {
            name: self.name.clone(),
            side,
        };
        let (mut train, test) = (self.train.indices(dataset), self.test.indices(dataset));
        let tested: BTreeSet<usize> = test.iter().copied().collect();
        if let Some(&both) = train.iter().find(|number| tested.contains(number)) {
            let recording = dataset.recording(both).name.to_owned();
            return Err(SplitError::Overlap {
                name: self.name.clone(),
                recording,
            });
        }
        self.check_counts(train.len(), test.len())?;
        let mut validation = Vec::new();
        train.retain(|&number| {
            let keep = !held_out.contains(&dataset.recording(number).subject);
            if !keep {
                validation.push(number);
            }
            keep
        });
        if train.is_empty() {
            return Err(empty("training"));
        }
        if validation.is_empty() && !held_out.is_empty() {
            return Err(empty("validation"));
        }
        if test.is_empty() {
            return Err(empty("test"));
        }
        Ok(Sides {
            train,
            validation,
            test,
        })
    }

    /// Compares with the published counts. A smaller set is a part of the published one and passes.
    ///
    /// # Errors
    /// When the set is complete, or larger, and its counts differ.
    pub fn check_counts(&self, train: usize, test: usize) -> Result<(), SplitError> {
        match self.counts {
            Some((expected_train, expected_test))
                if train + test >= expected_train + expected_test
                    && (train, test) != (expected_train, expected_test) =>
            {
                let name = self.name.clone();
                Err(SplitError::Counts {
                    name,
                    train,
                    test,
                    expected_train,
                    expected_test,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether these counts are those of the complete set.
    pub fn is_complete(&self, train: usize, test: usize) -> bool {
        self.counts == Some((train, test))
    }
}

#[cfg(test)]
mod tests;
