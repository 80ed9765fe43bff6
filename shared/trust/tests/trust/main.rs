//! What the client believes, and what it refuses.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

// Power cuts at every write.
mod cuts;
// A thousand damaged and forged files.
mod hostile;
// A device, and a store that fails.
mod support;
// Refreshes, rotations, roll-backs, clocks.
mod workflow;
