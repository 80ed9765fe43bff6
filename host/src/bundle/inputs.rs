//! Windows as the encoder takes them: streams stacked, bodies apart.

use tendon_data::windows::WindowSet;
use tendon_shared::pose::Presence;
use tendon_shared::stream::{Stream, StreamLengthError, stack};

/// Encoder inputs of a set of windows.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[window, body, channel, frame, joint]`
    pub data: Vec<f32>,
    /// Which bodies are there.
    pub presence: Vec<Presence>,
    /// Class of each window.
    pub labels: Vec<u16>,
    /// Person of each window.
    pub subjects: Vec<u16>,
    bodies: usize,
    body_mask: bool,
}

impl Inputs {
    /// Stacks the streams of every window.
    ///
    /// # Errors
    /// [`StreamLengthError`] when the windows do not have the length that they claim.
    pub fn new(
        windows: &WindowSet,
        streams: &[Stream],
        body_mask: bool,
    ) -> Result<Self, StreamLengthError> {
        let (topology, frames) = (
            windows.topology.topology(),
            usize::from(windows.spec.frames),
        );
        let body = 3 * frames * topology.joint_count();
        let mut data = vec![0.0; windows.data.len() * streams.len()];
        for (from, to) in windows
            .data
            .chunks_exact(body)
            .zip(data.chunks_exact_mut(body * streams.len()))
        {
            stack(streams, topology, from, frames, to)?;
        }
        Ok(Self {
            data,
            presence: windows.presence.clone(),
            labels: windows.labels.clone(),
            subjects: windows.subjects.clone(),
            bodies: usize::from(windows.spec.bodies),
            body_mask,
        })
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One window, `[body, channel, frame, joint]`.
    ///
    /// # Panics
    /// When `number` is not below [`Self::len`].
    #[must_use]
    pub fn window(&self, number: usize) -> &[f32] {
        let stride = self.data.len() / self.len();
        &self.data[number * stride..(number + 1) * stride]
    }

    /// The bodies of a window that count.
    #[must_use]
    pub fn bodies(&self, number: usize) -> Vec<usize> {
        if self.body_mask {
            self.presence[number].bodies().collect()
        } else {
            (0..self.bodies).collect()
        }
    }

    /// One body, `[channel, frame, joint]`.
    #[must_use]
    pub fn body(&self, number: usize, body: usize) -> &[f32] {
        let window = self.window(number);
        let length = window.len() / self.bodies;
        &window[body * length..(body + 1) * length]
    }

    /// At most `most` windows, evenly spread over the set.
    #[must_use]
    pub fn spread(&self, most: usize) -> Vec<usize> {
        let count = self.len().min(most);
        (0..count).map(|index| index * self.len() / count).collect()
    }
}
