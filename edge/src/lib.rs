//! Tendon's edge agent: recognises actions with the int8 encoder and adapts on the device.
//!
//! The modules stand in the order in which data passes through them.

// Pose events from a pose estimator.
pub mod capture;
// Windows out of pose events.
pub mod window;
// The int8 encoder on windows.
pub mod infer;
// Learning from unlabelled windows, and undoing it.
pub mod adapt;
// One bundle at work, from pose events to recognised windows.
pub mod runner;
// The pipeline that the agent runs.
pub mod live;
// A bundle and its adaptation measured on a recorded stream.
pub mod replay;

// The seam between the agent and the pipeline, and the pipeline's thread.
pub mod pipeline;
