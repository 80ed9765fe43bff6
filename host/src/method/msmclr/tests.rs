use super::*;
use crate::method::testing::{self, BATCH};
use tendon_model::augment::Recipe;
use tendon_model::parameters::{Named, collect, collect_gradients};

/// Mines from epoch 1 on.
fn config() -> MsMclrConfig {
    MsMclrConfig {
        aim: AimClrConfig {
            base: testing::base(),
            extreme: Recipe::extreme(),
            drop_attention: Some(0.7),
            divergence_weight: 0.5,
            mining_epoch: 1,
        },
        scales: vec![Scale::Joint, Scale::Part, Scale::Body],
        attention: Some(MotionAttentionConfig {
            reduced: 4,
            motion: true,
            cross_frame: true,
            cross_node: true,
        }),
        scale_weight: 0.6,
        queue_each_scale: false,
    }
}

fn method(config: MsMclrConfig) -> MsMclr {
    let (encoder, device) = (testing::encoder(), Device::flex());
    MsMclr::new(config, &encoder, testing::optimizer(), BATCH, 1, &device).unwrap()
}

fn loss(method: &mut MsMclr, epoch: u64) -> Loss {
    let moment = Moment {
        seed: 1,
        epoch,
        step: epoch,
    };
    let drawn = testing::drawn(&["query", "key", "extreme"]);
    method.loss(&drawn, &moment).unwrap()
}

fn step(method: &mut MsMclr, epoch: u64) -> f32 {
    let loss = loss(method, epoch);
    method.learn(&loss.value.clone().backward(), 0.01);
    loss.value.into_scalar()
}

// The first step is of stage 1, the second mines.
#[test]
fn two_steps_equal_pytorch() {
    let statement = testing::statement("msmclr");
    let mut method = method(config());
    let mut start: Named = testing::start();
    start.extend(testing::below(&statement, "start."));
    testing::begin(&mut method, &start);
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
fn every_weight_of_attention_and_heads_learns_and_is_averaged() {
    let mut config = config();
    config.queue_each_scale = true;
    let mut method = method(config);
    let before = [collect(&method.moco.online), collect(&method.moco.target)];
    step(&mut method, 0);
    step(&mut method, 1);
    let after = [collect(&method.moco.online), collect(&method.moco.target)];
    for (before, after) in before.iter().zip(&after) {
        for (name, values) in before {
            // Biases before a BatchNorm or of a softmax's keys have no gradient but for rounding.
            let still = name.ends_with("bias") || after[name] != *values;
            assert!(still, "{name}");
        }
    }
}

#[test]
fn every_switch_trains_and_changes_the_loss() {
    let usual = loss(&mut method(config()), 0).value.into_scalar::<f32>();
    let attention = |change: fn(&mut MotionAttentionConfig)| {
        let mut config = config();
        change(config.attention.as_mut().unwrap());
        config
    };
    let switched = [
        MsMclrConfig {
            attention: None,
            ..config()
        },
        MsMclrConfig {
            scales: vec![Scale::Joint],
            ..config()
        },
        MsMclrConfig {
            scales: vec![Scale::Joint, Scale::Part],
            ..config()
        },
        MsMclrConfig {
            scale_weight: 0.0,
            ..config()
        },
        MsMclrConfig {
            queue_each_scale: true,
            ..config()
        },
        attention(|attention| attention.motion = false),
        attention(|attention| attention.cross_frame = false),
        attention(|attention| attention.cross_node = false),
        attention(|attention| attention.reduced = 2),
        {
            let mut config = config();
            config.aim.drop_attention = None;
            config
        },
    ];
    for config in switched {
        let mut method = method(config.clone());
        let value = step(&mut method, 0);
        assert!(value.is_finite() && value != usual, "{config:?}");
        assert!(step(&mut method, 1).is_finite());
    }
}

// Without attention and scales' weight, MsMCLR is AimCLR: the same seed gives the same encoder and head.
#[test]
fn without_its_own_parts_it_is_aimclr() {
    let config = MsMclrConfig {
        attention: None,
        scale_weight: 0.0,
        ..config()
    };
    let (encoder, device) = (testing::encoder(), Device::flex());
    let optimizer = testing::optimizer();
    let mut aim =
        super::super::AimClr::new(config.aim.clone(), &encoder, optimizer, BATCH, 1, &device)
            .unwrap();
    let mut own = method(config);
    for epoch in 0..2 {
        let moment = Moment {
            seed: 1,
            epoch,
            step: epoch,
        };
        let drawn = testing::drawn(&["query", "key", "extreme"]);
        let expected = aim.loss(&drawn, &moment).unwrap().value;
        let found = loss(&mut own, epoch).value;
        aim.learn(&expected.clone().backward(), 0.01);
        own.learn(&found.clone().backward(), 0.01);
        let (found, expected) = (found.into_scalar::<f32>(), expected.into_scalar::<f32>());
        assert!(
            (found / expected - 1.0).abs() < 1e-5,
            "{found} v {expected}"
        );
    }
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    for queue_each_scale in [false, true] {
        let config = MsMclrConfig {
            queue_each_scale,
            ..config()
        };
        let mut first = method(config.clone());
        step(&mut first, 0);
        let mut second = method(config);
        second.restore(&first.state()).unwrap();
        assert_eq!(step(&mut first, 1), step(&mut second, 1));
        assert_eq!(first.state(), second.state());
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |change: fn(&mut MsMclrConfig), field: &str| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    };
    assert_eq!(config().validate(), Ok(()));
    check(|config| config.scales.clear(), "method.scales");
    check(|config| config.scales.push(Scale::Body), "method.scales");
    check(|config| config.scale_weight = -1.0, "method.scale_weight");
    check(
        |config| config.attention.as_mut().unwrap().reduced = 0,
        "method.attention.reduced",
    );
    check(
        |config| {
            let attention = config.attention.as_mut().unwrap();
            (attention.cross_frame, attention.cross_node) = (false, false);
        },
        "method.attention.cross_frame",
    );
}
