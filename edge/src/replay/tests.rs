//! Measurements on a small random bundle.

use super::*;
use tendon_bundle::testing::{Numbers, random_bundle, secret_key};
use tendon_bundle::{Bundle, Floor, TrustedKeys};

fn bundle() -> Arc<VerifiedBundle> {
    let key = secret_key(1);
    let trusted = TrustedKeys::new([key.public()]);
    Arc::new(Bundle::verify(random_bundle(&key, 1, 11), &trusted, Floor::default()).unwrap())
}

/// Everything may teach and serve.
fn eager() -> PipelineConfig {
    let mut config = PipelineConfig::default();
    config.adapt.gate.threshold = 0.0;
    config.adapt.student.skip_agreement = 2.0;
    config.adapt.steps = 1;
    config.adapt.guard.enabled = false;
    // Random movements are far from any action, and their limbs fly about.
    config.adapt.gate.novelty = 0.0;
    config.adapt.gate.max_leap = 1e3;
    config
}

/// A stream of `count` tracks with labels by `label`.
fn stream(count: u64, label: impl Fn(u64) -> u64) -> String {
    let mut text = String::from("{\"hello\":\"test\",\"topology\":\"kinect20\"}\nnot a pose\n");
    for track in 1..=count {
        let mut numbers = Numbers::new(track);
        for frame in 0..10 {
            let joints: Vec<String> = (0..20)
                .map(|_| {
                    format!(
                        "[{},{},{}]",
                        numbers.unit(),
                        numbers.unit(),
                        2.0 + numbers.unit()
                    )
                })
                .collect();
            text += &format!(
                "{{\"t\":{},\"track\":{track},\"joints\":[{}]}}\n",
                track * 2_000 + frame * 33,
                joints.join(",")
            );
        }
        text += &format!(
            "{{\"end\":{track},\"t\":{},\"label\":{}}}\n",
            track * 2_000 + 400,
            label(track)
        );
    }
    text
}

fn run(text: &str, config: &PipelineConfig) -> Report {
    confirm(text, config, 0)
}

fn questions(seed: u64, confirmed: usize) -> Questions {
    Questions {
        seed,
        confirmed,
        second_pass: true,
    }
}

fn confirm(text: &str, config: &PipelineConfig, confirmed: usize) -> Report {
    measure(
        &bundle(),
        text.as_bytes(),
        config,
        Places::default(),
        questions(3, confirmed),
        &|| Duration::ZERO,
    )
    .unwrap()
}

#[test]
fn counts_windows_updates_and_wrong_lines() {
    let report = run(&stream(40, |track| track % 5), &eager());
    assert_eq!(
        (
            report.online.windows,
            report.adapt.updates,
            report.guard.len()
        ),
        (40, 2, 2)
    );
    assert_eq!(
        (
            report.capture.malformed,
            report.capture.lines,
            report.failed
        ),
        (1, 442, 0)
    );
    assert!(report.served_adapted > 0 && report.distance > 0.0);
    assert_eq!(report.afterwards.unwrap().windows, 40);
}

#[test]
fn labels_never_change_what_is_learnt() {
    let (first, second) = (
        run(&stream(40, |_| 0), &eager()),
        run(&stream(40, |track| track % 5), &eager()),
    );
    assert_eq!(first.distance, second.distance);
    assert_eq!(first.adapt, second.adapt);
    assert_eq!(first.guard.len(), second.guard.len());
}

#[test]
fn a_measurement_can_be_repeated_exactly() {
    let text = stream(40, |track| track % 5);
    let report = || serde_json::to_string(&run(&text, &eager())).unwrap();
    assert_eq!(report(), report());
}

#[test]
fn without_adaptation_the_reported_accuracy_is_the_base() {
    let mut config = eager();
    config.adapt.enabled = false;
    let report = run(&stream(40, |track| track % 5), &config);
    assert_eq!(
        (report.online.reported, report.worst_hundred),
        (report.online.base, 0.0)
    );
    assert_eq!((report.adapt.updates, report.served_adapted), (0, 0));
}

#[test]
fn a_single_pass_keeps_nothing_of_the_stream_and_shows_whether_it_drifts() {
    let once = Questions {
        second_pass: false,
        ..questions(3, 0)
    };
    let text = stream(40, |track| track % 5);
    let clock = &|| Duration::ZERO;
    let report = measure(
        &bundle(),
        text.as_bytes(),
        &eager(),
        Places::default(),
        once,
        clock,
    )
    .unwrap();
    assert!(report.afterwards.is_none());
    let windows: Vec<u64> = report.tenths.iter().map(|part| part.windows).collect();
    assert_eq!(windows, [4; 10]);
    assert_eq!(report.online, run(&text, &eager()).online);
}

#[test]
fn a_stream_without_labels_cannot_be_measured() {
    let empty = measure(
        &bundle(),
        &b""[..],
        &eager(),
        Places::default(),
        questions(0, 0),
        &|| Duration::ZERO,
    );
    assert!(matches!(empty, Err(ReplayError::NoLabels)));
}

#[test]
fn a_few_windows_a_class_are_confirmed_after_they_were_answered() {
    let text = stream(40, |track| track % 5);
    let report = confirm(&text, &eager(), 2);
    assert_eq!((report.adapt.labelled, report.online.windows), (10, 40));
    assert_eq!(confirm(&text, &eager(), 0).adapt.labelled, 0);
}

#[test]
fn a_label_that_is_no_class_is_an_unknown_action() {
    let text = stream(40, |track| if track % 4 == 0 { 65_535 } else { track % 5 });
    let report = run(&text, &eager());
    assert_eq!(report.online.windows, 30);
    let open = report.open_world.unwrap();
    assert_eq!((open.known, open.unknown), (30, 10));
    assert!(open.unknown_taught > 0 && open.unknown_rejected == 0.0);
}

#[test]
fn frozen_and_torn_windows_are_counted_and_never_learnt_from() {
    let mut text = String::from("{\"hello\":1,\"topology\":\"kinect20\"}\n");
    for track in 1..=40_u64 {
        let torn = track % 2 == 0;
        for frame in 0..40_u64 {
            // Half of the tracks stand still, the others are somewhere else from frame 20 on.
            let x = if torn && frame >= 20 { 5.0 } else { 0.0 };
            let sway = if torn {
                (frame as f32 * 0.3).sin() * 0.1
            } else {
                0.0
            };
            let joints: Vec<String> = (0..20)
                .map(|joint| format!("[{},{},2.5]", x + sway, joint as f32 * 0.1))
                .collect();
            text += &format!(
                "{{\"t\":{},\"track\":{track},\"joints\":[{}]}}\n",
                track * 10_000 + frame * 33,
                joints.join(",")
            );
        }
        text += &format!(
            "{{\"end\":{track},\"t\":{},\"label\":0}}\n",
            track * 10_000 + 2_000
        );
    }
    let mut config = eager();
    config.adapt.gate.max_leap = 0.5;
    let report = run(&text, &config);
    assert_eq!((report.adapt.frozen, report.adapt.torn), (20, 20));
    assert_eq!((report.adapt.accepted, report.adapt.updates), (0, 0));
    assert_eq!(report.online.windows, 40);
}
