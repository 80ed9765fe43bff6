//! Tendon's edge agent: recognises actions with the int8 encoder and adapts on the device.
//!
//! The modules stand in the order in which data passes through them.

// Ties everything together and runs until told to stop.
pub mod agent;
// Links to hosts, and the session that talks over them.
pub mod transport;
// Receives bundles in chunks and checks them.
pub mod install;
// What a repository offers, verified and handed to the installer.
pub mod update;
// Two slots on disk and the record of both.
pub mod slots;
// Pose events from a pose estimator.
pub mod capture;
// Windows out of pose events.
pub mod window;
// What is reported of answers.
pub mod infer;
// One bundle at work, from pose events to recognised windows.
pub mod runner;
// The pipeline that the agent runs.
pub mod live;
// A bundle and its adaptation measured on a recorded stream.
pub mod replay;
// What the device says about itself where no link reaches.
pub mod report;
// What the device tells about its work.
pub mod telemetry;

// The seam between the agent and the pipeline, and the pipeline's thread.
pub mod pipeline;
