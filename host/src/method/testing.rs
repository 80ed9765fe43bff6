//! Comparing methods with their PyTorch statements (`fixtures/*.py`), for unit tests.

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use tendon_model::augment::Recipe;
use tendon_model::container;
use tendon_model::ema::TargetNorm;
use tendon_model::encoder::EncoderConfig;
use tendon_model::optimizer::OptimizerConfig;
use tendon_model::parameters::{Named, Values, is_buffer};
use tendon_shared::pose::Presence;
use tendon_shared::topology::TopologyId;

use super::{Drawn, Loss, Method, Moment, SkeletonClrConfig};

/// Largest error of any tensor, relative to its largest value or to a hundredth of the largest of all tensors (biases before
/// a BatchNorm have gradients of zero but for rounding).
const TOLERANCE: f32 = 1e-4;
/// Of one step, as in `fixtures/moco.py`.
pub(super) const RATE: f64 = 0.002;
pub(super) const BATCH: usize = 5;
pub(super) const BOTH: Presence = Presence(3);
pub(super) const PRESENCE: [Presence; BATCH] =
    [BOTH, Presence::FIRST, BOTH, Presence::FIRST, Presence(2)];

pub(super) fn optimizer() -> OptimizerConfig {
    OptimizerConfig::sgd(1e-4)
}

pub(super) fn encoder() -> EncoderConfig {
    EncoderConfig {
        width: 4,
        dim: 6,
        ..EncoderConfig::small(TopologyId::Sbu15, 8, 2)
    }
}

pub(super) fn base() -> SkeletonClrConfig {
    SkeletonClrConfig {
        temperature: 0.2,
        queue: 7,
        ema_decay: 0.9,
        ema_warmup: false,
        target_norm: TargetNorm::OwnTrain,
        head_norm: true,
        projection: 5,
        query: Recipe::normal(),
        key: Recipe::normal(),
    }
}

/// The statement of a method, or what all start from.
pub(super) fn statement(name: &str) -> Named {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/method/fixtures");
    let bytes = std::fs::read(format!("{folder}/{name}.safetensors")).unwrap();
    container::decode(&bytes).unwrap().0
}

/// What all statements start from.
pub(super) fn start() -> Named {
    statement("start")
}

pub(super) fn below(named: &Named, prefix: &str) -> Named {
    let strip = |(name, values): (&String, &Values)| {
        Some((name.strip_prefix(prefix)?.to_string(), values.clone()))
    };
    named.iter().filter_map(strip).collect()
}

/// The windows of a step in the named views.
pub(super) fn drawn(views: &[&str]) -> Vec<Drawn> {
    let start = start();
    let view = |name: &&str| {
        let values = &start[*name];
        let data = TensorData::new(values.data.clone(), values.shape.clone());
        vec![Tensor::from_data(data, &Device::flex())]
    };
    vec![Drawn {
        views: views.iter().map(view).collect(),
        presence: PRESENCE.to_vec(),
        labels: vec![],
        numbers: vec![],
    }]
}

/// Puts the statement's start into both networks and the queue.
pub(super) fn begin(method: &mut impl Method, start: &Named) {
    let mut state = method.state();
    for (name, values) in start {
        for network in ["online", "target"] {
            if let Some(old) = state.tensors.get_mut(&format!("{network}.{name}")) {
                *old = values.clone();
            }
        }
    }
    let queue = start["queue"].clone();
    state.tensors.insert("queue.keys".to_string(), queue);
    method.restore(&state).unwrap();
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}

pub(super) fn check(found: &Named, expected: &Named) {
    let names = |named: &Named| named.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    let all = expected
        .values()
        .map(|values| largest(&values.data))
        .fold(0.0, f32::max);
    let errors = found.iter().map(|(name, values)| {
        let expected = &expected[name];
        assert_eq!(values.shape, expected.shape, "{name}");
        let pairs = values.data.iter().zip(&expected.data);
        let worst = pairs.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        (worst / largest(&expected.data).max(0.01 * all), name)
    });
    let worst = errors.max_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap();
    assert!(worst.0 < TOLERANCE, "relative error {worst:?}");
}

/// Takes two steps and compares losses, the first step's gradients, the trained network and the queue.
pub(super) fn check_two_steps<M: Method>(
    method: &mut M,
    statement: &Named,
    mut loss: impl FnMut(&mut M, &Moment) -> Loss,
    gradients: impl Fn(&M, &Gradients) -> Named,
) {
    for (step, expected) in (0..).zip(&statement["losses"].data) {
        let moment = Moment {
            seed: 1,
            epoch: 0,
            step,
        };
        let value = loss(method, &moment).value;
        let found: f32 = value.clone().into_scalar();
        assert!(
            (found / expected - 1.0).abs() < TOLERANCE,
            "loss {found} v {expected}"
        );
        let found = value.backward();
        if step == 0 {
            check(&gradients(method, &found), &below(statement, "gradient."));
        }
        method.learn(&found, RATE);
    }
    let state = method.state();
    let trained = state.below("online").into_iter();
    let trained = trained.filter(|(name, _)| !is_buffer(name)).collect();
    check(&trained, &below(statement, "after."));
    let queue =
        |named: &Named, name: &str| Named::from([("queue".to_string(), named[name].clone())]);
    check(
        &queue(&state.tensors, "queue.keys"),
        &queue(statement, "queue"),
    );
}
