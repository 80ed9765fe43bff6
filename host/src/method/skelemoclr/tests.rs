use super::*;
use crate::contrast::Threshold;
use crate::evaluate::labels::Amount;
use crate::method::SkeletonClrConfig;
use crate::method::testing::{self, BATCH, check};
use tendon_model::parameters::{Named, Values, collect_gradients, is_buffer};

fn config() -> SkeleMoClrConfig {
    SkeleMoClrConfig {
        base: testing::base(),
        labels: Amount::PerClass(2),
        draw: 0,
        labelled: BATCH,
        together: true,
        statistics: Statistics::Trained,
        threshold: Threshold::Fixed { confidence: 0.3675 },
        pseudo_weight: 0.8,
        ramp_steps: 0,
        contrast_weight: 0.5,
        classes: ClassRule::NoNegatives,
        classifier_rate: 3.0,
    }
}

fn method(config: SkeleMoClrConfig) -> SkeleMoClr {
    let material = Material {
        windows: 8,
        classes: 3,
        batch: BATCH,
    };
    let (encoder, device) = (testing::encoder(), Device::flex());
    SkeleMoClr::new(config, &encoder, testing::optimizer(), material, 1, &device).unwrap()
}

/// Five labelled and five unlabelled windows, as `fixtures/skelemoclr.py` has them.
fn drawn() -> Vec<Drawn> {
    let mut labelled = testing::drawn(&["query", "key"]);
    labelled[0].labels = vec![0, 2, 1, 2, 0];
    labelled.extend(testing::drawn(&["extreme", "query"]));
    labelled
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 1,
        epoch: 0,
        step,
    }
}

fn statement() -> Named {
    testing::statement("skelemoclr")
}

/// Puts the statement's start into networks, classifiers, queue and labels.
fn begin(method: &mut SkeleMoClr, statement: &Named) {
    testing::begin(method, &testing::start());
    let mut state = method.state();
    for network in ["student", "teacher"] {
        state.insert(network, testing::below(statement, "start."));
    }
    let labels = vec![-1.0, 0.0, 2.0, 1.0, -1.0, 2.0, 0.0];
    let shape = vec![labels.len()];
    let labels = Values {
        shape,
        data: labels,
    };
    state.tensors.insert("labels.keys".to_string(), labels);
    method.restore(&state).unwrap();
}

fn step(method: &mut SkeleMoClr, step: u64) -> f32 {
    let loss = method.loss(&drawn(), &moment(step)).unwrap();
    let value = loss.value.clone().into_scalar();
    method.learn(&loss.value.backward(), testing::RATE);
    value
}

fn check_losses(classes: ClassRule, name: &str) -> SkeleMoClr {
    let statement = statement();
    let mut method = method(SkeleMoClrConfig {
        classes,
        ..config()
    });
    begin(&mut method, &statement);
    for (number, expected) in (0..).zip(&statement[name].data) {
        let found = step(&mut method, number);
        assert!(
            (found / expected - 1.0).abs() < 1e-4,
            "{found} v {expected}"
        );
    }
    method
}

#[test]
fn two_steps_equal_pytorch() {
    let method = check_losses(ClassRule::NoNegatives, "losses");
    let statement = statement();
    check(
        &collect(&method.student),
        &testing::below(&statement, "after."),
    );
    let labels = method.key_labels.state().0;
    assert_eq!(labels, statement["labels"]);
}

#[test]
fn two_steps_with_positives_of_the_class_equal_pytorch() {
    check_losses(ClassRule::Positives, "positives");
}

#[test]
fn gradients_equal_pytorch() {
    let statement = statement();
    let mut method = method(config());
    begin(&mut method, &statement);
    let loss = method.loss(&drawn(), &moment(0)).unwrap();
    let gradients = loss.value.backward();
    let mut found = State::default();
    found.insert("online", collect_gradients(&method.moco.online, &gradients));
    found.insert("student", collect_gradients(&method.student, &gradients));
    check(&found.tensors, &testing::below(&statement, "gradient."));
}

// Golden values of Mean Teacher's rise.
#[test]
fn the_weight_of_pseudo_labels_rises() {
    let config = SkeleMoClrConfig {
        pseudo_weight: 1.0,
        ramp_steps: 10,
        ..config()
    };
    for (step, expect) in [(0, 0.006_737_9), (5, 0.286_504_8), (10, 1.0), (99, 1.0)] {
        assert!((config.pseudo_weight(step) - expect).abs() < 1e-7);
    }
}

/// A figure of the first step.
fn figure(config: SkeleMoClrConfig, name: &str) -> f64 {
    let mut method = method(config);
    let loss = method.loss(&drawn(), &moment(0)).unwrap();
    let found = loss.figures.iter().find(|(figure, _)| *figure == name);
    found.unwrap().1
}

#[test]
fn no_confident_guess_means_no_pseudo_labels() {
    let strict = |confidence| SkeleMoClrConfig {
        threshold: Threshold::Fixed { confidence },
        ..config()
    };
    assert_eq!(figure(strict(1.0), "kept"), 0.0);
    assert_eq!(figure(strict(1.0), "pseudo_loss"), 0.0);
    assert_eq!(figure(strict(0.0), "kept"), 1.0);
    assert!(figure(strict(0.0), "pseudo_loss") > 0.0);
}

#[test]
fn flexible_thresholds_accept_everything_at_first_unless_there_is_a_floor() {
    let flex = |floor| SkeleMoClrConfig {
        threshold: Threshold::Flex {
            confidence: 0.95,
            floor,
            warmup: false,
        },
        ..config()
    };
    assert_eq!(figure(flex(0.0), "kept"), 1.0);
    assert_eq!(figure(flex(0.9), "kept"), 0.0);
}

/// Running averages after one step.
fn averages(statistics: Statistics, strong: &str) -> Named {
    let mut method = method(SkeleMoClrConfig {
        statistics,
        ..config()
    });
    let mut drawn = drawn();
    drawn[1] = testing::drawn(&[strong, "query"]).remove(0);
    method.loss(&drawn, &moment(0)).unwrap();
    let named = collect(&method.moco.online).into_iter();
    named.filter(|(name, _)| is_buffer(name)).collect()
}

#[test]
fn running_averages_come_from_weak_views_if_asked() {
    let averages = |statistics| {
        let strong = |view| averages(statistics, view);
        (strong("extreme"), strong("key"))
    };
    let (weak, other) = averages(Statistics::Weak);
    assert_eq!(weak, other);
    let (trained, other) = averages(Statistics::Trained);
    assert_ne!(trained, other);
    assert_ne!(trained, weak);
}

#[test]
fn the_teacher_and_its_classifier_start_as_copies() {
    let method = method(config());
    assert_eq!(collect(&method.moco.online), collect(&method.moco.target));
    assert_eq!(collect(&method.student), collect(&method.teacher));
}

#[test]
fn every_average_moves_after_the_student_has_learned() {
    let mut method = method(SkeleMoClrConfig {
        together: false,
        statistics: Statistics::Weak,
        base: SkeletonClrConfig {
            target_norm: TargetNorm::EmaBuffers,
            ..testing::base()
        },
        ..config()
    });
    let before = (collect(&method.moco.target), collect(&method.teacher));
    step(&mut method, 0);
    step(&mut method, 1);
    let after = (collect(&method.moco.target), collect(&method.teacher));
    assert!(before.1.iter().all(|(name, old)| after.1[name] != *old));
    let still: Vec<_> = before
        .0
        .iter()
        .filter(|(name, old)| after.0[*name] == **old)
        .map(|(name, _)| name)
        .collect();
    // Biases before a BatchNorm have no gradient but for rounding.
    assert!(
        still.iter().all(|name| name.ends_with(".bias")),
        "{still:?}"
    );
}

#[test]
fn both_networks_have_their_classifier() {
    let method = method(config());
    let names: Vec<_> = method
        .networks()
        .iter()
        .map(|network| network.name)
        .collect();
    assert_eq!(names, ["student", "teacher"]);
    assert_eq!(method.classifiers().len(), 2);
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let flexible = || SkeleMoClrConfig {
        threshold: Threshold::Flex {
            confidence: 0.4,
            floor: 0.2,
            warmup: true,
        },
        ..config()
    };
    let mut first = method(flexible());
    step(&mut first, 0);
    let mut second = method(flexible());
    second.restore(&first.state()).unwrap();
    assert_eq!(step(&mut first, 1), step(&mut second, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |change: fn(&mut SkeleMoClrConfig), field: &str| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    };
    assert_eq!(config().validate(), Ok(()));
    check(|config| config.labelled = 0, "method.labelled");
    check(|config| config.labels = Amount::Share(1.5), "method.labels");
    check(
        |config| config.labels = Amount::PerClass(0),
        "method.labels",
    );
    check(
        |config| config.threshold = Threshold::Fixed { confidence: 1.1 },
        "method.threshold.confidence",
    );
    check(
        |config| config.contrast_weight = -1.0,
        "method.contrast_weight",
    );
    check(|config| config.base.queue = 0, "method.queue");
}
