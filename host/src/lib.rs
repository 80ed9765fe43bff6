//! Tendon's host: pretrains, evaluates, quantizes, signs and ships skeleton encoders.
//!
//! The modules stand in the order in which data passes through them.

// What adaptation is worth: streams, domains, methods.
pub mod adapt_bench;
// Devices: where tensors live.
pub mod backend;
// Our time beside that of PyTorch and ONNX Runtime.
pub mod bench;
// From a trained classifier to a signed int8 bundle.
pub mod bundle;
// A grid of encoders, seeds and protocols in one table.
pub mod compare;
// Parts that contrastive methods share.
pub mod contrast;
// What an encoder or a classifier is worth on people and cameras it has not seen.
pub mod evaluate;
// What devices of a fleet report.
pub mod fleet;
// Encoders in the formats of others.
pub mod interchange;
// One pretraining method, one file.
pub mod method;
// The pretraining loop: checkpoints, logs, monitor.
pub mod pretrain;
// Recordings as the live stream that a device would see.
pub mod replay;
// Which bundles devices are offered, signed.
pub mod repo;
// HTML pages with inline SVG plots.
pub mod report;
// Links to devices, and the client that ships bundles over them.
pub mod transport;
// What a run has cost.
pub mod usage;
