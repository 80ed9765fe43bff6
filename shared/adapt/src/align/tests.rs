//! Alignment as a whole, on a person made of sticks.

use super::*;
use tendon_model::augment::random::{generator, normal};
use tendon_shared::topology::TopologyId;

const SPACING_MS: f32 = 33.3;

fn topology() -> &'static Topology {
    TopologyId::Kinect20.topology()
}

/// A person who waves, `[frame, joint, 3]`; joints in the order of Kinect v1.
pub(crate) fn clip(frames: usize, phase: f32) -> Vec<f32> {
    let mut poses = Vec::new();
    for frame in 0..frames {
        let swing = 0.25 * (phase + frame as f32 * 0.15).sin();
        let arm = |side: f32| {
            [
                [side * 0.2, 0.45, 3.0],
                [side * 0.25, 0.2 + swing, 2.9],
                [side * 0.25, swing, 2.75],
                [side * 0.25, -0.05 + swing, 2.7],
            ]
        };
        let leg = |side: f32| {
            [
                [side * 0.1, -0.05, 3.0],
                [side * 0.1, -0.5, 3.0],
                [side * 0.1, -0.9, 3.0],
                [side * 0.1, -0.95, 2.9],
            ]
        };
        let mut joints = vec![
            [0.0, 0.001, 3.0],
            [0.0, 0.1, 3.0],
            [0.0, 0.5, 3.0],
            [0.0, 0.7, 3.0],
        ];
        joints.extend(arm(-1.0));
        joints.extend(arm(1.0));
        joints.extend(leg(-1.0));
        joints.extend(leg(1.0));
        poses.extend(joints.into_iter().flatten());
    }
    poses
}

fn clips() -> Vec<Vec<f32>> {
    (0..40).map(|number| clip(40, number as f32)).collect()
}

pub(crate) fn reference() -> Reference {
    let clips = clips();
    Reference::measure(
        topology(),
        clips.iter().map(|poses| (poses.as_slice(), SPACING_MS)),
    )
    .unwrap()
}

fn aligner() -> Aligner {
    Aligner::new(AlignConfig::default(), topology(), reference())
}

/// Tilts the camera.
pub(crate) fn tilt(poses: &mut [f32], degrees: f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    for [_, y, z] in poses.as_chunks_mut::<3>().0 {
        (*y, *z) = (cos * *y - sin * *z, sin * *y + cos * *z);
    }
}

/// The last clip and its correction after `change` changed all of them.
fn after(change: impl Fn(&mut Vec<f32>, &mut dyn FnMut() -> f32)) -> (Vec<f32>, Corrected) {
    let mut aligner = aligner();
    let mut rng = generator(1, 0, 0, 0);
    let mut last = (Vec::new(), Corrected::default());
    for (number, mut poses) in clips().into_iter().enumerate() {
        change(&mut poses, &mut || normal(&mut rng));
        let corrected = aligner.align(number as u64, SPACING_MS, &mut poses);
        last = (poses, corrected);
    }
    last
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let square: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    (square / a.len() as f32).sqrt()
}

#[test]
fn poses_like_those_of_the_training_data_stay_to_the_bit() {
    let (poses, corrected) = after(|_, _| ());
    assert_eq!(corrected, Corrected::default());
    assert_eq!(&poses, clips().last().unwrap());
}

#[test]
fn a_tilted_and_rolled_camera_is_levelled() {
    let (sin, cos) = 25.0_f32.to_radians().sin_cos();
    let roll = |poses: &mut Vec<f32>| {
        for [x, y, _] in poses.as_chunks_mut::<3>().0 {
            (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
        }
    };
    for (poses, corrected) in [
        after(|poses, _| tilt(poses, 25.0)),
        after(|poses, _| roll(poses)),
    ] {
        assert!(corrected.level && !corrected.limbs && !corrected.steady);
        assert!(distance(&poses, clips().last().unwrap()) < 1e-3);
    }
}

#[test]
fn a_child_gets_the_limbs_that_the_encoder_knows() {
    let short = |poses: &mut Vec<f32>, _: &mut dyn FnMut() -> f32| {
        let mut factors = vec![1.0; 20];
        factors[5..8].fill(0.7);
        factors[9..12].fill(0.7);
        factors[13..16].fill(0.65);
        factors[17..20].fill(0.65);
        limbs::stretch(topology(), &factors, poses);
    };
    let (poses, corrected) = after(short);
    assert!(corrected.limbs && !corrected.level);
    assert!(distance(&poses, clips().last().unwrap()) < 0.03);
}

#[test]
fn a_noisy_sensor_is_steadied() {
    let noisy = |poses: &mut Vec<f32>, noise: &mut dyn FnMut() -> f32| {
        poses.iter_mut().for_each(|value| *value += 0.03 * noise());
    };
    let (poses, corrected) = after(noisy);
    assert!(corrected.steady && !corrected.level);
    let left = distance(&poses, clips().last().unwrap());
    assert!(left < 0.02, "{left}");
}

#[test]
fn after_a_noisy_sensor_was_replaced_the_first_clip_is_left_alone() {
    let mut aligner = aligner();
    let mut rng = generator(1, 0, 0, 0);
    let mut corrected = Corrected::default();
    for (number, mut poses) in clips().into_iter().enumerate() {
        for value in &mut poses {
            *value += 0.03 * normal(&mut rng);
        }
        corrected = aligner.align(number as u64, SPACING_MS, &mut poses);
    }
    assert!(corrected.steady);
    let mut clean = clips().remove(0);
    assert!(!aligner.align(0, SPACING_MS, &mut clean).steady);
}

#[test]
fn movement_at_a_low_frame_rate_is_not_taken_for_noise() {
    let mut aligner = aligner();
    for (number, poses) in clips().into_iter().enumerate() {
        let mut slow: Vec<f32> = poses
            .chunks_exact(60)
            .step_by(5)
            .flatten()
            .copied()
            .collect();
        let before = slow.clone();
        assert!(
            !aligner
                .align(number as u64, 5.0 * SPACING_MS, &mut slow)
                .steady
        );
        assert_eq!(slow, before);
    }
}

#[test]
fn absent_joints_stay_absent() {
    let (poses, _) = after(|poses, noise| {
        poses.iter_mut().for_each(|value| *value += 0.03 * noise());
        for joint in poses.as_chunks_mut::<3>().0.iter_mut().step_by(3) {
            *joint = [0.0; 3];
        }
    });
    let mut joints = poses.as_chunks::<3>().0.iter().step_by(3);
    assert!(joints.all(|joint| *joint == [0.0; 3]));
}

#[test]
fn hostile_poses_are_survived() {
    let mut aligner = aligner();
    for value in [f32::NAN, f32::INFINITY, f32::MAX, 0.0, -1e30] {
        for spacing in [
            0.0,
            -1.0,
            f32::NAN,
            f32::MIN_POSITIVE,
            SPACING_MS,
            f32::INFINITY,
        ] {
            let mut poses = vec![value; 60 * 50];
            aligner.align(1, spacing, &mut poses);
            aligner.align(2, spacing, &mut []);
        }
    }
    let mut poses = clip(40, 0.0);
    aligner.align(3, SPACING_MS, &mut poses);
    assert!(poses.iter().all(|value| value.is_finite()));
}

#[test]
fn a_reference_survives_its_way_through_a_bundle_and_nonsense_does_not() {
    let reference = reference();
    let values = reference.to_values();
    let read = Reference::from_values(&values, 20).unwrap();
    assert!((read.upright[1] - reference.upright[1]).abs() < 1e-6);
    assert_eq!(
        (read.jitter, &read.limbs),
        (reference.jitter, &reference.limbs)
    );
    assert!(Reference::from_values(&values, 19).is_none());
    assert!(Reference::from_values(&values[..3], 20).is_none());
    for place in 0..values.len() {
        for nonsense in [f32::NAN, f32::INFINITY, -1e9] {
            let mut wrong = values.clone();
            wrong[place] = nonsense;
            if let Some(read) = Reference::from_values(&wrong, 20) {
                assert!(read.to_values().iter().all(|value| value.is_finite()));
            }
        }
    }
}
