//! A set of recordings as the live stream that a device would see.
//!
//! [`order`] says in which order people act, [`shift`] can move the camera or worsen the sensor, [`stream`] writes pose lines.
//! One recording is one track. Its label rides on the end mark, so that a device can report its accuracy; devices never
//! learn from it. Only the first body of a recording is played: a track is one person.

pub mod order;
pub mod shift;
pub mod stream;
