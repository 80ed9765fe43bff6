//! The pose bridge: what runs on the microcontroller between a sensor and the edge.
//!
//! [`bridge`] speaks the protocol of `tendon-shared`: bytes in, packets out, without hardware and without a clock, so that it is
//! tested on any machine. [`sensor`] is what a driver must do, [`simulated`] a sensor that needs no hardware. With an encoder in the image [`recognise`]
//! turns poses into answers with `tendon-engine`, and poses stay on the bridge. Boards, UARTs and interrupts are in `edge/firmware`.
//!
//! What is absent: allocation, floating-point functions of the platform, unsafe code, and any panic on bytes from the line.
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

// What a sensor's driver must do.
pub mod sensor;
// A sensor that needs no hardware.
pub mod simulated;
// From poses to answers, with an encoder in the image.
pub mod recognise;
// The protocol: bytes in, packets out.
pub mod bridge;

#[cfg(test)]
mod tests;
