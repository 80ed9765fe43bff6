//! The promises of the whole system, one file each.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

// A killed agent loses nothing that it had stored.
mod adapt_kill;
// One command does everything.
mod demo;
// A bundle reaches a device whole, and a device accepts only what it should.
mod deploy;
// A microcontroller with a sensor, emulated, at the end of a bad line.
mod firmware;
// A device lets in nobody but the operators of its fleet.
mod fleet;
// A slow and bad serial line is used well.
mod slow_line;
// A repository in one file reaches a device over a link.
mod packs;
// The package for boards, installed and removed.
mod package;
// Edge processes, bundles and streams of poses.
mod support;
