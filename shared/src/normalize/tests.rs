use super::*;
use crate::topology::TopologyId;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const NTU: &Topology = TopologyId::Ntu25.topology();

fn spec(mode: Mode, frames: u16, bodies: u8) -> NormalizeSpec {
    NormalizeSpec {
        mode,
        frames,
        bodies,
    }
}

fn run(topology: &Topology, spec: NormalizeSpec, poses: &[f32]) -> (Presence, Vec<f32>) {
    let mut out = vec![9.0; spec.window_len(topology)];
    let presence = normalize(topology, &spec, poses, &mut out).expect("lengths fit");
    (presence, out)
}

/// Position of a joint in a window `[body, 3, frame, joint]`.
fn at(window: &[f32], spec: NormalizeSpec, body: usize, frame: usize, joint: usize) -> [f32; 3] {
    let plane = usize::from(spec.frames) * 25;
    [0, 1, 2].map(|axis| window[(body * 3 + axis) * plane + frame * 25 + joint])
}

/// One NTU body that stands at `origin` with its shoulders along `shoulders` (x, z); hips likewise, half a metre below.
fn standing(origin: [f32; 3], shoulders: [f32; 2]) -> Vec<f32> {
    let mut pose = vec![0.0; 75];
    for joint in 0..25 {
        let side = match joint {
            4..=7 | 12..=15 | 21 | 22 => -0.5,
            8..=11 | 16..=19 | 23 | 24 => 0.5,
            _ => 0.0,
        };
        let down = match joint {
            0 | 12 | 16 => 0.5,
            13..=15 | 17..=19 => 1.0,
            _ => 0.0,
        };
        pose[joint * 3] = origin[0] + side * shoulders[0];
        pose[joint * 3 + 1] = origin[1] - down;
        pose[joint * 3 + 2] = origin[2] + side * shoulders[1];
    }
    pose
}

fn shoulder_vector(window: &[f32], spec: NormalizeSpec, frame: usize) -> [f32; 3] {
    subtract(at(window, spec, 0, frame, 8), at(window, spec, 0, frame, 4))
}

fn assert_near(got: [f32; 3], expect: [f32; 3], tolerance: f32) {
    assert!(
        got.iter()
            .zip(expect)
            .all(|(a, b)| (a - b).abs() <= tolerance),
        "{got:?} instead of {expect:?}"
    );
}

/// The published check: a shoulder vector straight at or away from the camera becomes (1, 0, 0).
#[test]
fn both_modes_turn_shoulders_to_the_right() {
    for mode in [Mode::Paper, Mode::Product] {
        for shoulders in [
            [0.0, 1.0],
            [0.0, -1.0],
            [1.0, 0.0],
            [0.6, 0.8],
            [-0.6, 0.8],
            [-0.6, -0.8],
        ] {
            let spec = spec(mode, 4, 1);
            let (presence, window) =
                run(NTU, spec, &standing([0.3, 0.2, 3.0], shoulders).repeat(3));
            assert_eq!(presence, Presence::FIRST);
            // 1e-4 in the published divisor turns by up to sqrt(2e-4) when the vector lies along x.
            for frame in 0..4 {
                assert_near(shoulder_vector(&window, spec, frame), [1.0, 0.0, 0.0], 0.02);
            }
        }
    }
}

#[test]
fn paper_mode_gives_one_sign_to_a_whole_clip_and_product_mode_one_to_each_frame() {
    let turning = [
        standing([0.0, 0.0, 3.0], [0.0, -1.0]).repeat(20),
        standing([0.0, 0.0, 3.0], [0.0, 1.0]).repeat(30),
    ];
    let poses = turning.concat();
    let paper = spec(Mode::Paper, 50, 1);
    let (_, window) = run(NTU, paper, &poses);
    assert_near(shoulder_vector(&window, paper, 0), [-1.0, 0.0, 0.0], 0.02);
    assert_near(shoulder_vector(&window, paper, 49), [1.0, 0.0, 0.0], 0.02);
    let product = spec(Mode::Product, 50, 1);
    let (_, window) = run(NTU, product, &poses);
    assert_near(shoulder_vector(&window, product, 0), [1.0, 0.0, 0.0], 1e-4);
    assert_near(shoulder_vector(&window, product, 49), [1.0, 0.0, 0.0], 1e-4);
}

#[test]
fn the_root_is_at_the_origin_in_every_frame_of_every_body() {
    let mut poses = Vec::new();
    for frame in 0..7 {
        poses.extend(standing([frame as f32, 0.1, 3.0], [1.0, 0.2]));
        poses.extend(standing([-1.0, frame as f32, 2.0], [0.8, 0.0]));
    }
    for mode in [Mode::Paper, Mode::Product] {
        let spec = spec(mode, 10, 2);
        let (presence, window) = run(NTU, spec, &poses);
        assert_eq!(presence.count(), 2);
        for (body, frame) in (0..2).flat_map(|body| (0..10).map(move |frame| (body, frame))) {
            assert_near(at(&window, spec, body, frame, 20), [0.0; 3], 1e-6);
        }
    }
}

#[test]
fn an_absent_second_body_is_zeros_and_not_present() {
    let poses = [standing([0.0, 0.0, 3.0], [1.0, 0.0]), vec![0.0; 75]]
        .concat()
        .repeat(5);
    for mode in [Mode::Paper, Mode::Product] {
        let spec = spec(mode, 8, 2);
        let (presence, window) = run(NTU, spec, &poses);
        assert_eq!(presence, Presence::FIRST);
        assert!(window[window.len() / 2..].iter().all(|value| *value == 0.0));
        assert!(window[..window.len() / 2].iter().any(|value| *value != 0.0));
    }
}

/// Head height tells frames apart here: frame `f` has the head at `1 + f` above the root.
fn rising_head(frames: usize, gap: core::ops::Range<usize>) -> Vec<f32> {
    let mut poses = Vec::new();
    for frame in 0..frames {
        let mut pose = standing([0.0, 0.0, 3.0], [1.0, 0.0]);
        pose[3 * 3 + 1] = 1.0 + frame as f32;
        if gap.contains(&frame) {
            pose.fill(0.0);
        }
        poses.extend(pose);
    }
    poses
}

/// Ten frames, three of them empty: the published rule counts seven and takes the first seven, empty ones among them.
#[test]
fn paper_mode_counts_valid_frames_and_takes_as_many_from_the_start() {
    let spec = spec(Mode::Paper, 7, 1);
    let (_, window) = run(NTU, spec, &rising_head(10, 2..5));
    let heads: Vec<f32> = (0..7)
        .map(|frame| at(&window, spec, 0, frame, 3)[1])
        .collect();
    assert_eq!(heads, [1.0, 2.0, 0.0, 0.0, 0.0, 6.0, 7.0]);
}

#[test]
fn paper_mode_cuts_after_300_frames() {
    let spec = spec(Mode::Paper, 300, 1);
    let (_, window) = run(NTU, spec, &rising_head(400, 0..0));
    assert_eq!(at(&window, spec, 0, 299, 3)[1], 300.0);
}

#[test]
fn product_mode_bridges_gaps_and_ends_with_the_last_seen_frame() {
    let spec = spec(Mode::Product, 10, 1);
    let mut poses = rising_head(10, 2..5);
    poses.extend(vec![0.0; 75 * 4]);
    let (_, window) = run(NTU, spec, &poses);
    for frame in 0..10 {
        assert_near(
            at(&window, spec, 0, frame, 3),
            [0.0, 1.0 + frame as f32, 0.0],
            1e-4,
        );
    }
}

#[test]
fn product_mode_bridges_the_gap_of_a_single_joint() {
    let spec = spec(Mode::Product, 10, 1);
    let mut poses = rising_head(10, 0..0);
    for frame in [0, 4, 5, 9] {
        poses[frame * 75 + 3 * 3] = f32::NAN;
    }
    let (_, window) = run(NTU, spec, &poses);
    let heads: Vec<f32> = (0..10)
        .map(|frame| at(&window, spec, 0, frame, 3)[1])
        .collect();
    for (head, expect) in heads
        .iter()
        .zip([2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0])
    {
        assert!((head - expect).abs() < 1e-4, "{heads:?}");
    }
}

#[test]
fn product_mode_puts_a_joint_never_seen_at_its_nearest_seen_ancestor() {
    let spec = spec(Mode::Product, 4, 1);
    let mut pose = standing([0.0, 1.0, 3.0], [1.0, 0.0]);
    pose[7 * 3..8 * 3].fill(0.0);
    pose[6 * 3..7 * 3].fill(f32::INFINITY);
    let (_, window) = run(NTU, spec, &pose.repeat(4));
    assert_eq!(at(&window, spec, 0, 1, 7), at(&window, spec, 0, 1, 5));
    assert_eq!(at(&window, spec, 0, 1, 6), at(&window, spec, 0, 1, 5));
}

#[test]
fn product_mode_makes_people_of_any_size_and_unit_alike() {
    let spec = spec(Mode::Product, 6, 1);
    let poses = rising_head(6, 0..0);
    let millimetres: Vec<f32> = poses.iter().map(|value| value * 1000.0).collect();
    let (_, small) = run(NTU, spec, &poses);
    let (_, large) = run(NTU, spec, &millimetres);
    assert!(small.iter().zip(&large).all(|(a, b)| (a - b).abs() < 1e-4));
    let trunk = at(&small, spec, 0, 2, 4)[1] - at(&small, spec, 0, 2, 12)[1];
    assert!((trunk - product::TRUNK).abs() < 1e-5);
}

#[test]
fn no_frames_and_no_people_give_zeros() {
    for mode in [Mode::Paper, Mode::Product] {
        for poses in [vec![], vec![0.0; 75 * 3], vec![f32::NAN; 75 * 3]] {
            let (presence, window) = run(NTU, spec(mode, 5, 1), &poses);
            assert_eq!(presence, Presence::NONE);
            assert!(window.iter().all(|value| *value == 0.0));
        }
    }
}

#[test]
fn a_single_frame_fills_the_window() {
    for mode in [Mode::Paper, Mode::Product] {
        let spec = spec(mode, 5, 1);
        let (_, window) = run(NTU, spec, &rising_head(1, 0..0));
        assert!((0..5).all(|frame| at(&window, spec, 0, frame, 3) == at(&window, spec, 0, 0, 3)));
    }
}

#[test]
fn refuses_lengths_that_do_not_fit() {
    let mut out = vec![0.0; 75 * 5];
    let check = |spec: NormalizeSpec, poses: usize, out: &mut [f32], expect: NormalizeError| {
        assert_eq!(normalize(NTU, &spec, &vec![0.0; poses], out), Err(expect));
    };
    check(
        spec(Mode::Paper, 5, 1),
        74,
        &mut out,
        NormalizeError::Poses { got: 74, frame: 75 },
    );
    check(
        spec(Mode::Paper, 6, 1),
        75,
        &mut out,
        NormalizeError::Output {
            got: 375,
            expected: 450,
        },
    );
    check(
        spec(Mode::Paper, 0, 1),
        75,
        &mut out,
        NormalizeError::Spec {
            frames: 0,
            bodies: 1,
        },
    );
    check(
        spec(Mode::Product, 301, 3),
        75,
        &mut out,
        NormalizeError::Spec {
            frames: 301,
            bodies: 3,
        },
    );
}

/// Golden bits: the same poses must give the same window on every target. Do not change the numbers without raising
/// [`PREPROCESSING_VERSION`].
#[test]
fn results_are_the_same_bits_everywhere() {
    let poses: Vec<f32> = (0..75 * 17)
        .map(|i| ((i * 7919 % 1009) as f32) / 503.0 - 1.0)
        .collect();
    let digest = |mode: Mode| {
        let (_, window) = run(NTU, spec(mode, 13, 1), &poses);
        window
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
                (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
            })
    };
    assert_eq!(
        (digest(Mode::Paper), digest(Mode::Product)),
        (16_902_899_234_765_290_857, 2_117_752_041_226_054_205)
    );
    assert_eq!(PREPROCESSING_VERSION, 1);
}

/// Floats of every kind: ordinary, tiny, huge, infinite, not a number.
fn any_float() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -3.0_f32..3.0, 1 => any::<u32>().prop_map(f32::from_bits), 1 => Just(0.0_f32)]
}

proptest! {
    #[test]
    fn any_floats_give_finite_output(
        poses in proptest::collection::vec(any_float(), 0..300),
        bodies in 1_u8..3,
        frames in 1_u16..20,
        paper: bool,
    ) {
        for id in TopologyId::ALL {
            let topology = id.topology();
            let spec = spec(if paper { Mode::Paper } else { Mode::Product }, frames, bodies);
            let whole = poses.len() / spec.frame_len(topology) * spec.frame_len(topology);
            let (_, window) = run(topology, spec, &poses[..whole]);
            prop_assert!(window.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn any_lengths_are_answered(poses in 0_usize..400, out in 0_usize..400, frames: u16, bodies: u8) {
        let poses = vec![1.0; poses];
        let mut out = vec![0.0; out];
        let _ = normalize(NTU, &spec(Mode::Product, frames, bodies), &poses, &mut out);
    }

    #[test]
    fn product_mode_does_not_see_where_the_camera_stands(
        yaw in -3.1_f32..3.1,
        shift in proptest::array::uniform3(-2.0_f32..2.0),
    ) {
        let poses = rising_head(9, 0..0);
        let moved: Vec<f32> = poses
            .chunks_exact(3)
            .flat_map(|p| {
                let turned = turn([p[0], p[1], p[2] - 3.0], yaw.sin(), yaw.cos());
                [turned[0] + shift[0], turned[1] + shift[1], turned[2] + 3.0 + shift[2]]
            })
            .collect();
        let spec = spec(Mode::Product, 9, 1);
        let ((_, a), (_, b)) = (run(NTU, spec, &poses), run(NTU, spec, &moved));
        prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
