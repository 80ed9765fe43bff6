//! Many persons, and sources that mean no good: what is held stays bounded, and nobody gets another's poses.

use super::{Policy, Tracks, WindowConfig};
use crate::capture::Event;
use crate::capture::framing::Framing;
use crate::capture::line::LineReader;
use proptest::prelude::*;
use tendon_shared::limits::MAX_WINDOW_FRAMES;
use tendon_shared::topology::TopologyId;

/// Persons that the default configuration follows.
const MOST: usize = 16;

fn tracks(policy: Policy) -> Tracks {
    let config = WindowConfig {
        policy,
        ..WindowConfig::default()
    };
    assert_eq!(config.max_tracks, MOST);
    Tracks::new(config, 20)
}

fn line(time: u64, track: u64, x: f32) -> String {
    let joints: Vec<String> = (0..20)
        .map(|joint| format!("[{x},{},2.5]", f64::from(joint) * 0.1))
        .collect();
    format!(
        "{{\"t\":{time},\"track\":{track},\"joints\":[{}]}}",
        joints.join(",")
    )
}

fn event(time: u64, track: u64, x: f32) -> Event {
    LineReader::new(TopologyId::Kinect20)
        .read(line(time, track, x).as_bytes())
        .unwrap()
}

#[test]
fn ten_persons_who_come_go_and_swap_get_windows_of_their_own() {
    let mut tracks = tracks(Policy::Sliding);
    let mut windows = [0_u32; 10];
    for frame in 0..900_u64 {
        for person in 0..10_u64 {
            // Each is away for a second in six, at another time.
            if (frame + person * 17) % 180 < 30 {
                continue;
            }
            // The tracker gives persons 0 and 1 each other's number in the second half; everybody stands at a place of his own.
            let track = match person {
                0 | 1 if frame >= 450 => 1 - person,
                other => other,
            };
            let at = 1.0 + person as f32 * 0.5;
            let Some(cut) = tracks.push(&event(frame * 33, track, at)) else {
                continue;
            };
            windows[track as usize] += 1;
            let places: Vec<f32> = cut.poses.chunks_exact(3).map(|joint| joint[0]).collect();
            let first = places.first().copied().unwrap();
            let one_place = places.iter().all(|place| *place == first);
            // Only the moment of the swap itself puts two persons into one window; such a window leaps, and never teaches.
            let swapped = cut.start_ms < 450 * 33 && cut.end_ms >= 450 * 33 && track < 2;
            assert!(one_place || swapped, "track {track} at {}", cut.end_ms);
            assert_eq!(cut.track, track);
        }
        assert!(tracks.len() <= MOST && tracks.poses() <= 10 * 62);
    }
    assert!(windows.iter().all(|count| *count > 20), "{windows:?}");
    assert_eq!(tracks.counts().evicted, 0);
}

#[test]
fn a_thousand_tracks_are_counted_and_cost_no_more_than_sixteen() {
    let mut tracks = tracks(Policy::Sliding);
    for frame in 0..90_u64 {
        for track in 0..1_000_u64 {
            assert!(tracks.push(&event(frame * 33, track, 1.0)).is_none());
        }
        assert!(tracks.len() <= MOST && tracks.poses() <= MOST);
    }
    assert_eq!(tracks.counts().evicted, 90 * 1_000 - MOST as u64);
    assert_eq!(tracks.counts().windows, 0);
}

#[test]
fn a_track_from_the_far_future_does_not_keep_its_place() {
    let mut tracks = tracks(Policy::Sliding);
    for track in 100..100 + MOST as u64 {
        tracks.push(&event(9_007_199_254_740_991, track, 1.0));
    }
    let cuts = (0..90_u64).filter_map(|frame| tracks.push(&event(frame * 33, 1, 1.0)));
    assert!(cuts.count() > 0);
}

#[test]
fn a_clock_that_is_set_back_costs_one_window_and_not_the_person() {
    let mut tracks = tracks(Policy::Sliding);
    let mut cuts = 0;
    for start in [1_000_000, 0] {
        for frame in 0..90_u64 {
            cuts += u32::from(tracks.push(&event(start + frame * 33, 1, 1.0)).is_some());
        }
    }
    assert_eq!((cuts, tracks.counts().clock_resets), (4, 1));
}

/// Lines between good ones and nonsense.
fn any_line() -> impl Strategy<Value = String> {
    let time = prop_oneof![0..5_000_u64, any::<u64>().prop_map(|time| time >> 8)];
    let track = prop_oneof![0..4_u64, any::<u64>()];
    let number = prop_oneof![
        Just("0.1".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        Just("1e38".to_owned()),
        Just("null".to_owned()),
        (-200.0..200.0_f32).prop_map(|value| value.to_string()),
    ];
    let joints = proptest::collection::vec((number.clone(), number.clone(), number), 18..22);
    prop_oneof![
        6 => (time.clone(), track.clone(), joints).prop_map(|(time, track, joints)| {
            let joints: Vec<String> = joints
                .into_iter()
                .map(|(x, y, z)| format!("[{x},{y},{z}]"))
                .collect();
            format!("{{\"t\":{time},\"track\":{track},\"joints\":[{}]}}", joints.join(","))
        }),
        3 => (time.clone(), track.clone(), -3.0..3.0_f32).prop_map(|(time, track, x)| line(time, track, x)),
        1 => (time, track).prop_map(|(time, track)| format!("{{\"end\":{track},\"t\":{time}}}")),
        1 => Just("{\"hello\":1,\"topology\":\"ntu25\"}".to_owned()),
        1 => "[ -~]{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_lines_come_what_is_held_stays_bounded(
        lines in proptest::collection::vec(any_line(), 0..400),
        sliding in any::<bool>(),
    ) {
        let policy = if sliding { Policy::Sliding } else { Policy::Track };
        let mut tracks = tracks(policy);
        let mut reader = LineReader::new(TopologyId::Kinect20);
        let mut framing = Framing::default();
        let mut read = 0_u64;
        let mut on_line = |line: &[u8]| {
            read += 1;
            if let Ok(event) = reader.read(line)
                && let Some(cut) = tracks.push(&event)
            {
                assert!(cut.poses.iter().all(|value| value.is_finite()));
                assert!(cut.poses.len() <= MAX_WINDOW_FRAMES * 60 && cut.start_ms <= cut.end_ms);
            }
            assert!(tracks.len() <= MOST && tracks.poses() <= MOST * MAX_WINDOW_FRAMES);
        };
        for line in &lines {
            framing.push(line.as_bytes(), &mut on_line);
            framing.push(b"\n", &mut on_line);
        }
        prop_assert!(read <= lines.len() as u64);
    }
}
