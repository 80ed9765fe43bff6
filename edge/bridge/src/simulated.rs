//! A sensor that needs no hardware: a person who sways and waves, the same on every machine.
//!
//! Whole numbers only, so that a test can say of every pose that arrives which one it is and that nothing in it was changed.

use heapless::Vec;
use tendon_shared::protocol::capture::{Capture, WirePose};
use tendon_shared::topology::TopologyId;

use crate::sensor::{Sensor, SensorError};

/// Time between two frames on the sensor's own clock, in ms: about 30 Hz.
pub const FRAME_MS: u64 = 33;

/// Frames of one person, before another comes.
pub const TRACK_FRAMES: u64 = 1000;

/// Joints of the skeleton.
const JOINTS: u64 = 20;

/// Where a person of 1.7 m stands, `[joint, 2]` in mm: x from the middle, y from the floor. Order of `kinect20`.
const STANDING: [[i16; 2]; JOINTS as usize] = [
    [0, 1000],
    [0, 1150],
    [0, 1450],
    [0, 1650],
    [-180, 1420],
    [-210, 1150],
    [-220, 920],
    [-225, 840],
    [180, 1420],
    [210, 1150],
    [220, 920],
    [225, 840],
    [-90, 960],
    [-100, 520],
    [-105, 110],
    [-110, 40],
    [90, 960],
    [100, 520],
    [105, 110],
    [110, 40],
];

/// The simulated sensor.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    frame: u64,
    ended: bool,
}

impl Simulated {
    /// The pose of frame `frame`, counted from 0.
    #[must_use]
    pub fn pose(frame: u64) -> WirePose {
        let mut joints = Vec::new();
        let mut confidence = Vec::new();
        for (joint, [x, y]) in (0..JOINTS).zip(STANDING) {
            let sway = swing(frame * 7 + joint * 3, 60);
            // Hands and what they pull along are lifted, each person in another rhythm.
            let lift = match joint {
                6 | 7 | 10 | 11 => swing(frame * (3 + frame / TRACK_FRAMES % 5), 500),
                5 | 9 => swing(frame * (3 + frame / TRACK_FRAMES % 5), 250),
                _ => 0,
            };
            // Neither vector can be full: both have room for more joints than this skeleton's.
            let _ = joints.push([x + sway, y - 900 + lift, 2500 + swing(frame + joint, 40)]);
            let _ = confidence.push(200 + (frame * 13 + joint * 29) as u8 % 56);
        }
        WirePose {
            time_ms: frame * FRAME_MS,
            track: 1 + frame / TRACK_FRAMES,
            joints,
            confidence,
        }
    }
}

/// A triangle wave of a period of 256 steps, from `-height` to `height`.
fn swing(step: u64, height: i16) -> i16 {
    let phase = (step % 256) as i32;
    let up = if phase < 128 { phase } else { 256 - phase };
    ((up - 64) * i32::from(height) / 64) as i16
}

impl Sensor for Simulated {
    fn topology(&self) -> TopologyId {
        TopologyId::Kinect20
    }

    fn read(&mut self) -> Result<Option<Capture>, SensorError> {
        let frame = self.frame;
        if frame > 0 && frame.is_multiple_of(TRACK_FRAMES) && !self.ended {
            self.ended = true;
            return Ok(Some(Capture::End {
                track: frame / TRACK_FRAMES,
                time_ms: frame * FRAME_MS,
            }));
        }
        self.ended = false;
        self.frame += 1;
        Ok(Some(Capture::Pose(Self::pose(frame))))
    }
}
