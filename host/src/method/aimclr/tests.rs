use super::*;
use crate::method::testing::{self, BATCH};
use tendon_model::parameters::{collect, collect_gradients};

/// Mines from epoch 1 on.
fn config() -> AimClrConfig {
    AimClrConfig {
        base: testing::base(),
        extreme: Recipe::extreme(),
        drop_attention: Some(0.7),
        divergence_weight: 0.5,
        mining_epoch: 1,
    }
}

fn method(config: AimClrConfig) -> AimClr {
    let (encoder, device) = (testing::encoder(), Device::flex());
    AimClr::new(config, &encoder, testing::optimizer(), BATCH, 1, &device).unwrap()
}

fn loss(method: &mut AimClr, epoch: u64) -> Loss {
    let moment = Moment {
        seed: 1,
        epoch,
        step: epoch,
    };
    let drawn = testing::drawn(&["query", "key", "extreme"]);
    method.loss(&drawn, &moment).unwrap()
}

fn step(method: &mut AimClr, epoch: u64) -> f32 {
    let loss = loss(method, epoch);
    method.learn(&loss.value.clone().backward(), 0.01);
    loss.value.into_scalar()
}

// The first step is of stage 1, the second mines.
#[test]
fn two_steps_equal_pytorch() {
    let statement = testing::statement("aimclr");
    let mut method = method(config());
    testing::begin(&mut method, &testing::start());
    testing::check_two_steps(
        &mut method,
        &statement,
        |method, moment| loss(method, moment.step),
        |method, gradients| collect_gradients(&method.moco.online, gradients),
    );
}

#[test]
fn the_key_network_starts_as_a_copy() {
    let method = method(config());
    assert_eq!(collect(&method.moco.online), collect(&method.moco.target));
}

#[test]
fn a_step_asks_for_a_normal_pair_and_an_extreme_view() {
    let draws = method(config()).draws();
    let recipes: Vec<_> = draws[0].views.iter().map(|view| &view.recipe).collect();
    let (normal, extreme) = (Recipe::normal(), Recipe::extreme());
    assert_eq!(recipes, [&normal, &normal, &extreme]);
}

#[test]
fn mining_starts_at_its_epoch() {
    let value = |mining_epoch| {
        let mut method = method(AimClrConfig {
            mining_epoch,
            ..config()
        });
        loss(&mut method, 3).value.into_scalar::<f32>()
    };
    assert_eq!(value(4), value(5));
    assert_ne!(value(3), value(4));
}

#[test]
fn without_weight_the_extreme_views_teach_nothing() {
    let value = |config| loss(&mut method(config), 0).value.into_scalar::<f32>();
    let mut alone = config();
    alone.divergence_weight = 0.0;
    let without_drop = AimClrConfig {
        drop_attention: None,
        ..alone.clone()
    };
    assert_eq!(value(alone), value(without_drop.clone()));
    let weighted = AimClrConfig {
        divergence_weight: 0.5,
        ..without_drop
    };
    assert!(value(weighted) < value(config()));
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let mut first = method(config());
    step(&mut first, 0);
    let mut second = method(config());
    second.restore(&first.state()).unwrap();
    assert_eq!(step(&mut first, 1), step(&mut second, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |change: fn(&mut AimClrConfig), field: &str| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    };
    assert_eq!(config().validate(), Ok(()));
    check(
        |config| config.drop_attention = Some(0.4),
        "method.drop_attention",
    );
    check(
        |config| config.divergence_weight = -1.0,
        "method.divergence_weight",
    );
    check(|config| config.base.temperature = 0.0, "method.temperature");
}
