//! Tendon's host: pretrains, evaluates, quantizes, signs and ships skeleton encoders.
//!
//! The modules stand in the order in which data passes through them.
