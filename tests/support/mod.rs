//! What the system tests share: edge processes, bundles and streams of poses.

pub(crate) mod bundles;
pub(crate) mod edge;
