//! Time reverse: the window backwards.

use super::View;

/// Reverses the order of frames.
pub(super) fn reverse(view: &mut View<'_>) {
    let (joints, plane) = (view.joints, view.plane());
    for axis in view.data.chunks_exact_mut(plane) {
        axis.reverse();
        axis.chunks_exact_mut(joints).for_each(<[f32]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_turn_round_and_joints_stay() {
        let mut data = vec![1.0, 2.0, 3.0, 4.0];
        reverse(&mut View {
            data: &mut data,
            frames: 2,
            joints: 2,
        });
        assert_eq!(data, [3.0, 4.0, 1.0, 2.0]);
    }
}
