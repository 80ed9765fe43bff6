//! Windows of several sets as one: more to tell apart when each set is small.
//!
//! Classes and persons of different sets have nothing to do with each other, so both are renumbered set after set.

use super::Windows;
use std::ops::Range;
use tendon_shared::normalize::NormalizeSpec;
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

/// The windows of several sets, one set after the other.
pub struct PooledWindows<'a> {
    sets: Vec<Box<dyn Windows + 'a>>,
    topology: TopologyId,
    spec: NormalizeSpec,
    parts: Vec<Range<usize>>,
    presence: Vec<Presence>,
    labels: Vec<u16>,
    subjects: Vec<u16>,
    classes: Vec<String>,
    digests: Vec<String>,
    recordings: Vec<u64>,
    names: Vec<String>,
}

/// Sets that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is no set.
    #[error("there is no set")]
    Empty,
    /// Skeletons or windows differ.
    #[error(
        "set number {number} has {found} skeletons, the first has {first}: convert one with `tendon import --topology`"
    )]
    Topology {
        /// Which set, from 1.
        number: usize,
        /// Its standard.
        found: &'static str,
        /// The first set's.
        first: &'static str,
    },
    /// Windows are made in different ways.
    #[error("set number {0} has windows of another size or normalisation")]
    Spec(usize),
    /// Numbers of classes or persons do not fit.
    #[error("the sets have more than 65,535 classes or persons together")]
    TooMany,
    /// The same recording is there twice.
    #[error(
        "a recording of set number {0} is in a set before, too: every recording may be learnt from once"
    )]
    Twice(usize),
}

impl<'a> PooledWindows<'a> {
    /// Puts sets together.
    ///
    /// # Errors
    /// [`PoolError`] when they do not fit.
    pub fn new(sets: Vec<Box<dyn Windows + 'a>>) -> Result<Self, PoolError> {
        let first = sets.first().ok_or(PoolError::Empty)?;
        let mut pool = Self {
            topology: first.topology(),
            spec: *first.spec(),
            parts: Vec::new(),
            presence: Vec::new(),
            labels: Vec::new(),
            subjects: Vec::new(),
            classes: Vec::new(),
            digests: Vec::new(),
            recordings: Vec::new(),
            names: Vec::new(),
            sets: Vec::new(),
        };
        for (number, set) in (1..).zip(sets) {
            pool.push(number, set)?;
        }
        Ok(pool)
    }

    fn push(&mut self, number: usize, set: Box<dyn Windows + 'a>) -> Result<(), PoolError> {
        if set.topology() != self.topology {
            return Err(PoolError::Topology {
                number,
                found: set.topology().name(),
                first: self.topology.name(),
            });
        }
        if *set.spec() != self.spec {
            return Err(PoolError::Spec(number));
        }
        let known: std::collections::BTreeSet<u64> = self.recordings.iter().copied().collect();
        if set.recordings().iter().any(|one| known.contains(one)) {
            return Err(PoolError::Twice(number));
        }
        let most = |numbers: &[u16]| {
            numbers
                .iter()
                .max()
                .map_or(0, |most| usize::from(*most) + 1)
        };
        let class = self.classes.len();
        let subject = most(&self.subjects);
        let moved = |from: &[u16], by: usize| -> Result<Vec<u16>, PoolError> {
            from.iter()
                .map(|one| u16::try_from(usize::from(*one) + by).map_err(|_| PoolError::TooMany))
                .collect()
        };
        self.labels.extend(moved(set.labels(), class)?);
        self.subjects.extend(moved(set.subjects(), subject)?);
        self.classes.extend_from_slice(set.classes());
        self.presence.extend_from_slice(set.presence());
        self.digests.extend_from_slice(set.digests());
        self.recordings.extend_from_slice(set.recordings());
        self.names.extend_from_slice(set.names());
        let start = self.parts.last().map_or(0, |part| part.end);
        self.parts.push(start..start + set.len());
        self.sets.push(set);
        Ok(())
    }
}

impl Windows for PooledWindows<'_> {
    fn topology(&self) -> TopologyId {
        self.topology
    }

    fn spec(&self) -> &NormalizeSpec {
        &self.spec
    }

    fn presence(&self) -> &[Presence] {
        &self.presence
    }

    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn subjects(&self) -> &[u16] {
        &self.subjects
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn digests(&self) -> &[String] {
        &self.digests
    }

    fn recordings(&self) -> &[u64] {
        &self.recordings
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn parts(&self) -> Vec<Range<usize>> {
        self.parts.clone()
    }

    fn copy(&self, number: usize, out: &mut [f32]) {
        let set = self.parts.partition_point(|part| part.end <= number);
        self.sets[set].copy(number - self.parts[set].start, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::WindowSet;
    use super::*;
    use crate::dataset::tests::{kinect_set, moving};
    use tendon_shared::normalize::Mode;

    fn set(names: &[&str], frames: u16) -> WindowSet {
        let folder = tempfile::tempdir().unwrap();
        let recordings: Vec<_> = names
            .iter()
            .zip(9..)
            .map(|(name, length)| moving(name, 1, length))
            .collect();
        let dataset = kinect_set(folder.path(), &recordings);
        let spec = NormalizeSpec {
            mode: Mode::Product,
            frames,
            bodies: 1,
        };
        let all: Vec<usize> = (0..names.len()).collect();
        let mut windows = WindowSet::prepare(&dataset, &all, &spec).unwrap();
        // The poses of these recordings are alike, so they are told apart by name here.
        windows.recordings = names.iter().map(|name| name.len() as u64).collect();
        windows
    }

    #[test]
    fn every_window_is_that_of_its_set() {
        let (one, other) = (set(&["a", "bb"], 16), set(&["ccc"], 16));
        let pool =
            PooledWindows::new(vec![Box::new(one.clone()), Box::new(other.clone())]).unwrap();
        assert_eq!((pool.len(), pool.parts()), (3, vec![0..2, 2..3]));
        assert_eq!(pool.owned(1), one.window(1));
        assert_eq!(pool.owned(2), other.window(0));
        assert_eq!(pool.recordings(), [1, 2, 3]);
        assert_eq!(pool.names(), ["a", "bb", "ccc"]);
        // Nobody and nothing of one set is taken for somebody or something of the other.
        assert_eq!(
            pool.classes().len(),
            one.classes.len() + other.classes.len()
        );
        assert!(pool.labels()[2] >= one.classes.len() as u16);
        assert!(!pool.subjects()[..2].contains(&pool.subjects()[2]));
    }

    #[test]
    fn refuses_what_does_not_fit_and_what_is_there_twice() {
        let error = |sets: Vec<WindowSet>| {
            let sets = sets
                .into_iter()
                .map(|set| Box::new(set) as Box<dyn Windows>);
            PooledWindows::new(sets.collect()).err().unwrap()
        };
        assert_eq!(error(vec![]), PoolError::Empty);
        assert_eq!(
            error(vec![set(&["a"], 16), set(&["bb"], 8)]),
            PoolError::Spec(2)
        );
        assert_eq!(
            error(vec![set(&["a", "bb"], 16), set(&["b"], 16)]),
            PoolError::Twice(2)
        );
        let other = WindowSet {
            topology: TopologyId::Coco17,
            ..set(&["a"], 16)
        };
        assert!(matches!(
            error(vec![set(&["a"], 16), other]),
            PoolError::Topology { number: 2, .. }
        ));
    }
}
