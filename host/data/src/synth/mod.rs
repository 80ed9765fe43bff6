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
}

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
        let cameras = usize::from(self.cameras.clamp(1, MAX_CAMERAS));
        let repetitions = usize::from(self.repetitions.max(1));
        let camera = index % cameras;
        let repetition = index / cameras % repetitions;
        let label = index / cameras / repetitions % action::ACTIONS.len();
        let subject = index / cameras / repetitions / action::ACTIONS.len()
            % usize::from(self.subjects.max(1));

        let person = person::Person::new(&mut Dice::new(
            self.seed,
            dice::Use::Person,
            [subject, 0, 0, 0],
        ));
        let mut performance = Dice::new(
            self.seed,
            dice::Use::Performance,
            [subject, label, repetition, 0],
        );
        let motion = motion::Motion::new(&action::ACTIONS[label], &person, &mut performance);
        let frames = motion.frames(self.fps);
        let eye = camera::Camera::new(camera);
        let noise = Dice::new(
            self.seed,
            dice::Use::Sensor,
            [subject, label, repetition, camera + 1],
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

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
