//! Two slots on disk, one serving while the other is filled and tried, and the record that says which is which.
//!
//! [`storage`] is the little that is needed of a file system, so that tests can fail or tear any write; [`record`] is the
//! crash-safe record; [`store`] ties both to the state machine of [`tendon_shared::slot`]. What a bundle contains, and
//! whether it may run, is decided elsewhere.

pub mod record;
pub mod storage;
pub mod store;

#[cfg(test)]
pub(crate) mod fragile;
#[cfg(test)]
mod power_cuts;
