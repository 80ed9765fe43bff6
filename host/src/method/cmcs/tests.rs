use super::*;
use crate::method::testing::{self, BATCH, check};
use tendon_model::parameters::{Named, collect_gradients, is_buffer};

/// As in `fixtures/cmcs.py`.
const RATE: f64 = 0.002;

const CSCL: Objective = Objective::Cscl {
    push: 0.5,
    from_epoch: 1,
    weight: 10.0,
    neighbours: 2,
    votes: 2,
    opposite: false,
    freeze_target: false,
};

fn config(objective: Objective) -> CmcsConfig {
    CmcsConfig {
        objective,
        apart: true,
        hidden: 7,
        projection: 5,
        ema_decay: 0.9,
        ema_warmup: false,
        target_norm: TargetNorm::OwnTrain,
        views: [Recipe::normal(), Recipe::normal()],
    }
}

fn encoder() -> EncoderConfig {
    EncoderConfig {
        streams: vec![Stream::Joint, Stream::Motion, Stream::Bone],
        ..testing::encoder()
    }
}

fn method(config: CmcsConfig) -> Cmcs {
    let device = Device::flex();
    Cmcs::new(config, &encoder(), testing::optimizer(), BATCH, 1, &device).unwrap()
}

/// Two views of three streams, as `fixtures/cmcs.py` has them.
fn drawn() -> Vec<Drawn> {
    let view = |names: [&str; 3]| {
        let drawn = testing::drawn(&names).remove(0);
        drawn.views.into_iter().flatten().collect()
    };
    let mut drawn = testing::drawn(&[]);
    drawn[0].views = vec![
        view(["query", "key", "extreme"]),
        view(["key", "extreme", "query"]),
    ];
    drawn
}

/// Puts the statement's start into all networks.
fn begin(method: &mut Cmcs, statement: &Named) {
    let shared = testing::start();
    let mut state = method.state();
    for (name, values) in &mut state.tensors {
        let Some((_, name)) = name.split_once('.') else {
            continue;
        };
        let own = statement.get(&format!("start.{name}"));
        let encoder = name.split_once('.').and_then(|(_, name)| shared.get(name));
        if let Some(start) = own.or(encoder) {
            *values = start.clone();
        }
    }
    method.restore(&state).unwrap();
}

fn moment(epoch: u64, step: u64) -> Moment {
    Moment {
        seed: 1,
        epoch,
        step,
    }
}

fn step(method: &mut Cmcs, epoch: u64, step: u64) -> f32 {
    let loss = method.loss(&drawn(), &moment(epoch, step)).unwrap();
    let value = loss.value.clone().into_scalar();
    method.learn(&loss.value.backward(), RATE);
    value
}

fn check_loss(found: f32, expected: f32) {
    assert!(
        (found / expected - 1.0).abs() < 1e-4,
        "{found} v {expected}"
    );
}

/// Heads and nothing of their running averages.
fn heads(named: Named) -> Named {
    let named = named.into_iter();
    named
        .filter(|(name, _)| !name.contains("encoder.") && !is_buffer(name))
        .collect()
}

#[test]
fn two_steps_of_each_stage_equal_pytorch() {
    let statement = testing::statement("cmcs");
    let mut method = method(config(CSCL));
    begin(&mut method, &statement);
    for (number, expected) in (0..).zip(&statement["losses"].data) {
        check_loss(step(&mut method, number / 2, number), *expected);
    }
    let state = method.state();
    for kind in ["online", "target"] {
        let expected = testing::below(&statement, &format!("{kind}."));
        check(&heads(state.below(kind)), &expected);
    }
}

// Of a first step, because later a value on the edge of a ReLU may fall on either side.
#[test]
fn gradients_with_votes_equal_pytorch() {
    let statement = testing::statement("cmcs");
    let mut method = method(config(CSCL));
    begin(&mut method, &statement);
    let gradients = method
        .loss(&drawn(), &moment(1, 0))
        .unwrap()
        .value
        .backward();
    check(
        &collect_gradients(&method.online, &gradients),
        &testing::below(&statement, "gradient."),
    );
}

#[test]
fn skeleton_byol_equals_pytorch() {
    let statement = testing::statement("cmcs");
    let mut method = method(config(Objective::Byol));
    begin(&mut method, &statement);
    for (number, expected) in (0..).zip(&statement["byol"].data) {
        check_loss(step(&mut method, 0, number), *expected);
    }
}

#[test]
fn before_the_votes_cscl_is_cmal() {
    let losses = |objective, epoch| step(&mut method(config(objective)), epoch, 0);
    assert_eq!(losses(CSCL, 0), losses(Objective::Cmal { push: 0.5 }, 0));
    assert_ne!(losses(CSCL, 1), losses(Objective::Cmal { push: 0.5 }, 1));
}

#[test]
fn every_target_starts_as_a_copy() {
    let method = method(config(CSCL));
    let online = collect(&method.online);
    let target = collect(&method.target);
    assert!(target.iter().all(|(name, values)| online[name] == *values));
    assert_eq!(
        online.len() - target.len(),
        collect(&method.online)
            .keys()
            .filter(|name| name.contains("predictor"))
            .count()
    );
}

#[test]
fn streams_share_no_weights() {
    let online = collect(&method(config(CSCL)).online);
    for part in ["encoder.blocks.3.graph.weight", "projector.hidden.weight"] {
        let of = |stream: usize| &online[&format!("{stream}.{part}")];
        assert_ne!(of(0), of(1));
        assert_ne!(of(1), of(2));
    }
}

/// Names of target parameters that a step with votes leaves where they are.
fn still(freeze_target: bool) -> (usize, Vec<String>) {
    let Objective::Cscl {
        push,
        from_epoch,
        weight,
        neighbours,
        votes,
        opposite,
        ..
    } = CSCL
    else {
        unreachable!()
    };
    let mut method = method(config(Objective::Cscl {
        push,
        from_epoch,
        weight,
        neighbours,
        votes,
        opposite,
        freeze_target,
    }));
    let before = collect(&method.target);
    step(&mut method, 1, 0);
    let after = collect(&method.target);
    let trained = before.keys().filter(|name| !is_buffer(name));
    let trained: Vec<&String> = trained.collect();
    let still = trained
        .iter()
        .filter(|name| before[**name] == after[**name]);
    (trained.len(), still.map(|name| (*name).clone()).collect())
}

#[test]
fn every_target_moves_while_streams_vote() {
    let (_, still) = still(false);
    // Biases before a BatchNorm have no gradient but for rounding.
    assert!(
        still.iter().all(|name| name.ends_with(".bias")),
        "{still:?}"
    );
}

#[test]
fn a_frozen_target_stays_while_streams_vote() {
    let (all, still) = still(true);
    assert_eq!(still.len(), all);
}

#[test]
fn a_stream_that_collapses_is_the_spread_that_is_watched() {
    let rows = |spread: f32| {
        let rows = [[1.0, spread], [1.0, -spread], [1.0, 0.0]];
        Tensor::from_floats(rows, &Device::flex())
    };
    let pair = |spread| Pair {
        predictions: [rows(1.0), rows(1.0)],
        targets: [rows(1.0), rows(spread)],
    };
    assert!(lowest_spread(&[pair(1.0), pair(1.0)]) > 0.1);
    assert!(lowest_spread(&[pair(1.0), pair(0.0)]) < 1e-6);
}

#[test]
fn streams_stacked_in_one_network_have_one_unnamed_encoder() {
    let stacked = method(CmcsConfig {
        apart: false,
        ..config(Objective::Byol)
    });
    let networks = stacked.networks();
    assert_eq!((networks.len(), networks[0].name), (1, ""));
    assert_eq!(networks[0].streams, encoder().streams);
    let apart = method(config(CSCL));
    let names: Vec<_> = apart
        .networks()
        .iter()
        .map(|network| network.name)
        .collect();
    assert_eq!(names, ["joint", "motion", "bone"]);
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let mut first = method(config(CSCL));
    step(&mut first, 1, 0);
    let mut second = method(config(CSCL));
    second.restore(&first.state()).unwrap();
    assert_eq!(step(&mut first, 1, 1), step(&mut second, 1, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let refused = |config: CmcsConfig| config.validate(3).unwrap_err().field;
    assert_eq!(config(CSCL).validate(3), Ok(()));
    let votes = "method.objective.votes";
    assert_eq!(config(CSCL).validate(1).unwrap_err().field, votes);
    let stacked = CmcsConfig {
        apart: false,
        ..config(CSCL)
    };
    assert_eq!(refused(stacked), votes);
    let push = Objective::Cmal { push: -0.5 };
    assert_eq!(refused(config(push)), "method.objective.push");
    let decay = CmcsConfig {
        ema_decay: 1.5,
        ..config(CSCL)
    };
    assert_eq!(refused(decay), "method.ema_decay");
}
