//! The embedded data set: articulated bodies that perform everyday actions before several cameras.
//!
//! Demo and tests need recordings that everybody has. A performance is keyframes of joint angles (`action.rs`), bent by the
//! style of a person (`person.rs`), played as a motion (`motion.rs`), turned into joints by forward kinematics (`body.rs`),
//! seen by a camera (`camera.rs`) and spoiled as a depth sensor spoils it (`sensor.rs`). Every camera sees the same
//! performance at the same time. Everything follows from one seed, in the same bits on every target, and each recording
//! can be made alone. It is no model of real recordings: numbers measured on it say that the path works, not how well.

mod action;
mod body;
mod camera;
mod dice;
mod dof;
mod motion;
mod person;
mod sensor;
mod store;
mod vector;
pub mod write_ntu;
pub mod write_ucla;

use crate::recording::RawRecording;
use dice::Dice;
use tendon_shared::topology::TopologyId;

/// What to generate. Every count is at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthSpec {
    /// Standard of the skeletons.
    pub topology: TopologyId,
    /// All randomness follows from it.
    pub seed: u64,
    /// Persons; their size, proportions and style differ.
    pub subjects: u16,
    /// Cameras, from the front round to the sides; at most [`MAX_CAMERAS`].
    pub cameras: u16,
    /// Performances of every action by every person.
    pub repetitions: u16,
    /// Frames per second.
    pub fps: f32,
    /// Every fourth action is performed by two persons, side by side.
    pub pairs: bool,
}

/// Distance between the two persons of a pair, metres.
const PAIR_DISTANCE: f32 = 1.2;

/// Cameras there are to choose from.
pub const MAX_CAMERAS: u16 = camera::CAMERAS.len() as u16;

impl Default for SynthSpec {
    /// As many persons, cameras and takes as NW-UCLA has, roughly: 10 persons, 2 cameras, 4 takes at 30 Hz.
    fn default() -> Self {
        Self {
            topology: TopologyId::Kinect20,
            seed: 0,
            subjects: 10,
            cameras: 2,
            repetitions: 4,
            fps: 30.0,
            pairs: false,
        }
    }
}

/// Names of the actions, in the order of their labels.
#[must_use]
pub fn classes() -> Vec<String> {
    action::ACTIONS
        .iter()
        .map(|action| action.name.to_owned())
        .collect()
}

impl SynthSpec {
    /// Number of recordings.
    #[must_use]
    pub fn count(&self) -> usize {
        let cameras = self.cameras.min(MAX_CAMERAS);
        [self.subjects, self.repetitions, cameras]
            .into_iter()
            .map(usize::from)
            .product::<usize>()
            * action::ACTIONS.len()
    }

    /// Recording `index`, below [`SynthSpec::count`] (above, it starts again). Ordered by subject, action, repetition and
    /// camera. Numbers of subjects, cameras and repetitions begin at 1, labels at 0.
    #[must_use]
    pub fn recording(&self, index: usize) -> RawRecording {
        let first = self.person(index, 0);
        if self.pairs && first.label % 4 == 3 {
            pair(first, &self.person(index, 1))
        } else {
            first
        }
    }

    /// Recording `index` as performed by the person `later` places later, under the first one's tags.
    fn person(&self, index: usize, later: usize) -> RawRecording {
        let cameras = usize::from(self.cameras.clamp(1, MAX_CAMERAS));
        let repetitions = usize::from(self.repetitions.max(1));
        let camera = index % cameras;
        let repetition = index / cameras % repetitions;
        let label = index / cameras / repetitions % action::ACTIONS.len();
        let people = usize::from(self.subjects.max(1));
        let subject = index / cameras / repetitions / action::ACTIONS.len() % people;
        let performer = (subject + later) % people;

        let person = person::Person::new(&mut Dice::new(
            self.seed,
            dice::Use::Person,
            [performer, 0, 0, 0],
        ));
        let mut performance = Dice::new(
            self.seed,
            dice::Use::Performance,
            [performer, label, repetition + later, 0],
        );
        let motion = motion::Motion::new(&action::ACTIONS[label], &person, &mut performance);
        let frames = motion.frames(self.fps);
        let eye = camera::Camera::new(camera);
        let noise = Dice::new(
            self.seed,
            dice::Use::Sensor,
            [performer, label, repetition + later, camera + 1],
        );
        let mut sensor = sensor::Sensor::new(noise, self.fps);
        let joints = self.topology.topology().joint_count();
        let mut poses = Vec::with_capacity(frames * joints * 3);
        for frame in 0..frames {
            let figure = body::Figure::new(&person.build, &motion.posture(frame as f32 / self.fps));
            let seen = sensor.see(&figure.map(|point| eye.view(motion.place(point))));
            poses.extend(seen.joints(self.topology).into_iter().flatten());
        }
        RawRecording {
            name: format!(
                "a{:02}_s{:02}_e{repetition:02}_v{:02}",
                label + 1,
                subject + 1,
                camera + 1
            ),
            poses,
            frames,
            bodies: 1,
            label: label as u16,
            subject: subject as u16 + 1,
            camera: camera as u16 + 1,
            setup: 1,
            repetition: repetition as u16 + 1,
            fps: self.fps,
        }
    }
}

/// Both persons in one recording, as long as the shorter performance; absent joints stay absent.
fn pair(first: RawRecording, second: &RawRecording) -> RawRecording {
    let frames = first.frames.min(second.frames);
    let body = first.poses.len() / first.frames.max(1);
    let mut poses = Vec::with_capacity(frames * body * 2);
    let both = first
        .poses
        .chunks_exact(body)
        .zip(second.poses.chunks_exact(body));
    for (one, other) in both.take(frames) {
        poses.extend_from_slice(one);
        for joint in other.as_chunks::<3>().0 {
            let absent = *joint == [0.0; 3];
            let [x, y, z] = *joint;
            poses.extend([if absent { x } else { x + PAIR_DISTANCE }, y, z]);
        }
    }
    RawRecording {
        poses,
        frames,
        bodies: 2,
        ..first
    }
}

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
