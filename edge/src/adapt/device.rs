//! The one place that names Burn's device on the edge: the CPU. Made once when a bundle starts, never on the hot path.

use burn::tensor::Device;

/// The device for plain forward passes.
#[must_use]
pub fn plain() -> Device {
    Device::flex()
}

/// The same device with gradients on, for the student.
#[must_use]
pub fn learning() -> Device {
    Device::flex().autodiff()
}
