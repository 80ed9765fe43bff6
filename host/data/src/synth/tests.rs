use super::*;
use tendon_shared::limits::AXES;
use tendon_shared::normalize::{Mode, NormalizeSpec, normalize};

fn small(topology: TopologyId) -> SynthSpec {
    SynthSpec {
        topology,
        subjects: 2,
        cameras: 2,
        repetitions: 1,
        ..SynthSpec::default()
    }
}

#[test]
fn every_recording_is_sound_in_every_topology() {
    for topology in TopologyId::ALL {
        let spec = small(topology);
        assert_eq!(spec.count(), 2 * 2 * classes().len());
        for index in 0..spec.count() {
            let recording = spec.recording(index);
            assert_eq!(
                recording.poses.len(),
                recording.frames * topology.topology().joint_count() * AXES
            );
            assert!(
                recording
                    .poses
                    .iter()
                    .all(|value| value.is_finite() && value.abs() < 10.0)
            );
            assert!(
                (20..300).contains(&recording.frames),
                "{} {}",
                recording.name,
                recording.frames
            );
            let absent = recording
                .poses
                .chunks_exact(3)
                .filter(|joint| joint.iter().all(|v| *v == 0.0))
                .count();
            assert!(
                absent * 20 < recording.poses.len() / 3,
                "{} has absent joints",
                recording.name
            );
        }
    }
}

#[test]
fn names_are_unique_and_every_class_person_and_camera_occurs() {
    let spec = SynthSpec {
        subjects: 3,
        cameras: 4,
        repetitions: 2,
        ..SynthSpec::default()
    };
    let names: std::collections::BTreeSet<String> = (0..spec.count())
        .map(|index| spec.recording(index).name)
        .collect();
    assert_eq!(names.len(), spec.count());
    let last = spec.recording(spec.count() - 1);
    assert_eq!((last.subject, last.camera, last.repetition), (3, 4, 2));
    assert_eq!(usize::from(last.label), classes().len() - 1);
}

/// Do not change the numbers unless the generator is meant to change: measurements refer to it.
#[test]
fn a_seed_gives_the_same_bits_on_every_target() {
    let digest = |seed: u64| {
        let recording = SynthSpec {
            seed,
            ..SynthSpec::default()
        }
        .recording(13);
        recording
            .poses
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
                (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
            })
    };
    assert_eq!(
        (digest(0), digest(1)),
        (1_246_119_253_661_068_188, 11_091_802_217_911_386_483)
    );
}

#[test]
fn cameras_see_the_same_performance_and_persons_differ() {
    let spec = SynthSpec::default();
    let (front, side) = (spec.recording(0), spec.recording(1));
    assert_eq!(front.frames, side.frames);
    assert_ne!(front.poses, side.poses);
    let per_person = usize::from(spec.cameras * spec.repetitions) * classes().len();
    assert_ne!(front.poses, spec.recording(per_person).poses);
}

#[test]
fn a_person_faces_the_first_camera_with_the_right_side_at_larger_x() {
    let spec = small(TopologyId::Ntu25);
    let recording = spec.recording(0);
    let at = |joint: usize| &recording.poses[joint * 3..joint * 3 + 3];
    assert!(at(8)[0] > at(4)[0] + 0.15, "right shoulder");
    assert!(at(3)[1] > at(20)[1] + 0.1, "head above shoulders");
    assert!(
        at(15)[2] < at(14)[2] && at(19)[2] < at(18)[2],
        "feet point at the camera"
    );
    assert!((2.0..4.5).contains(&at(0)[2]), "distance");
}

/// Mean step between the joints of a recording's successive frames, metres: how restless the tracker is.
fn restlessness(recording: &RawRecording, joint: usize) -> f32 {
    let at = |frame: usize| {
        let start = (frame * 20 + joint) * 3;
        [0, 1, 2].map(|axis| recording.poses[start + axis])
    };
    let step = |frame: usize| vector::length(vector::sub(at(frame + 1), at(frame)));
    (0..recording.frames - 1).map(step).sum::<f32>() / recording.frames as f32
}

#[test]
fn hands_are_tracked_worse_from_the_side() {
    let spec = SynthSpec {
        subjects: 4,
        cameras: 4,
        repetitions: 1,
        ..SynthSpec::default()
    };
    let mut total = [0.0; 4];
    for index in 0..spec.count() {
        let recording = spec.recording(index);
        total[usize::from(recording.camera) - 1] +=
            restlessness(&recording, 7) + restlessness(&recording, 11);
    }
    assert!(total[3] > 1.1 * total[0], "{total:?}");
}

/// Share of `test` that the nearest neighbour in `train` names rightly, on normalised joints.
fn nearest_neighbour(train: &[(Vec<f32>, u16)], test: &[(Vec<f32>, u16)]) -> f32 {
    let distance =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let right = test.iter().filter(|(window, label)| {
        let nearest = train
            .iter()
            .min_by(|a, b| distance(&a.0, window).total_cmp(&distance(&b.0, window)));
        nearest.is_some_and(|(_, found)| found == label)
    });
    right.count() as f32 / test.len() as f32
}

/// Window, label and subject of every recording of one camera.
fn windows(spec: &SynthSpec, mode: Mode, camera: usize) -> Vec<(Vec<f32>, u16, u16)> {
    let topology = spec.topology.topology();
    let form = NormalizeSpec {
        mode,
        frames: 20,
        bodies: 1,
    };
    let indices = (camera - 1..spec.count()).step_by(usize::from(spec.cameras));
    indices
        .map(|index| {
            let recording = spec.recording(index);
            let mut window = vec![0.0; form.window_len(topology)];
            normalize(topology, &form, &recording.poses, &mut window).unwrap();
            (window, recording.label, recording.subject)
        })
        .collect()
}

/// A nearest neighbour taught by seven persons before camera 1 knows three others there, and fewer of them before camera
/// 2: the gap that adaptation is to close. Measured when written,
/// over five seeds with three takes: 0.96 and 0.71 (0.83 with the taught persons among those before camera 2).
#[test]
fn actions_can_be_told_apart_and_another_camera_makes_it_harder() {
    let spec = SynthSpec {
        repetitions: 2,
        ..SynthSpec::default()
    };
    let [front, corner] = [1, 2].map(|camera| windows(&spec, Mode::Paper, camera));
    let only = |set: &[(Vec<f32>, u16, u16)], known: bool| -> Vec<(Vec<f32>, u16)> {
        let chosen = set.iter().filter(|window| (window.2 <= 7) == known);
        chosen
            .map(|(window, label, _)| (window.clone(), *label))
            .collect()
    };
    let train = only(&front, true);
    let same = nearest_neighbour(&train, &only(&front, false));
    let other = nearest_neighbour(&train, &only(&corner, false));
    assert!(same > 0.85, "camera 1: {same}");
    assert!(
        (0.4..same - 0.1).contains(&other),
        "camera 1: {same}, camera 2: {other}"
    );
}

#[test]
fn pairs_are_two_bodies_apart() {
    let spec = SynthSpec {
        pairs: true,
        ..SynthSpec::default()
    };
    let of_label = |label: u16| {
        let mut recordings = (0..spec.count()).map(|index| spec.recording(index));
        recordings
            .find(|recording| recording.label == label)
            .unwrap()
    };
    assert_eq!((of_label(2).bodies, of_label(3).bodies), (1, 2));
    let pair = of_label(3);
    assert_eq!(pair.poses.len(), pair.frames * 2 * 20 * 3);
    let alone = SynthSpec::default();
    let index = (0..spec.count())
        .find(|&index| spec.recording(index).label == 3)
        .unwrap();
    let first = alone.recording(index);
    assert_eq!(pair.poses[..60], first.poses[..60]);
    assert_ne!(pair.poses[60..120], first.poses[..60]);
}
