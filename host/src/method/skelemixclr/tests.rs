use super::*;
use crate::contrast::Region;
use crate::method::testing::{self, BATCH, PRESENCE};
use tendon_model::encoder::EncoderConfig;
use tendon_model::parameters::{Named, collect, collect_gradients, is_buffer};

fn config() -> SkeleMixClrConfig {
    SkeleMixClrConfig {
        base: testing::base(),
        mix: MixSpec {
            fill: Fill::Swap,
            joints: JointChoice::Parts { least: 2, most: 3 },
            lengths: [1, 1],
            each_window: true,
        },
        repeats: 2,
        weight: 0.7,
        mean: false,
        blank_seeks_partner: false,
    }
}

fn method(config: SkeleMixClrConfig, encoder: &EncoderConfig) -> SkeleMixClr {
    let device = Device::flex();
    SkeleMixClr::new(config, encoder, testing::optimizer(), BATCH, 1, &device).unwrap()
}

/// The mix of the statement with this number.
fn stated(statement: &Named, number: usize) -> Mix {
    let values = |name: &str| statement[&format!("mix.{number}.{name}")].data.clone();
    let partners: Vec<usize> = values("partners")
        .iter()
        .map(|value| *value as usize)
        .collect();
    let joints = values("joints");
    let region = |(start, joints): (&f32, &[f32])| Region {
        start: *start as usize,
        length: 1,
        joints: joints.iter().map(|inside| *inside == 1.0).collect(),
    };
    Mix {
        regions: values("start")
            .iter()
            .zip(joints.chunks(15))
            .map(region)
            .collect(),
        bodies: partners
            .iter()
            .zip(PRESENCE)
            .map(|(partner, own)| Presence(own.0 & PRESENCE[*partner].0))
            .collect(),
        partners,
    }
}

#[test]
fn two_steps_equal_pytorch() {
    let statement = testing::statement("skelemixclr");
    let mut method = method(config(), &testing::encoder());
    testing::begin(&mut method, &testing::start());
    let mixes = [0, 1].map(|number| stated(&statement, number));
    let drawn = testing::drawn(&["query", "key"]);
    testing::check_two_steps(
        &mut method,
        &statement,
        |method, moment| {
            let (input, presence) = moco::drawn(&drawn);
            let windows = Windows { presence, moment };
            method.loss_of(input(0), input(1), mixes.to_vec(), &windows)
        },
        |method, gradients| collect_gradients(&method.moco.online, gradients),
    );
}

fn moment(step: u64) -> Moment {
    Moment {
        seed: 1,
        epoch: 0,
        step,
    }
}

fn value(method: &mut SkeleMixClr, step: u64) -> f32 {
    let drawn = testing::drawn(&["query", "key"]);
    let loss = method.loss(&drawn, &moment(step)).unwrap();
    let value = loss.value.clone().into_scalar();
    method.learn(&loss.value.backward(), 0.01);
    value
}

#[test]
fn the_key_network_starts_as_a_copy() {
    let method = method(config(), &testing::encoder());
    assert_eq!(collect(&method.moco.online), collect(&method.moco.target));
}

#[test]
fn every_fill_and_choice_of_joints_trains_with_and_without_the_body_mask() {
    for fill in [Fill::Swap, Fill::Zeros, Fill::Noise { spread: 1.0 }] {
        for joints in [
            JointChoice::Parts { least: 1, most: 4 },
            JointChoice::Random { least: 5, most: 9 },
        ] {
            for body_mask in [false, true] {
                let mut config = config();
                config.mix = MixSpec {
                    fill,
                    joints,
                    ..config.mix
                };
                let encoder = EncoderConfig {
                    body_mask,
                    ..testing::encoder()
                };
                let mut method = method(config, &encoder);
                assert!((0..3).all(|step| value(&mut method, step).is_finite()));
            }
        }
    }
}

// The regions' losses of zeros: with the inside's, twice as many.
#[test]
fn a_blank_region_seeks_no_partner_unless_asked() {
    let regions = |fill, seeks| {
        let mut config = config();
        config.mix.fill = fill;
        config.blank_seeks_partner = seeks;
        let mut method = method(config, &testing::encoder());
        let loss = method
            .loss(&testing::drawn(&["query", "key"]), &moment(0))
            .unwrap();
        let (_, value) = loss.figures[2];
        value
    };
    assert!(regions(Fill::Zeros, false) < 0.75 * regions(Fill::Zeros, true));
    assert_eq!(regions(Fill::Swap, false), regions(Fill::Swap, true));
}

#[test]
fn the_sum_of_two_mixes_is_twice_their_mean() {
    let regions = |mean| {
        let mut method = method(SkeleMixClrConfig { mean, ..config() }, &testing::encoder());
        let loss = method
            .loss(&testing::drawn(&["query", "key"]), &moment(0))
            .unwrap();
        loss.figures[2].1
    };
    assert!((regions(false) / regions(true) - 2.0).abs() < 1e-6);
}

#[test]
fn every_average_of_the_head_sees_regions_too() {
    let norms = |repeats| {
        let mut method = method(
            SkeleMixClrConfig {
                repeats,
                ..config()
            },
            &testing::encoder(),
        );
        value(&mut method, 0);
        let named = collect(&method.moco.online).into_iter();
        named.filter(|(name, _)| is_buffer(name)).collect::<Named>()
    };
    let (one, two) = (norms(1), norms(2));
    assert!(one.iter().all(|(name, values)| two[name] != *values));
}

#[test]
fn another_step_mixes_otherwise_and_the_same_one_alike() {
    let method = method(config(), &testing::encoder());
    let mixes = |step| method.mixes(&PRESENCE, &moment(step));
    assert_eq!(mixes(0), mixes(0));
    assert_ne!(mixes(0), mixes(1));
    assert_ne!(mixes(0)[0], mixes(0)[1]);
}

#[test]
fn a_restored_method_takes_the_same_steps() {
    let mut first = method(config(), &testing::encoder());
    value(&mut first, 0);
    let mut second = method(config(), &testing::encoder());
    second.restore(&first.state()).unwrap();
    assert_eq!(value(&mut first, 1), value(&mut second, 1));
    assert_eq!(first.state(), second.state());
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |change: fn(&mut SkeleMixClrConfig), field: &str| {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate(2).unwrap_err().field, field);
    };
    assert_eq!(config().validate(2), Ok(()));
    check(|config| config.mix.lengths = [1, 3], "method.mix.lengths");
    check(|config| config.mix.lengths = [0, 1], "method.mix.lengths");
    check(
        |config| config.mix.joints = JointChoice::Parts { least: 2, most: 5 },
        "method.mix.joints",
    );
    check(|config| config.repeats = 0, "method.repeats");
    check(|config| config.base.queue = 0, "method.queue");
}
