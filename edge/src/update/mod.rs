//! Fetches what a repository offers this device, and hands it to the installer.
//!
//! [`course`] is the way of an update: floors, signed metadata, the bundle's own signature, floors again, and only then the slots.
//! [`keep`] stores trusted metadata on the slots' storage; [`deliver`] gives a bundle to a running agent, or to the slots when
//! none runs; [`clock`] says whether the time can be believed; [`note`] keeps what an update came to. What serves is decided elsewhere, by a
//! trial.

pub mod clock;
pub mod course;
pub mod deliver;
pub mod keep;
pub mod note;

#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod tests;
