//! Tendon's host: pretrains, evaluates, quantizes, signs and ships skeleton encoders.
//!
//! The modules stand in the order in which data passes through them.

/// Files that are whole or absent.
pub mod atomic;
/// HTML pages with inline SVG plots.
pub mod report;
