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

/// Lets the calling thread do all work on its tensors itself, for as long as the program runs: adaptation takes one core and
/// leaves the others to the camera, and no operation waits for another thread to wake up.
pub fn compute_here() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build();
    // An error says that the thread belongs to a pool already; it stays there.
    if let Ok(pool) = pool {
        // Dropping it would end the pool while the thread still works in it.
        std::mem::forget(pool);
    }
}
