//! The int8 skeleton encoder: integer arithmetic that gives the same bytes on every target.
//!
//! A blob (see [`format`]) is parsed once into an [`Encoder`] that borrows it; running it needs an arena of
//! [`Encoder::arena_len`] bytes from the caller. The network is the ST-GCN of Yan et al. 2018 in its narrow form, with BatchNorm
//! and edge importance folded by the host. The only floating point is the quantisation of the input window.
//!
//! The loops exist once in plain Rust and once for each instruction set ([`Path`]); all give the same bytes, and the fastest that the
//! machine has is taken unless a caller asks for another. The feature `std` only serves to see optional instructions of 64-bit ARM.
//!
//! What is absent: allocation, I/O (but for the request that Linux wants before AMX is used), threads, clocks, and any panic on
//! hostile bytes. Windows come from `tendon-shared`'s
//! `normalize` and `stack`; logits go to the device's decision, trunk features to its adaptation.

#![no_std]
#![deny(
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        reason = "tests may panic: that is how they fail"
    )
)]

#[cfg(feature = "std")]
extern crate std;

mod adjacency;
mod arena;
mod block;
mod classifier;
mod encoder;
mod error;
pub mod format;
mod input;
mod job;
mod parse;
mod path;
mod spec;
mod tables;
mod tail;

pub use encoder::Encoder;
pub use error::{BufferError, ParseError, PathError};
pub use path::Path;
pub use spec::{BlockSpec, ResidualKind, Spec};
pub use tail::TailWeights;
