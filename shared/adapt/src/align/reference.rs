//! How the people that an encoder has learnt from stood before their cameras. Travels in the bundle.

use super::measure::{jitter, limbs, median, middle, unit, upright};
use tendon_shared::topology::Topology;

/// Largest jitter that is believed, metres.
const MOST_JITTER: f32 = 1.0;
/// Longest limb that is believed, trunks.
const LONGEST_LIMB: f32 = 10.0;
/// Values before the limbs.
const HEAD: usize = 4;

/// Medians over the training recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Direction of the trunk in the camera's frame, of length one.
    pub upright: [f32; 3],
    /// Spread of the sensor's noise, metres.
    pub jitter: f32,
    /// Length of the bone from each joint to its parent, in trunks; zero for the root.
    pub limbs: Vec<f32>,
}

/// A clip to measure: poses `[frame, joint, 3]` of one person and the time between two frames, milliseconds.
pub type Measured<'p> = (&'p [f32], f32);

impl Reference {
    /// Measures training clips; `None` when nobody is in them.
    #[must_use]
    pub fn measure<'p>(
        topology: &Topology,
        clips: impl Iterator<Item = Measured<'p>>,
    ) -> Option<Self> {
        let (mut directions, mut jitters) = (Vec::new(), Vec::new());
        let mut lengths: Vec<Vec<f32>> = vec![Vec::new(); topology.joint_count()];
        for (poses, spacing_ms) in clips {
            directions.extend(upright(topology, poses));
            jitters.extend(jitter(topology, poses, spacing_ms));
            for (all, length) in lengths
                .iter_mut()
                .zip(limbs(topology, poses).unwrap_or_default())
            {
                if length > 0.0 {
                    all.push(length);
                }
            }
        }
        let limbs = lengths
            .iter_mut()
            .map(|all| median(all).unwrap_or(0.0))
            .collect();
        Some(Self {
            upright: middle(&directions)?,
            jitter: median(&mut jitters).unwrap_or(0.0),
            limbs,
        })
    }

    /// As a bundle carries it: direction, jitter, limbs.
    #[must_use]
    pub fn to_values(&self) -> Vec<f32> {
        let mut values = self.upright.to_vec();
        values.push(self.jitter);
        values.extend(&self.limbs);
        values
    }

    /// Reads [`Self::to_values`] of a skeleton with `joints` joints; `None` when a value cannot be meant.
    #[must_use]
    pub fn from_values(values: &[f32], joints: usize) -> Option<Self> {
        let (&[x, y, z, jitter], limbs) = values.split_first_chunk::<HEAD>()?;
        let within = |value: &f32, most: f32| (0.0..=most).contains(value);
        let fits = limbs.len() == joints
            && limbs.iter().all(|limb| within(limb, LONGEST_LIMB))
            && within(&jitter, MOST_JITTER);
        fits.then_some(())?;
        Some(Self {
            upright: unit([x, y, z])?,
            jitter,
            limbs: limbs.to_vec(),
        })
    }
}
