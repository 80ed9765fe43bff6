//! What of the adaptation outlasts the moment: named windows, undone updates, the stored state.

use super::{Adapter, Named};
use crate::candidates::LabelError;
use crate::features::Features;
use crate::history::{Snapshot, SnapshotFacts, UndoError};
use crate::journal::Note;
use crate::keys::{Key, Keys};
use crate::memory::{Entry, Memory};
use crate::state::{Facts, State, StateError};

impl Adapter {
    /// A person says that `window` shows the class of name `class`: it teaches with that label from now on, and with the `direction`
    /// of its features it answers for windows like it. Stored at once.
    ///
    /// # Errors
    /// [`LabelError`] naming the windows or classes that are known; nothing is changed.
    pub fn label(
        &mut self,
        window: u64,
        class: &str,
        direction: impl FnOnce(&Features) -> Option<Vec<f32>>,
    ) -> Result<Named, LabelError> {
        if !self.enabled {
            return Err(LabelError::Off);
        }
        let label = self
            .base
            .classes
            .iter()
            .position(|name| name == class)
            .and_then(|index| u16::try_from(index).ok())
            .ok_or_else(|| LabelError::Class {
                class: class.to_owned(),
                known: self.base.classes.clone(),
            })?;
        let entry = if let Some(found) = self.candidates.find(window) {
            Entry {
                window,
                track: found.track,
                end_ms: found.end_ms,
                label,
                trusted: true,
                confidence: 1.0,
                quality: found.quality,
                signature: found.weak.signature(self.base.model.shape()),
                weak: found.weak.clone(),
                strong: found.strong.clone(),
            }
        } else {
            // Windows in memory can be named however old they are, also after a restart.
            let held = self.memory.find(window).ok_or(LabelError::Window {
                window,
                known: self.candidates.range(),
            })?;
            Entry {
                label,
                trusted: true,
                confidence: 1.0,
                ..held.clone()
            }
        };
        // What a person says counts, not what was thought.
        self.supports.retain(|held| held != window);
        if let Some(direction) = direction(&entry.weak) {
            let key = Key {
                window,
                label,
                direction,
            };
            self.keys.insert(key, self.config.keys.capacity);
        }
        self.memory.insert(entry);
        self.fresh += 1;
        self.counts.labelled += 1;
        let name = class.to_owned();
        self.note(&Note::Label {
            window,
            label,
            name,
        });
        self.save();
        Ok(Named {
            window,
            label,
            trusted: self.memory.trusted(),
        })
    }

    /// Forgets everything learnt: the shipped tail serves. Returns whether there was anything.
    pub fn undo(&mut self) -> bool {
        let named = !self.keys.as_slice().is_empty();
        let supported = !self.supports.as_slice().is_empty();
        let learnt =
            self.pupils.updates > 0 || !self.memory.entries().is_empty() || named || supported;
        self.discard();
        self.keys = Keys::default();
        self.supports.clear();
        self.memory = Memory::new(self.config.memory);
        if learnt {
            self.note(&Note::Reset);
        }
        self.save();
        learnt
    }

    /// Goes back to what the tail was before the last update, or after update `to` (0: the shipped tail), and forgets the windows
    /// that came later, but for those that a person named. Stored at once. Returns the update that is in the tail now.
    ///
    /// # Errors
    /// [`UndoError`] naming the updates that can be gone back to; nothing is changed.
    pub fn undo_to(&mut self, to: Option<u64>) -> Result<u64, UndoError> {
        let snapshot = self.history.take(to)?;
        let facts = snapshot.facts;
        self.forget_tail();
        self.take_up(facts.updates, snapshot.teacher, snapshot.student);
        self.guard.go_back(facts.serves && facts.updates > 0);
        self.memory.forget_from(facts.windows);
        self.supports.retain(|window| window < facts.windows);
        self.note(&Note::Undo { to: facts.update });
        self.save();
        Ok(facts.update)
    }

    pub(super) fn note(&mut self, note: &Note) {
        if self.journal.append(note).is_err() {
            self.counts.write_errors += 1;
        }
    }

    /// Stores what must survive.
    pub fn save(&mut self) {
        let Some(path) = &self.places.state else {
            return;
        };
        let adapted = self.pupils.updates > 0;
        let state = State {
            base: self.base.digest.clone(),
            facts: Facts {
                enabled: self.enabled,
                updates: self.pupils.updates,
                total_updates: self.counts.updates,
                windows: self.windows,
                began_ms: self.began_ms,
                guard: self.guard.clone(),
            },
            teacher: if adapted {
                self.pupils.teacher.clone()
            } else {
                Vec::new()
            },
            student: if adapted {
                self.pupils.student.clone()
            } else {
                Vec::new()
            },
            memory: self.memory.entries().to_vec(),
            keys: self.keys.as_slice().to_vec(),
            supports: self.supports.as_slice().to_vec(),
            history: self.history.iter().cloned().collect(),
            classes: self.base.classes.clone(),
        };
        if state.save(path, self.base.model.shape()).is_err() {
            self.counts.write_errors += 1;
        }
    }

    pub(super) fn resume(&mut self) -> Result<(), StateError> {
        let Some(path) = &self.places.state else {
            return Ok(());
        };
        let shape = self.base.model.shape();
        let Some(state) = State::load(path, &self.base.digest, shape, self.base_weights.len())?
        else {
            return Ok(());
        };
        let classes = self.base.classes.len();
        self.enabled = state.facts.enabled && self.config.enabled;
        self.windows = state.facts.windows;
        self.counts.updates = state.facts.total_updates;
        self.began_ms = state.facts.began_ms;
        self.guard = state.facts.guard;
        for entry in state
            .memory
            .into_iter()
            .filter(|entry| usize::from(entry.label) < classes)
        {
            self.memory.insert(entry);
        }
        let named = |key: &Key| usize::from(key.label) < classes;
        for key in state.keys.into_iter().filter(named) {
            self.keys.insert(key, self.config.keys.capacity);
        }
        for key in state.supports.into_iter().filter(named) {
            self.supports.insert(key, self.config.supports.capacity);
        }
        for snapshot in state.history {
            self.history.push(snapshot);
        }
        if state.teacher.is_empty() {
            self.guard.reset();
        } else {
            self.take_up(state.facts.updates.max(1), state.teacher, state.student);
        }
        Ok(())
    }

    /// Takes up weights that were stored; empty lists are the shipped ones.
    fn take_up(&mut self, updates: u64, teacher: Vec<f32>, student: Vec<f32>) {
        if teacher.is_empty() {
            return;
        }
        self.pupils.updates = updates;
        self.pupils.tail = self.base.model.tail(&teacher);
        self.pupils.teacher = teacher;
        self.pupils.student = student;
    }

    /// What the tail is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let adapted = self.pupils.updates > 0;
        let weights = |weights: &Vec<f32>| {
            if adapted { weights.clone() } else { Vec::new() }
        };
        Snapshot {
            facts: SnapshotFacts {
                update: if adapted { self.counts.updates } else { 0 },
                updates: self.pupils.updates,
                windows: self.windows,
                serves: self.serves(),
            },
            teacher: weights(&self.pupils.teacher),
            student: weights(&self.pupils.student),
        }
    }
}
