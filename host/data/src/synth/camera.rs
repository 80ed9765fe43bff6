//! Cameras that look at the middle of the scene.

use super::vector::{Rotation, V3, sub};

/// Where a camera hangs: degrees to the person's side, degrees it looks down, metres to the scene's middle.
pub(super) struct Mount {
    yaw: f32,
    pitch: f32,
    distance: f32,
}

/// The cameras, in order of their numbers: before the person at chest height, then ever more to the side and above, as in
/// a home where the second camera hangs in a corner.
pub(super) const CAMERAS: &[Mount] = &[
    Mount {
        yaw: 0.0,
        pitch: 0.0,
        distance: 3.0,
    },
    Mount {
        yaw: 60.0,
        pitch: 18.0,
        distance: 3.4,
    },
    Mount {
        yaw: -40.0,
        pitch: 12.0,
        distance: 2.7,
    },
    Mount {
        yaw: -80.0,
        pitch: 8.0,
        distance: 3.2,
    },
];

/// The point all cameras look at: chest of a standing person, metres.
const TARGET: V3 = [0.0, 1.0, 0.0];

/// From the scene into a camera's frame.
#[derive(Debug)]
pub(super) struct Camera {
    turn: Rotation,
    distance: f32,
}

impl Camera {
    /// Camera `number`, counted from 0; beyond the last one it starts again.
    pub(super) fn new(number: usize) -> Self {
        let mount = &CAMERAS[number % CAMERAS.len()];
        // A camera that looks down sees what is high as nearer than it is: the scene turns about x.
        let turn =
            Rotation::x(-mount.pitch.to_radians()).after(Rotation::y(mount.yaw.to_radians()));
        Self {
            turn,
            distance: mount.distance,
        }
    }

    /// A point of the scene in the camera's frame, metres.
    pub(super) fn view(&self, point: V3) -> V3 {
        let [x, y, z] = self.turn.turn(sub(point, TARGET));
        [x, y, z + self.distance]
    }
}
