//! The promises of the whole system, one file each.
#![allow(clippy::unwrap_used, reason = "tests may panic: that is how they fail")]

// A bundle reaches a device whole, and a device accepts only what it should.
mod deploy;
// Edge processes, bundles and streams of poses.
mod support;
