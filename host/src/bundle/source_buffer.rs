//! The source buffer: trunk features of training windows that a device replays, so that it does not forget.

use super::inputs::Inputs;
use std::collections::BTreeMap;
use tendon_engine::{BufferError, Encoder};

/// Trunk features with labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceBuffer {
    /// `[window, joint, frame, channel]`
    pub features: Vec<i8>,
    /// Class of each window.
    pub labels: Vec<u16>,
}

/// Picks up to `each` windows of every class, persons in turn, of those in `usable`; windows without a body are left out.
///
/// The order is fixed: the same windows always give the same choice.
#[must_use]
pub fn pick(inputs: &Inputs, usable: &dyn Fn(usize) -> bool, each: usize) -> Vec<usize> {
    let mut turns: BTreeMap<(u16, u16), usize> = BTreeMap::new();
    let mut by_class: BTreeMap<u16, Vec<(usize, u16, usize)>> = BTreeMap::new();
    for number in
        (0..inputs.len()).filter(|number| usable(*number) && !inputs.bodies(*number).is_empty())
    {
        let (label, subject) = (inputs.labels[number], inputs.subjects[number]);
        let turn = turns.entry((label, subject)).or_default();
        by_class
            .entry(label)
            .or_default()
            .push((*turn, subject, number));
        *turn += 1;
    }
    let chosen = by_class.into_values().flat_map(|mut windows| {
        windows.sort_unstable();
        windows.into_iter().take(each).map(|(_, _, number)| number)
    });
    chosen.collect()
}

/// Computes the trunk features of the windows `chosen`: of the first body that counts.
///
/// # Errors
/// [`BufferError`] when the windows do not fit the encoder.
pub fn collect(
    encoder: &Encoder<'_>,
    inputs: &Inputs,
    chosen: &[usize],
) -> Result<SourceBuffer, BufferError> {
    let mut buffer = SourceBuffer::default();
    let mut arena = vec![0; encoder.arena_len()];
    for number in chosen {
        let Some(body) = inputs.bodies(*number).first().copied() else {
            continue;
        };
        let mut features = vec![0; encoder.spec().trunk_len()];
        encoder.trunk(inputs.body(*number, body), &mut arena, &mut features)?;
        buffer.features.extend(features);
        buffer.labels.push(inputs.labels[*number]);
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_data::windows::WindowSet;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::pose::Presence;
    use tendon_shared::stream::Stream;
    use tendon_shared::topology::TopologyId;

    fn inputs() -> Inputs {
        // Class 0: persons 1 1 1 2; class 1: person 3, then a window without a body.
        let windows = WindowSet {
            topology: TopologyId::Kinect20,
            spec: NormalizeSpec {
                mode: Mode::Product,
                frames: 4,
                bodies: 1,
            },
            data: vec![0.5; 6 * 3 * 4 * 20],
            presence: [1, 1, 1, 1, 1, 0].map(Presence).to_vec(),
            labels: vec![0, 0, 0, 0, 1, 1],
            subjects: vec![1, 1, 1, 2, 3, 3],
            cameras: vec![1; 6],
            classes: vec![String::new(); 2],
            digests: Vec::new(),
            recordings: Vec::new(),
            names: Vec::new(),
        };
        Inputs::new(&windows, &[Stream::Joint], true).unwrap()
    }

    #[test]
    fn persons_take_turns() {
        assert_eq!(pick(&inputs(), &|_| true, 2), [0, 3, 4]);
        assert_eq!(pick(&inputs(), &|_| true, 3), [0, 3, 1, 4]);
    }

    #[test]
    fn unusable_windows_and_empty_ones_are_left_out() {
        assert_eq!(pick(&inputs(), &|number| number != 0, 9), [1, 3, 2, 4]);
    }
}
