//! Who a device and an operator are.
//!
//! A fleet has an [`authority`]: a key that says which devices and which operators belong to it. A device makes its key itself and
//! proves with a one-time [`token`] that it may be admitted; an operator's identity is made by the authority. With their
//! [`identity`] files both ends talk [`tls`], or [`mod@line`] where bytes get lost, and each knows that the other belongs to the fleet, and in
//! which part. A [`statement`] is what a device has signed, to be read where no link reaches, and a [`report`] what it says there.
//!
//! Certificates end in the year 4096 and clocks are not asked, so that a board without a clock battery can be reached. What is
//! absent: taking a single certificate back, and any network.

#[cfg(feature = "authority")]
pub mod authority;
mod error;
pub mod identity;
pub mod line;
pub mod report;
pub mod statement;
pub mod tls;
pub mod token;

pub use error::IdentityError;
