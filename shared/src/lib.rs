//! Facts on which Tendon's host, edge and firmware must agree.
//!
//! Skeleton standards, how a run of poses becomes the encoder's input, and the bytes that travel between the two ends.
//! There is no I/O, no clock, no allocation and no floating-point function of the platform here: mathematics comes from
//! `libm`, so that every target computes the same bits.
#![no_std]
#![deny(unsafe_code)]
#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core
)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::std_instead_of_core,
        clippy::alloc_instead_of_core,
        reason = "tests may panic: that is how they fail"
    )
)]

#[cfg(test)]
extern crate std;

// Every capacity, checked against each other at compile time.
pub mod limits;
// What a bundle contains and needs: the part that is signed.
pub mod manifest;
// From raw poses to a window: the file that prevents train/serve skew.
pub mod normalize;
// One frame of one person, and which bodies of a window are there.
pub mod pose;
// Which source frames an output frame is mixed from.
pub mod resample;
// Joint, bone and motion inputs, derived from a window.
pub mod stream;
// Skeleton standards: joints, bones, parts, mirror pairs, root.
pub mod topology;
// Packets: how messages are cut out of a stream of bytes.
pub mod packet;
// Messages between host, device and microcontroller.
pub mod protocol;
// The install state machine.
pub mod slot;
