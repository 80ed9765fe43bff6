//! Tendon's edge agent: recognises actions with the int8 encoder and adapts on the device.
//!
//! The modules stand in the order in which data passes through them.

// Pose events from a pose estimator.
pub mod capture;
// Windows out of pose events.
pub mod window;

// The seam between the agent and the pipeline, and the pipeline's thread.
pub mod pipeline;
