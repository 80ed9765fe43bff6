//! Receives a bundle in chunks, checks it, and hands it to its trial.
//!
//! [`receiver`] writes chunks to a slot and remembers, across a kill or a power cut, what it has; [`verify`] decides whether
//! what arrived may run.

mod aside;
mod chunks;
mod position;
pub mod receiver;
pub mod verify;
