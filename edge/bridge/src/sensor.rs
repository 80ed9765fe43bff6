//! What a sensor's driver must do.

use tendon_shared::protocol::capture::Capture;
use tendon_shared::topology::TopologyId;

/// The sensor could not give a frame; the next one may be fine. The bridge counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorError;

/// A driver of a sensor that delivers skeletons: a depth camera's own processor, a radar, a pose network on an accelerator.
pub trait Sensor {
    /// The skeleton standard of its poses.
    fn topology(&self) -> TopologyId;

    /// What it saw next: a person in a frame, or that a person is gone; nothing when there is nothing new. It never waits.
    ///
    /// # Errors
    /// [`SensorError`] when the sensor did not answer or its answer was damaged.
    fn read(&mut self) -> Result<Option<Capture>, SensorError>;
}
